"""DuckDB over a folder of files, and over a database file."""

# ruff: noqa: DTZ001 - some columns have no timezone

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from export_pipelines.errors import ColumnTypeError, ConfigurationError, PermanentError, QueryError
from export_pipelines.sources.duckdb import DuckdbSource
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.datasets import DatasetSpec
from export_pipelines_tests.contracts.source_contract import SourceContract
from export_pipelines_tests.contracts.source_rows import STUDENTS, read


class DuckdbContract(SourceContract):
    """The contract, for both."""

    path: Path

    def source(self, **connection: Any) -> DuckdbSource:
        url = f"duckdb:///{quote(str(self.path))}"
        return DuckdbSource("school", ConnectionSpec(url=url, **connection), url)


class TestFolder(DuckdbContract):
    """A folder."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "files [1]"
        self.path.mkdir()
        pq.write_table(STUDENTS, self.path / "students.parquet")


class TestDatabaseFile(DuckdbContract):
    """A database file."""

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "school.duckdb"
        with duckdb.connect(str(self.path)) as connection:
            students = STUDENTS  # noqa: F841 - DuckDB finds it by its name
            connection.execute("create table students as select * from students")


def source(path: Path, **connection: Any) -> DuckdbSource:
    """A source of this folder or file."""
    url = f"duckdb:///{quote(str(path))}"
    return DuckdbSource("school", ConnectionSpec(url=url, **connection), url)


class TestFiles:
    """What a folder offers, and what it does not."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "data"
        folder.mkdir()
        (folder / "grades.csv").write_text("id,score,day,who\n1,2.5,2024-01-01,ann\n2,,2024-01-02,\n")
        pq.write_table(STUDENTS.select(["id", "name"]), folder / "students.parquet")
        (tmp_path / "secret.csv").write_text("a\n1\n")
        return folder

    def test_csv_and_parquet_together(self, folder: Path) -> None:
        sql = "select s.id, name, score, day from students s join grades using (id) where day >= :window_start_date order by id"
        found = read(source(folder), sql=sql)
        assert found.schema.types == [pa.int64(), pa.string(), pa.float64(), pa.date32()]
        assert found["score"].to_pylist() == [2.5, None]

    def test_names_of_files_are_names_of_tables(self, folder: Path) -> None:
        names = ["a[1]", "b*", "c'd", 'e"f', "g?", "ü x", "b2"]
        for number, name in enumerate(names):
            (folder / f"{name}.CSV").write_text(f"n\n{number}\n")
        for number, name in enumerate(names):
            table = '"' + name.replace('"', '""') + '"'
            assert read(source(folder), table=table)["n"].to_pylist() == [number]

    def test_files_that_no_query_names_do_not_matter(self, folder: Path) -> None:
        (folder / "broken.parquet").write_bytes(b"half of a file")
        assert (
            read(
                source(folder), sql="with s as (select * from GRADES where id > :n) select * from s", params={"n": 0}
            ).num_rows
            == 2
        )
        with pytest.raises(QueryError, match=r"broken\.parquet"):
            read(source(folder), table="broken")

    def test_two_files_of_one_name(self, folder: Path) -> None:
        (folder / "Grades.parquet").write_bytes((folder / "students.parquet").read_bytes())
        with pytest.raises(ConfigurationError, match=r"Grades\.parquet and grades\.csv"):
            read(source(folder), table="grades")
        assert read(source(folder), table="students").num_rows == 5

    @pytest.mark.parametrize(
        "sql",
        ["select * from read_csv('{0}/../secret.csv')", "select * from '{0}/../secret.csv'", "select * from read_text('/etc/hostname')",
         "select * from glob('/etc/*')", "select * from read_csv('http://127.0.0.1:1/x.csv')", "copy grades to '{0}/new.csv'",
         "attach '{0}/new.duckdb'", "set enable_external_access = true", "install httpfs", "load httpfs", "pragma version",
         "export database '{0}/new'", "call pragma_version()", "explain select 1", "from grades; from grades",
         "create table new as from grades"],
    )  # fmt: skip
    def test_queries_stay_inside_and_only_read(self, folder: Path, sql: str) -> None:
        before = sorted(folder.iterdir())
        with pytest.raises(PermanentError):
            read(source(folder), sql=sql.format(folder))
        assert sorted(folder.iterdir()) == before

    def test_a_database_file_reaches_no_other_file(self, tmp_path: Path) -> None:
        with duckdb.connect(str(tmp_path / "a.duckdb")) as connection:
            connection.execute("create table t as select 1 as x")
        (tmp_path / "secret.csv").write_text("a\n1\n")
        with pytest.raises(QueryError, match="Permission"):
            read(source(tmp_path / "a.duckdb"), sql=f"select * from read_csv('{tmp_path}/secret.csv')")

    def test_one_database_file_read_twice_at_once(self, tmp_path: Path) -> None:
        with duckdb.connect(str(tmp_path / "a.duckdb")) as connection:
            connection.execute("create table t as select 1 as x")
        with source(tmp_path / "a.duckdb").open({"t": DatasetSpec(table="t")}, values={}) as outer:
            assert read(source(tmp_path / "a.duckdb"), table="t")["x"].to_pylist() == [1]
            assert next(iter(outer.streams["t"])).num_rows == 1

    def test_what_is_missing_or_no_database(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="no folder or DuckDB database"):
            read(source(tmp_path / "missing"), table="t")
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "note.duckdb").write_text("no database at all" * 1000)
        with pytest.raises(ConfigurationError, match="not a valid DuckDB database"):
            read(source(tmp_path / "note.duckdb"), table="t")
        with pytest.raises(QueryError, match="grades"):
            read(source(tmp_path), table="grades")


