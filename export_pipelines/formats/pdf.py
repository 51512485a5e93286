"""PDF reports: a title, then one table for each dataset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import polars as pl
import pyarrow as pa

from export_pipelines.formats.base import Document, Sink, Writer
from export_pipelines.formats.columns import check_columns
from export_pipelines.formats.pdf_cells import Texts, is_number, is_rigid
from export_pipelines.formats.pdf_cjk import CjkFont
from export_pipelines.formats.pdf_document import StreamingCanvas
from export_pipelines.formats.pdf_fonts import Typeface
from export_pipelines.formats.pdf_layout import Need, longest_word, plan
from export_pipelines.formats.pdf_page import Pages, draw_title
from export_pipelines.formats.pdf_table import Table
from export_pipelines.spec.formats import PdfFormat

_SAMPLE_ROWS = 1_000  # that decide the column widths, whatever the batches are
_GROWTH = 1.7  # em, three digits; how much wider than the first rows later ones are expected to be: ids count up
_LONGEST_WORD = 14.0  # em; longer words may be broken rather than make their column as wide


class PdfWriter(Writer[PdfFormat]):
    """Writes tables with ReportLab, page by page; memory holds one page and 16 bytes for each page before it.

    The first 1,000 rows of a dataset decide its column widths; text wraps and is never cut. NULL is a light grey dash,
    an empty string is an empty cell. A tab is four spaces, a line end breaks the line; other control characters
    and characters of scripts that neither font has are shown as the replacement character. No text is markup.
    Tables too wide for the page are explained at `pdf_layout.plan`.
    """

    media_type: ClassVar[str] = "application/pdf"
    extension: ClassVar[str] = ".pdf"

    def __init__(self, sink: Sink, spec: PdfFormat, document: Document) -> None:
        super().__init__(sink, spec, document)
        facts = {"export": document.export, "partition": document.partition, "description": document.description}
        self._title = spec.title.format(**facts)
        self._canvas = StreamingCanvas(sink, title=self._title, author=document.export, created_at=document.created_at)
        self._cjk = CjkFont()
        regular, medium = (Typeface(w, self._canvas.document, self._cjk) for w in ("Roboto", "RobotoMedium"))
        self._pages = Pages(self._canvas, regular=regular, medium=medium, footer=self._title)

    def begin(self, dataset: str, schema: pa.Schema) -> None:
        """Start a section. Raises FormatError if there are no columns, two of one name, or one has no text form."""
        check_columns(dataset, schema)
        self._dataset, self._schema = dataset, schema
        self._texts = Texts(dataset, schema)
        self._sample: list[pa.RecordBatch] = []
        self._table: Table | None = None
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows. Raises FormatError if the header would fill the page."""
        self._rows += batch.num_rows
        if self._table is not None:
            self._draw(self._table, batch)
            return
        self._sample.append(batch)
        if self._rows >= _SAMPLE_ROWS:
            self._start_table()

    def end(self) -> None:
        """End the section. Raises FormatError if the header would fill the page."""
        if self._table is None:
            self._start_table()
        assert self._table is not None
        self._table.end(self._rows)

    def close(self) -> None:
        """Write the last page, the fonts and the end of the file."""
        self._pages.flush()
        self._cjk.add_objects(self._canvas.document)
        self._canvas.finish()

    def _start_table(self) -> None:
        turned = bool(self._pages.open) and self._pages.size[0] > self._pages.size[1]
        layout = plan(
            list(self._needs()),
            page_size=self.spec.page_size,
            orientation="landscape" if turned else self.spec.orientation,  # a turned file stays turned
            font_size=self.spec.font_size,
        )
        first = not self._pages.open
        if first:
            self._pages.turn(layout.size, len(layout.bands))
            draw_title(self._pages, self._title, self.document)
        self._table = Table(
            self._pages, layout, name=self._dataset, headers=self._schema.names, fill=self.spec.header_fill
        )
        self._table.start(first=first)
        sample, self._sample = self._sample, []
        for batch in sample:
            self._draw(self._table, batch)

    def _draw(self, table: Table, batch: pa.RecordBatch) -> None:
        for columns in self._texts.of(batch):
            table.draw(columns)

    def _needs(self) -> Iterator[Need]:
        rows = pa.Table.from_batches(self._sample, self._schema).slice(0, _SAMPLE_ROWS).combine_chunks()
        batches = rows.to_batches() or [pa.RecordBatch.from_pylist([], schema=self._schema)]
        columns = next(self._texts.of(batches[0]), [pl.Series([], dtype=pl.String)] * len(self._schema))
        for field, column in zip(self._schema, columns, strict=True):
            yield self._need(field, column)

    def _need(self, field: pa.Field, column: pl.Series) -> Need:
        regular, medium = self._pages.regular, self._pages.medium
        header = medium.printable(field.name).split("\n")
        natural = max(map(medium.measure, header))
        least = min(max(longest_word(line, medium.measure) for line in header), _LONGEST_WORD)
        for text in column.drop_nulls().unique():
            for line in regular.printable(text).split("\n"):
                width = regular.measure(line)
                word = width if is_rigid(field.type) else min(longest_word(line, regular.measure), _LONGEST_WORD)
                natural, least = max(natural, width), max(least, word)
        if len(column) == _SAMPLE_ROWS and not (is_rigid(field.type) and not pa.types.is_integer(field.type)):
            natural += _GROWTH
            least += _GROWTH if pa.types.is_integer(field.type) else 0
        return Need(natural=natural, least=least, right=is_number(field.type))
