"""Apache Parquet."""

from __future__ import annotations

import io
from collections import deque

import pyarrow as pa
import pyarrow.parquet as pq

from export_pipelines.errors import FormatError
from export_pipelines.formats.base import Document, Sink, Writer
from export_pipelines.formats.columns import check_columns
from export_pipelines.formats.sink import SinkFile
from export_pipelines.spec.formats import ParquetFormat


class ParquetWriter(Writer[ParquetFormat]):
    """Writes Parquet with the source's exact types, lists, structs and the Arrow schema included.

    Row groups have exactly the spec's `row_group_rows` however the rows arrive, so at most that many are in memory.
    """

    media_type = "application/vnd.apache.parquet"
    extension = ".parquet"

    def __init__(self, sink: Sink, spec: ParquetFormat, document: Document) -> None:
        super().__init__(sink, spec, document)
        self._waiting: deque[pa.RecordBatch] = deque()
        self._waiting_rows = 0

    def begin(self, dataset: str, schema: pa.Schema) -> None:
        """Write the file's head. Raises FormatError if Parquet has no such column type."""
        check_columns(dataset, schema)
        for field in schema:
            _check_type(dataset, field)
        self._dataset, self._schema = dataset, schema
        self._file = pq.ParquetWriter(SinkFile(self.sink, self), schema, compression=self.spec.compression)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows; full row groups are written at once. Raises FormatError if a value does not fit."""
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        while self._waiting_rows >= self.spec.row_group_rows:
            self._write_group(self.spec.row_group_rows)

    def end(self) -> None:
        """Write the last row group."""
        if self._waiting_rows:
            self._write_group(self._waiting_rows)

    def close(self) -> None:
        """Write the file's foot, which tells where its parts are."""
        self._file.close()

    def _write_group(self, rows: int) -> None:
        parts, missing = [], rows
        while missing:
            batch = self._waiting.popleft()
            if batch.num_rows > missing:
                self._waiting.appendleft(batch.slice(missing))
                batch = batch.slice(0, missing)
            parts.append(batch)
            missing -= batch.num_rows
        self._waiting_rows -= rows
        # One chunk per column: pages would otherwise end where the source's batches did.
        group = pa.Table.from_batches(parts, self._schema).combine_chunks()
        try:
            self._file.write_table(group, row_group_size=rows)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise FormatError(f"cannot write dataset {self._dataset!r} as Parquet: {error}") from error


def _check_type(dataset: str, field: pa.Field) -> None:
    try:
        pq.ParquetWriter(io.BytesIO(), pa.schema([field])).close()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise FormatError(
            f"Parquet cannot hold column {field.name!r} ({field.type}) of dataset {dataset!r}: {error}",
            hint="Cast the column to text in the query",
        ) from error
