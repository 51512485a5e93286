"""SQLite through ADBC."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pytest

from export_pipelines.errors import ColumnTypeError, ConfigurationError, QueryError, SourceUnavailableError
from export_pipelines.sources.sqlite import SqliteSource
from export_pipelines.sources.sqlite_columns import sqlite_type
from export_pipelines.sources.types import UTC_TIMESTAMP
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.datasets import DatasetSpec
from export_pipelines_tests.contracts.source_contract import SourceContract
from export_pipelines_tests.contracts.source_rows import SQLITE_DDL, read, sqlite_values


def make_students(path: Path) -> None:
    """Write a SQLite database with the table `students`."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(SQLITE_DDL)
        rows = sqlite_values()
        connection.executemany(f"insert into students values ({', '.join('?' * len(rows[0]))})", rows)


class TestSqlite(SourceContract):
    """The contract."""

    compares_text_as_numbers = False

    @pytest.fixture(autouse=True)
    def _database(self, tmp_path: Path) -> None:
        self.path = tmp_path / "sch#ool %20?.db"
        make_students(self.path)

    def source(self, **connection: Any) -> SqliteSource:
        url = f"sqlite:///{quote(str(self.path))}"
        return SqliteSource("school", ConnectionSpec(url=url, **connection), url)


def source(path: Path, **connection: Any) -> SqliteSource:
    """A source of this file."""
    url = f"sqlite:///{quote(str(path))}"
    return SqliteSource("school", ConnectionSpec(url=url, **connection), url)


def make(path: Path, *statements: str) -> Path:
    """Write a database."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    return path


def elsewhere(path: Path, statement: str) -> str:
    """Execute and commit a statement in another process that waits for no lock; return "done" or the error."""
    program = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0)
try:
    connection.execute(sys.argv[2])
    connection.commit()
    print("done")
except sqlite3.OperationalError as error:
    print(error)
"""
    command = [sys.executable, "-c", program, str(path), statement]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def held_exclusively(path: Path) -> Iterator[None]:
    """Another process holds the lock for writing. (Locks of this process would not stop itself.)"""
    program = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("begin exclusive")
