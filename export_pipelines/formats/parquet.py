"""Apache Parquet."""

from __future__ import annotations

from collections import deque

import pyarrow as pa
import pyarrow.parquet as pq

from export_pipelines.errors import FormatError
from export_pipelines.formats.base import Document, Sink, Writer
from export_pipelines.formats.columns import check_columns
from export_pipelines.formats.parquet_dictionaries import leaves_of, with_dictionary
from export_pipelines.formats.sink import SinkFile
from export_pipelines.spec.formats import ParquetFormat


class ParquetWriter(Writer[ParquetFormat]):
    """Writes Parquet with the source's exact types, lists, structs and the Arrow schema included.

    Row groups have exactly the spec's `row_group_rows` however the rows arrive, so at most that many are in memory.
    Columns whose values repeat in the first of them get dictionaries.
    """

    media_type = "application/vnd.apache.parquet"
    extension = ".parquet"

    def __init__(self, sink: Sink, spec: ParquetFormat, document: Document) -> None:
        super().__init__(sink, spec, document)
        self._waiting: deque[pa.RecordBatch] = deque()
        self._waiting_rows = 0

    def begin(self, dataset: str, schema: pa.Schema) -> None:
        """Plan the columns. Raises FormatError if Parquet has no such column type."""
        check_columns(dataset, schema)
        self._leaves = [_leaves(dataset, field) for field in schema]
        self._dataset, self._schema = dataset, schema
        self._file: pq.ParquetWriter | None = None

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
        self._file = self._file or self._begun(self._schema.empty_table())

    def close(self) -> None:
        """Write the file's foot, which tells where its parts are."""
        if self._file is not None:
            self._file.close()

    def _begun(self, group: pa.Table) -> pq.ParquetWriter:
        """The file, whose columns suit its first row group."""
        chosen = with_dictionary(group, self._leaves)
        target = SinkFile(self.sink, self)
        return pq.ParquetWriter(target, self._schema, compression=self.spec.compression, use_dictionary=chosen)

    def _write_group(self, rows: int) -> None:
        group = self._group(rows)
        self._file = self._file or self._begun(group)
        try:
            self._file.write_table(group, row_group_size=rows)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise FormatError(f"cannot write dataset {self._dataset!r} as Parquet: {error}") from error

    def _group(self, rows: int) -> pa.Table:
        """So many of the waiting rows, which are released."""
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
        return pa.Table.from_batches(parts, self._schema).combine_chunks()


def _leaves(dataset: str, field: pa.Field) -> list[str]:
    try:
        return leaves_of(field)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise FormatError(
            f"Parquet cannot hold column {field.name!r} ({field.type}) of dataset {dataset!r}: {error}",
            hint="Cast the column to text in the query",
        ) from error
