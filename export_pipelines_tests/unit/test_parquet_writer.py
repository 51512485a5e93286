"""Parquet keeps the source's types and makes row groups of the size asked for."""

from __future__ import annotations

import gc
import io
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from export_pipelines.errors import FormatError
from export_pipelines.formats.parquet import ParquetWriter
from export_pipelines.formats.sink import FileSink
from export_pipelines.spec.formats import ParquetFormat
from export_pipelines_tests.contracts.format_writing import TYPED, dataset, document, write_file


def test_types_and_values_are_exactly_the_source_s() -> None:
    table = TYPED.append_column("uuid", pa.array([uuid.uuid4(), None, uuid.UUID(int=0), None], pa.uuid()))
    table = table.append_column("coded", table["text"].dictionary_encode())
    table = table.append_column("zone", table["aware"].cast(pa.timestamp("us", "Europe/Berlin")))
    data = write_file(ParquetFormat(), {"rows": dataset(table, 1)})
    assert pq.read_table(io.BytesIO(data)).equals(table)
    assert pq.read_schema(io.BytesIO(data)) == table.schema


@pytest.mark.parametrize("batch_rows", [1, 999, 1_000, 2_500, 10_000])
def test_row_groups_do_not_follow_the_batches(batch_rows: int) -> None:
    table = pa.table({"id": range(3_500)})
    data = write_file(ParquetFormat(row_group_rows=1_000), {"rows": dataset(table, batch_rows)})
    file = pq.ParquetFile(io.BytesIO(data))
    groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert groups == [1_000, 1_000, 1_000, 500]
    assert file.read().equals(table)


@pytest.mark.parametrize(("compression", "codec"), [("zstd", "ZSTD"), ("snappy", "SNAPPY"), ("none", "UNCOMPRESSED")])
def test_compression_is_inside(compression: str, codec: str) -> None:
    data = write_file(ParquetFormat.model_validate({"compression": compression}), {"rows": dataset(TYPED)})
    assert data[:4] == b"PAR1"
    assert pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(0).compression == codec


def test_types_that_parquet_lacks_are_refused_before_anything_is_written() -> None:
    table = pa.table({"id": [1], "age": pa.array([None], pa.month_day_nano_interval())})
    file = io.BytesIO()
    with pytest.raises(FormatError, match=r"'age' .*Cast"):
        ParquetWriter(FileSink(file), ParquetFormat(), document()).begin("rows", table.schema)
    assert file.getvalue() == b""


def test_an_abandoned_file_stays_silent(capfd: pytest.CaptureFixture[str]) -> None:
    file = io.BytesIO()
    writer = ParquetWriter(FileSink(file), ParquetFormat(row_group_rows=1_000), document())
    writer.begin("rows", pa.schema([("id", pa.int64())]))
    writer.write(pa.record_batch({"id": range(1_500)}))
    file.close()
    del writer
    gc.collect()
    assert capfd.readouterr().err == ""


def test_dictionaries_are_for_columns_whose_values_repeat() -> None:
    rows = range(20_000)
    table = pa.table(
        {
            "id": pa.array(rows),
            "a.b": pa.array([f"text {i}" for i in rows]),
            "city": pa.array([f"city {i % 50}" if i % 3 else None for i in rows]),
            "empty": pa.nulls(20_000, pa.string()),
            "list": pa.array([[i, i + 1] for i in rows]),
            "pair": pa.array([{"x": i, "y": "y"} for i in rows]),
        }
    )
    data = write_file(ParquetFormat(row_group_rows=8_000), {"rows": dataset(table, 3_000)})
    assert pq.read_table(io.BytesIO(data)).equals(table)
    group = pq.read_metadata(io.BytesIO(data)).row_group(2)
    columns = [group.column(i) for i in range(group.num_columns)]
    coded = {column.path_in_schema for column in columns if column.has_dictionary_page}
    assert coded == {"city", "empty", "list.list.element", "pair.x", "pair.y"}


def test_a_dictionary_depends_on_the_rows_and_not_on_their_batches() -> None:
    table = pa.table({"id": range(5_000), "half": [i // 2 for i in range(5_000)]})
    assert len({write_file(ParquetFormat(), {"rows": dataset(table, rows)}) for rows in (1, 700, 5_000)}) == 1