print("locked", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield
        process.communicate("")


class TestTypes:
    """Declared types, and what to do without."""

    @pytest.mark.parametrize(
        ("declaration", "kind"),
        [("INTEGER", pa.int64()), ("unsigned big int", pa.int64()), ("int8", pa.int64()), ("real", pa.float64()),
         ("double precision", pa.float64()), ("FLOAT(8)", pa.float64()), ("boolean", pa.bool_()), ("bool", pa.bool_()),
         ("varchar(20)", pa.string()), ("nvarchar (20)", pa.string()), ("CLOB", pa.string()), ("json", pa.string()),
         ("uuid", pa.string()), ("varbinary(16)", pa.binary()), ("date", pa.date32()), ("time", pa.time64("us")),
         ("datetime", pa.timestamp("us")), ("TIMESTAMP WITHOUT TIME ZONE", pa.timestamp("us")),
         ("timestamp(3)", pa.timestamp("us")), ("timestamptz", UTC_TIMESTAMP), ("Timestamp with time zone", UTC_TIMESTAMP),
         ("timestamp (3) with time zone", UTC_TIMESTAMP), ("decimal(12,2)", pa.decimal128(12, 2)),
         ("NUMERIC ( 12 , 2 )", pa.decimal128(12, 2)), ("decimal(5)", pa.decimal128(5, 0)),
         ("numeric", pa.decimal128(38, 9)), ("NUM", None), ("", None), ("BLOB", None)],
    )  # fmt: skip
    def test_declarations(self, declaration: str, kind: pa.DataType | None) -> None:
        assert sqlite_type(declaration) == kind

    @pytest.mark.parametrize(
        ("text", "instant"),
        [("2024-01-01 10:00:00", 10 * 3600), ("2024-01-01T10:00:00Z", 10 * 3600), ("2024-01-01 10:00", 10 * 3600),
         ("2024-01-01 10:00:00+00:00", 10 * 3600), ("2024-01-01 10:00:00.250000+02:00", 8 * 3600 + 0.25),
         ("2024-01-01T10:00:00.5-0530", 15.5 * 3600 + 0.5), ("2024-01-01", 0), ("2024-01-01 10:00+02", 8 * 3600)],
    )  # fmt: skip
    def test_ways_to_write_an_instant(self, tmp_path: Path, text: str, instant: float) -> None:
        path = make(tmp_path / "a.db", "create table t (x timestamptz)")
        make(path, "insert into t values ('2023-06-01 00:00:00'), ('2023-06-01T00:00:00+00:00'), (null)")
        make(path, f"insert into t values ('{text}')")
        found = read(source(path), table="t", columns=["x"])["x"][3].as_py()
        assert found == datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=instant)

    def test_numbers_in_decimal_columns(self, tmp_path: Path) -> None:
        path = make(
            tmp_path / "a.db",
            "create table t (id integer primary key, small decimal(12,2), large decimal(20,2), note text)",
            "insert into t values (1, 0.1 + 0.2, 12345678901234567, '1.005'), (2, 1.006, 0.1 + 0.2, '2.50')",
            "insert into t values (3, -7, 1.006, '3'), (4, '8.25', 12345678901.25, '-0.125')",
        )
        found = read(source(path), table="t", order_by=["id"], types={"note": "decimal(5,3)"})
        assert found.schema.types[1:] == [pa.decimal128(12, 2), pa.decimal128(20, 2), pa.decimal128(5, 3)]
        assert [str(value) for value in found["small"].to_pylist()] == ["0.30", "1.01", "-7.00", "8.25"]
        assert [str(value) for value in found["large"].to_pylist()] == [
            "12345678901234567.00",
            "0.30",
            "1.01",
            "12345678901.25",
        ]
        assert [str(value) for value in found["note"].to_pylist()] == ["1.005", "2.500", "3.000", "-0.125"]
        with pytest.raises(ColumnTypeError, match=r"'note' is decimal\(5,2\), but the value '1.005'"):
            read(source(path), table="t", types={"note": "decimal(5,2)"})

    @pytest.mark.parametrize("rows", [2, 1000])
    @pytest.mark.parametrize(
        ("declaration", "value", "message"),
        [("integer", "'abc'", "int64.*'abc'"), ("integer", "1.5", "int64.*'1.5'"), ("real", "'abc'", "float64.*'abc'"),
         ("decimal(5,2)", "'abc'", r"decimal\(5,2\).*'abc'"), ("decimal(5,2)", "1234.5", r"decimal\(5,2\).*1234.5"),
         ("boolean", "2", "bool.*2"), ("boolean", "'true'", "bool.*'true'"), ("date", "20240101", "date.*'20240101'"),
         ("date", "'01.02.2024'", "date.*'01.02.2024'"), ("timestamp", "1700000000", "timestamp.*'1700000000'"),
         ("timestamp", "'2024-01-01 00:00Z'", "timestamp.*00:00Z"), ("timestamptz", "'soon'", "timestamptz.*'soon'"),
         ("time", "'25:00'", "time.*25:00"), ("date", "9e999", "date.*Inf")],
    )  # fmt: skip
    def test_values_that_do_not_fit(
        self, tmp_path: Path, declaration: str, value: str, message: str, rows: int
    ) -> None:
        path = make(tmp_path / "a.db", f"create table t (id integer primary key, x {declaration})")
        make(path, f"insert into t values (1, null), (2, null), (3, null), (4, null), (5, {value})")
        with pytest.raises(ColumnTypeError, match=f"dataset 'rows': column 'x' is {message}"):
            read(source(path, batch_rows=rows), table="t", order_by=["id"])

    @pytest.mark.parametrize(
        ("expression", "kind", "value"),
        [("'x'", pa.string(), "x"), ("1.5", pa.float64(), 1.5), ("7", pa.int64(), 7), ("x'00'", pa.binary(), b"\0")],
    )
    @pytest.mark.parametrize("rows", [1, 2, 7, 1000])
    def test_columns_without_declaration(
        self, tmp_path: Path, expression: str, kind: pa.DataType, value: Any, rows: int
    ) -> None:
        path = make(tmp_path / "a.db", "create table t (id)", "insert into t values (1), (2), (3), (4), (5)")
        sql = f"select case when id > 3 then {expression} end as x, id from t where id > :low order by id"
        found = read(source(path, batch_rows=rows), sql=sql, params={"low": 0})
        assert (found.schema.field("x").type, found["x"].to_pylist()) == (kind, [None, None, None, value, value])
        assert found["id"].to_pylist() == [1, 2, 3, 4, 5]

    def test_columns_without_any_value_are_text(self, tmp_path: Path) -> None:
        path = make(
            tmp_path / "a.db", "create table t (a, b blob, c integer)", "insert into t values (null, null, null)"
        )
        found = read(source(path), sql="select null as n, count(*) as k, c + 1 as d, b, c from t group by c")
        assert found.schema.types == [pa.string(), pa.int64(), pa.string(), pa.binary(), pa.int64()]

    def test_a_column_that_mixes_types(self, tmp_path: Path) -> None:
        path = make(tmp_path / "a.db", "create table t (x)", "insert into t values (1), (1.123456789), ('a'), (null)")
        found = read(source(path), sql="select x from t")
        assert found["x"].to_pylist() == ["1", "1.123456789", "a", None]
        with pytest.raises(ColumnTypeError, match=r"'x' is int64.*'1.123456789'.*types: \{x: string\}"):
            read(source(path, batch_rows=2), sql="select x from t")
        assert read(source(path, batch_rows=2), sql="select x from t", types={"x": "string"}).num_rows == 4

    def test_text_that_is_not_utf8(self, tmp_path: Path) -> None:
        path = make(tmp_path / "a.db", "create table t (x text)", "insert into t values (cast(x'61ff' as text))")
        with pytest.raises(ColumnTypeError, match=r"'x' holds text that is not UTF-8"):
            read(source(path), table="t")


