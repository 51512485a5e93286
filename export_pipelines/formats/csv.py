"""CSV, RFC 4180."""

from __future__ import annotations

import codecs
import re
from typing import Any

import polars as pl
import pyarrow as pa

from export_pipelines.errors import FormatError
from export_pipelines.formats.base import Document, Sink, Writer
from export_pipelines.formats.cells import neutralise, neutralise_text
from export_pipelines.formats.columns import check_columns
from export_pipelines.formats.pieces import Pieces
from export_pipelines.formats.render import Frames, as_text
from export_pipelines.spec.formats import CsvFormat

_LINE_ENDS = {"lf": "\n", "crlf": "\r\n"}
_SHOWN_CHARACTERS = 40


class CsvWriter(Writer[CsvFormat]):
    """Writes comma-separated values.

    NULL is the spec's `null_text`, bare; a text equal to it is quoted, so with the defaults NULL is an empty field and
    an empty text is `""`. Truth values are `true` and `false`; floats always show a fraction or exponent (`1.0`,
    `1e+300`), and the special ones are `NaN`, `inf` and `-inf`; decimals keep all their digits. Lists and structs are
    JSON text. Temporal and binary values: see `export_pipelines.formats.render`. In a file that is safe for
    spreadsheets text cells and headers that look like formulas get an apostrophe; numbers and base64 never do.
    """

    media_type = "text/csv"
    extension = ".csv"

    def __init__(self, sink: Sink, spec: CsvFormat, document: Document) -> None:
        super().__init__(sink, spec, document)
        self._encoder = codecs.getincrementalencoder(spec.encoding)()
        self._options: dict[str, Any] = {
            "include_header": False,
            "separator": spec.delimiter,
            "quote_char": spec.quote,
            "line_terminator": _LINE_ENDS[spec.line_end],
            "null_value": spec.null_text,
        }

    def begin(self, dataset: str, schema: pa.Schema) -> None:
        """Write byte order mark and header. Raises FormatError if a column has no text form."""
        check_columns(dataset, schema)
        self._dataset = dataset
        safe = self.document.spreadsheet_safe
        self._frames = Frames(dataset, schema, render=as_text, prepare=neutralise if safe else None)
        if self.spec.bom:
            self.sink.write(self._encoder.encode("\ufeff"))
        if self.spec.header:
            names = [neutralise_text(name) if safe else name for name in schema.names]
            header = pl.DataFrame({str(i): [name] for i, name in enumerate(names)})
            header.columns = schema.names
            self._emit(header)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows. Raises FormatError if a value has no text form or no place in the encoding."""
        for frame in self._frames.of(batch):
            self._emit(frame)

    def end(self) -> None:
        """A CSV file holds one dataset and no trailer."""

    def close(self) -> None:
        """Write what the encoding needs at the end."""
        self.sink.write(self._encoder.encode("", final=True))

    def _emit(self, frame: pl.DataFrame) -> None:
        text = Pieces()
        if self._polars_quotes_right(frame):
            frame.write_csv(text.file, quote_style="necessary", **self._options)
        else:
            self._quoted(frame).write_csv(text.file, quote_style="never", **self._options)
        if self.spec.encoding == "utf-8":
            for piece in text:
                self.sink.write(piece)
            return
        try:
            self.sink.write(self._encoder.encode(text.joined().decode()))
        except UnicodeEncodeError as error:
            raise self._unencodable(frame, error.object[error.start]) from error

    def _polars_quotes_right(self, frame: pl.DataFrame) -> bool:
        """It does not quote texts that equal the text of NULL, and of `all` it has another understanding."""
        if self.spec.quoting == "all":
            return False
        null_text = self.spec.null_text
        return not null_text or not any((column == null_text).any() for column in frame.select(pl.col(pl.String)))

    def _quoted(self, frame: pl.DataFrame) -> pl.DataFrame:
        quote, every = self.spec.quote, self.spec.quoting == "all"
        special = f"[{re.escape(self.spec.delimiter + quote)}\r\n]"
        text = (pl.all() if every else pl.col(pl.String)).cast(pl.String)
        quoted = pl.lit(quote) + text.str.replace_all(quote, quote * 2, literal=True) + pl.lit(quote)
        if not every:
            needed = text.str.contains(special) | text.is_in(["", self.spec.null_text])
            quoted = pl.when(needed).then(quoted).otherwise(text)
        return frame.with_columns(quoted.name.keep())

    def _unencodable(self, frame: pl.DataFrame, character: str) -> FormatError:
        place = "null_text"
        for column in frame.select(pl.col(pl.String)):
            cells = column.filter(column.str.contains(character, literal=True))
            if len(cells):
                place = f"column {column.name!r}, value {cells[0][:_SHOWN_CHARACTERS]!r}"
                break
        return FormatError(
            f"dataset {self._dataset!r}: {character!r} does not exist in the encoding {self.spec.encoding} ({place})",
            hint="Use encoding: utf-8 (with bom: true for Excel), or replace the character in the query",
        )
