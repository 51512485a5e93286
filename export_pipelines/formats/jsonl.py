"""JSON Lines: one object per row and line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pyarrow as pa

from export_pipelines.formats.base import Writer
from export_pipelines.formats.columns import check_columns
from export_pipelines.formats.pieces import Pieces
from export_pipelines.formats.render import Frames, as_json, as_json_with_numbers, numbers
from export_pipelines.spec.formats import JsonlFormat

Decimals = Literal["string", "number"]


class Lines:
    """The rows of one dataset as lines of JSON, for all formats that are made of them."""

    def __init__(self, dataset: str, schema: pa.Schema, *, decimals: Decimals) -> None:
        """Plan the lines. Raises FormatError if a column has no JSON form."""
        check_columns(dataset, schema)
        self._numbers = decimals == "number"
        self._frames = Frames(dataset, schema, render=as_json_with_numbers if self._numbers else as_json)

    def of(self, batch: pa.RecordBatch) -> Iterator[bytes]:
        """The batch's rows as UTF-8 text, every line with its end, in pieces that may end anywhere.

        Raises FormatError if a value has no JSON form.
        """
        for frame in self._frames.of(batch):
            text = Pieces()
            frame.write_ndjson(text.file)
            if self._numbers:
                yield numbers(text.joined())
            else:
                yield from text


class JsonlWriter(Writer[JsonlFormat]):
    """Writes one JSON object per row, UTF-8, keys in the order of the columns, NULL as `null`.

    Whole floats are `1.0`; NaN and infinities, which JSON lacks, are `null`. Integers are exact, beyond 2**53 too,
    where JavaScript rounds. Decimals are texts with all their digits, or numbers with all their digits if the spec
    says `number`. Lists and structs are arrays and objects. JSON columns are texts. Temporal and binary values: see
    `export_pipelines.formats.render`.
    """

    media_type = "application/x-ndjson"
    extension = ".jsonl"

    def begin(self, dataset: str, schema: pa.Schema) -> None:
        """Plan the lines. Raises FormatError if a column has no JSON form."""
        self._lines = Lines(dataset, schema, decimals=self.spec.decimals)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows. Raises FormatError if a value has no JSON form."""
        for lines in self._lines.of(batch):
            self.sink.write(lines)

    def end(self) -> None:
        """A file holds one dataset."""

    def close(self) -> None:
        """Lines need no end."""