class TestTransaction:
    """One snapshot beside processes that write."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        numbers = "with recursive g(n) as (select 1 union all select n + 1 from g where n < 999) select n from g"
        return make(tmp_path / "a.db", f"create table a as {numbers}", f"create table b as {numbers}")

    def test_writers_go_on_in_wal_mode_and_are_not_seen(self, path: Path) -> None:
        make(path, "pragma journal_mode = wal")
        datasets = {"a": DatasetSpec(table="a"), "b": DatasetSpec(table="b")}
        with source(path, batch_rows=10).open(datasets, values={}) as snapshot:
            stream = iter(snapshot.streams["a"])
            first = next(stream)
            assert elsewhere(path, "insert into a select 1000") == "done"
            assert elsewhere(path, "delete from b") == "done"
            assert first.num_rows + sum(batch.num_rows for batch in stream) == 999
            assert sum(batch.num_rows for batch in snapshot.streams["b"]) == 999
        assert read(source(path), table="b").num_rows == 0

    def test_writers_wait_with_a_rollback_journal(self, path: Path) -> None:
        datasets = {"a": DatasetSpec(table="a"), "b": DatasetSpec(table="b")}
        snapshot = source(path, batch_rows=10).open(datasets, values={})
        assert elsewhere(path, "delete from b") == "database is locked"
        list(snapshot.streams["a"])
        assert elsewhere(path, "delete from b") == "database is locked"
        next(iter(snapshot.streams["b"]))
        snapshot.streams["b"].close()
        assert elsewhere(path, "delete from b") == "done"

    def test_a_locked_database_is_tried_again(self, path: Path) -> None:
        with (
            held_exclusively(path),
            pytest.raises(SourceUnavailableError, match=r"dataset 'rows'.*locked.*tried again"),
        ):
            read(source(path, connect_timeout_seconds=0.05), table="a")
        assert read(source(path), table="a").num_rows == 999

    def test_the_file_is_not_touched(self, path: Path, tmp_path: Path) -> None:
        before = path.read_bytes()
        for sql in (f"attach '{tmp_path}/other.db' as other", "vacuum", "pragma user_version = 5", "reindex", "begin",
                    f"vacuum into '{tmp_path}/other.db'", "select load_extension('x')", "explain select 1"):  # fmt: skip
            with pytest.raises(QueryError):
                read(source(path), sql=sql)
        assert path.read_bytes() == before
        assert [file.name for file in tmp_path.iterdir()] == ["a.db"]

    def test_a_slow_query_ends_with_its_batch(self, path: Path) -> None:
        sql = "select count(*) as n from a, b where a.n + b.n < :most"
        with pytest.raises(QueryError, match=r"longer than 0.001 s.*statement_timeout_seconds"):
            read(source(path, statement_timeout_seconds=0.001), sql=sql, params={"most": 300})


class TestFiles:
    """What the URL may name."""

    def test_a_missing_file(self, tmp_path: Path) -> None:
        missing = tmp_path / "missing.db"
        with pytest.raises(ConfigurationError, match=r"missing\.db.*`exports demo`"):
            read(source(missing), sql="select 1")
        assert not missing.exists()

    def test_what_is_no_database(self, tmp_path: Path) -> None:
        (tmp_path / "note.txt").write_text("no database at all" * 100)
        with pytest.raises(QueryError, match="not a database"):
            read(source(tmp_path / "note.txt"), sql="select 1 as x")
        with pytest.raises(ConfigurationError):
            read(source(tmp_path), sql="select 1 as x")

    @pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"])
    def test_databases_in_memory(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match="needs a file"):
            read(SqliteSource("school", ConnectionSpec(url=url), url), sql="select 1")

    def test_relative_paths(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make(tmp_path / "a.db", "create table t (x integer)")
        monkeypatch.chdir(tmp_path)
        assert (
            read(SqliteSource("school", ConnectionSpec(url="sqlite:///a.db"), "sqlite:///a.db"), table="t").num_rows
            == 0
        )