class TestQueries:
    """What DuckDB's types become, and limits."""

    @pytest.mark.parametrize(
        ("expression", "kind", "value"),
        [("1::utinyint", pa.int64(), 1), ("1.5::float", pa.float64(), 1.5), ("sum(7)", pa.decimal128(38, 0), Decimal(7)),
         ("'x'::enum('x', 'y')", pa.string(), "x"), ("null", pa.string(), None), ("'{\"a\": 1}'::json", pa.string(), '{"a": 1}'),
         ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", pa.string(), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
         ("timestamp_ns '2024-01-01 00:00:00.000001'", pa.timestamp("us"), datetime(2024, 1, 1, 0, 0, 0, 1)),
         ("timestamp_s '2024-01-01'", pa.timestamp("us"), datetime(2024, 1, 1))],
    )  # fmt: skip
    def test_types(self, tmp_path: Path, expression: str, kind: pa.DataType, value: Any) -> None:
        found = read(source(tmp_path), sql=f"select {expression} as x")
        assert (found.schema.field("x").type, found["x"][0].as_py()) == (kind, value)

    @pytest.mark.parametrize(
        "expression", ["[1, 2]", "{'a': 1}", "interval 1 day", "date 'infinity'", "18446744073709551615::ubigint"]
    )
    def test_what_has_no_place_in_files(self, tmp_path: Path, expression: str) -> None:
        with pytest.raises(ColumnTypeError, match="column 'x'"):
            read(source(tmp_path), sql=f"select {expression} as x")

    def test_a_statement_that_takes_too_long(self, tmp_path: Path) -> None:
        sql = "select sum(i * j) as x from range(1000000) t(i), range(1000000) u(j)"
        with pytest.raises(QueryError, match=r"ended after 0.1 s.*statement_timeout_seconds"):
            read(source(tmp_path, statement_timeout_seconds=0.1), sql=sql)

    def test_an_error_in_the_middle(self, tmp_path: Path) -> None:
        sql = "select cast(case when i = 300000 then 'no number' else '1' end as int) as x from range(400000) t(i)"
        with pytest.raises(QueryError, match="no number"):
            read(source(tmp_path, batch_rows=10_000), sql=sql)

    def test_closing_in_the_middle(self, tmp_path: Path) -> None:
        dataset = DatasetSpec(sql="select i from range(10000000000) t(i)")
        with source(tmp_path, batch_rows=1000).open({"rows": dataset}, values={}) as snapshot:
            assert next(iter(snapshot.streams["rows"])).num_rows == 1000
