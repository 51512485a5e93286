"""Excel workbooks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from export_pipelines.errors import FormatError
from export_pipelines.formats.base import Document, Sink, Writer
from export_pipelines.formats.columns import check_columns
from export_pipelines.formats.xlsx_cells import Column, columns_of, fit_widths, header_xml, last_cell, rows_xml
from export_pipelines.formats.xlsx_package import (
    Sheet,
    Styles,
    app_properties_part,
    content_types_part,
    core_properties_part,
    package_relations_part,
    sheet_head,
    sheet_name,
    sheet_tail,
    workbook_part,
    workbook_relations_part,
)
from export_pipelines.formats.zip_stream import ZipStream
from export_pipelines.spec.formats import XlsxFormat

_SAMPLE_ROWS = 1_000  # the first rows decide how wide the columns are
_SAMPLE_BYTES = 16 << 20  # but no more than this is held back for it
_SLICE_CELLS = 200_000  # turned into XML at a time: a slice costs milliseconds however small it is
_SLICE_BYTES = 1 << 20


@dataclass
class _Held:
    """Rows that wait for more."""

    batches: list[pa.RecordBatch] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0

    def add(self, batch: pa.RecordBatch) -> None:
        self.batches.append(batch)
        self.rows += batch.num_rows
        self.bytes += batch.nbytes

    def enough(self) -> bool:
        if self.rows < _SAMPLE_ROWS:
            return self.bytes >= _SAMPLE_BYTES
        return self.rows * self.batches[0].num_columns >= _SLICE_CELLS or self.bytes >= _SLICE_BYTES

    def joined(self) -> list[pa.RecordBatch]:
        if len(self.batches) < 2:
            return self.batches
        try:
            return list(pa.Table.from_batches(self.batches).combine_chunks().to_batches())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return self.batches  # such as dictionaries with more values in all than their index can count


class XlsxWriter(Writer[XlsxFormat]):
    """One sheet per dataset: styled header, frozen first row, filter arrows, fitted columns, real dates and numbers.

    What a reader finds in the cells:

    - NULL is no cell; an empty text is a cell with an empty text.
    - Integers and decimals of more than 15 digits are text, because Excel would round them. Decimals show as many
      decimals as their type has. `NaN`, `inf` and `-inf` are text.
    - Dates before 1900-03-01 are ISO text, because Excel's calendar does not hold them.
    - Excel knows no timezones. Timestamps with one are shown in UTC and say so in the cell: `2026-03-29 00:59:59 UTC`.
      They stay date cells, to be sorted and computed with. Times are cut to milliseconds, Excel's finest unit.
    - Binary values are base64 text, UUIDs and calendar intervals (`P1M2DT0S`) are text; lists and structs are refused.
    - Text is never a formula, and `spreadsheet_safe` also puts an apostrophe before what looks like one.
      Control characters are escaped in Excel's way, `_x0001_`.

    A dataset with more rows than a sheet holds goes on in a sheet named `students (2)`, with a header of its own.
    """

    media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    extension = ".xlsx"
    row_limit: ClassVar[int] = 1_048_576  # of one sheet, with its header
    column_limit: ClassVar[int] = 16_384
    part_limit: ClassVar[int] = 2**32 - 2**28  # bytes of one sheet's XML; the zip entry ends at 2**32

    def __init__(self, sink: Sink, spec: XlsxFormat, document: Document) -> None:
        super().__init__(sink, spec, document)
        self._zip = ZipStream(sink)
        self._styles = Styles(spec)
        self._sheets: list[Sheet] = []
        self._columns: list[Column] = []
        self._widths: list[int] | None = None  # known when the first rows are
        self._dataset = ""
        self._held = _Held()
        self._name = ""  # of the current sheet
        self._rows = 0  # written to it, with its header
        self._zip.add("_rels/.rels", package_relations_part().encode())
        self._zip.add("docProps/app.xml", app_properties_part().encode())
        self._zip.add("docProps/core.xml", core_properties_part(document).encode())

    def begin(self, dataset: str, schema: pa.Schema) -> None:
        """Start a dataset on a sheet of its own.

        Raises FormatError if there are more columns than a sheet has or two of one name, ColumnTypeError if a cell
        cannot hold a column's type.
        """
        check_columns(dataset, schema)
        if len(schema) > self.column_limit:
            raise FormatError(
                f"writing dataset {dataset!r} as xlsx: it has {len(schema):,} columns, a sheet {self.column_limit:,}",
                hint="Select fewer, or use a format without this limit: csv, jsonl or parquet",
            )
        self._dataset = dataset
        self._columns = columns_of(dataset, schema, self._styles)
        self._widths = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows. Raises FormatError if a text is too long for a cell."""
        self._held.add(batch)
        if self._held.enough():
            self._flush()

    def end(self) -> None:
        """Finish the dataset's last sheet."""
        self._flush()
        self._finish_sheet()

    def close(self) -> None:
        """Write the list of sheets and what else ends a workbook."""
        parts = {
            "xl/styles.xml": self._styles.part(),
            "xl/workbook.xml": workbook_part(self._sheets, filtered=self.spec.autofilter),
            "xl/_rels/workbook.xml.rels": workbook_relations_part(len(self._sheets)),
            "[Content_Types].xml": content_types_part(len(self._sheets)),
        }
        for name, text in parts.items():
            self._zip.add(name, text.encode())
        self._zip.close()

    def _flush(self) -> None:
        """Write the rows held back; the first of a dataset also decide how wide its columns are."""
        batches, self._held = self._held.joined(), _Held()
        if self._widths is None:
            self._widths = fit_widths(self._columns, batches, rows=_SAMPLE_ROWS)
            self._begin_sheet(self._widths)
        for batch in batches:
            for piece in _slices(batch):
                self._append(piece, self._widths)

    def _append(self, batch: pa.RecordBatch, widths: list[int]) -> None:
        start = 0
        while start < batch.num_rows:
            if self._rows >= self.row_limit or self._zip.entry_bytes >= self.part_limit:
                self._finish_sheet()
                self._begin_sheet(widths)
            rows = batch.slice(start, self.row_limit - self._rows)
            place = (self._name, self._rows + 1)
            self._zip.write(rows_xml(self._columns, rows, place, safe=self.document.spreadsheet_safe))
            self._rows += rows.num_rows
            start += rows.num_rows

    def _begin_sheet(self, widths: list[int]) -> None:
        self._name = sheet_name(self._dataset, [sheet.name for sheet in self._sheets])
        self._zip.begin(f"xl/worksheets/sheet{len(self._sheets) + 1}.xml")
        self._zip.write(sheet_head(widths, first=not self._sheets, frozen=self.spec.freeze_header).encode())
        self._zip.write(header_xml(self._columns, self._name, safe=self.document.spreadsheet_safe))
        self._rows = 1

    def _finish_sheet(self) -> None:
        cells = f"$A$1:{last_cell(self._columns, self._rows)}"
        self._zip.write(sheet_tail(cells, filtered=self.spec.autofilter).encode())
        self._zip.finish()
        self._sheets.append(Sheet(self._name, cells))


def _slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in pieces small enough that their XML stays small, however wide or long the rows are."""
    by_cells = _SLICE_CELLS // batch.num_columns
    by_bytes = batch.num_rows * _SLICE_BYTES // max(batch.nbytes, 1)
    step = max(1, min(by_cells, by_bytes))
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)
