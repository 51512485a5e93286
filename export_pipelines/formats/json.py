"""One JSON document."""

from __future__ import annotations

import json

import pyarrow as pa

from export_pipelines.formats.base import Document, Sink, Writer
from export_pipelines.formats.jsonl import Lines
from export_pipelines.formats.pieces import blocks
from export_pipelines.spec.formats import JsonFormat


class JsonWriter(Writer[JsonFormat]):
    """Writes an array of rows, or an object with one such array per dataset; one row per line.

    Rows look as in JSON Lines: see `export_pipelines.formats.jsonl.JsonlWriter`.
    """

    media_type = "application/json"
    extension = ".json"

    def __init__(self, sink: Sink, spec: JsonFormat, document: Document) -> None:
        super().__init__(sink, spec, document)
        self._datasets = 0

    def begin(self, dataset: str, schema: pa.Schema) -> None:
        """Open the dataset's array. Raises FormatError if a column has no JSON form."""
        self._lines = Lines(dataset, schema, decimals=self.spec.decimals)
        self._between = b"\n"  # what comes before the next byte of a row
        if self.spec.combines:
            opening = ",\n" if self._datasets else "{\n"
            self.sink.write((opening + json.dumps(dataset, ensure_ascii=False) + ": ").encode())
        self.sink.write(b"[")
        self._datasets += 1

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows. Raises FormatError if a value has no JSON form."""
        for piece in self._lines.of(batch):
            for block in blocks(piece):
                self._write(block)

    def _write(self, block: bytes) -> None:
        """Line ends inside texts are escaped, hence every one here ends a row; the last row has no comma."""
        ends = block.endswith(b"\n")
        rows = block.removesuffix(b"\n").replace(b"\n", b",\n")
        self.sink.write(self._between + rows)
        self._between = b",\n" if ends else b""

    def end(self) -> None:
        """Close the dataset's array."""
        self.sink.write(b"\n]" if self._between == b",\n" else b"]")

    def close(self) -> None:
        """Close the object."""
        if self.spec.combines:
            self.sink.write(b"\n}" if self._datasets else b"{}")
        self.sink.write(b"\n")
