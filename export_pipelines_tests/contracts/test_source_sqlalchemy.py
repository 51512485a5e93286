"""Databases through SQLAlchemy."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pytest

from export_pipelines.errors import ColumnTypeError, ConfigurationError, QueryError, SourceUnavailableError
from export_pipelines.sources.sqlalchemy import SqlalchemySource
from export_pipelines.sources.types import UTC_TIMESTAMP
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.datasets import DatasetSpec
from export_pipelines_tests.contracts.source_contract import SourceContract
from export_pipelines_tests.contracts.source_rows import read
from export_pipelines_tests.contracts.source_secrets import CANARY, assert_without_secret, shown
from export_pipelines_tests.contracts.test_source_postgres import make_students as make_in_postgres
from export_pipelines_tests.contracts.test_source_sqlite import make_students as make_in_sqlite
from export_pipelines_tests.servers import LOCKED_ROLE, PostgresServer


class SqlalchemyContract(SourceContract):
    """The contract, for all of them."""

    url: str

    def source(self, **connection: Any) -> SqlalchemySource:
        return SqlalchemySource("school", ConnectionSpec(url=self.url, **connection), self.url)


class TestPysqlite(SqlalchemyContract):
    """SQLite through Python's own driver."""

    compares_text_as_numbers = False

    @pytest.fixture(autouse=True)
    def _database(self, tmp_path: Path) -> None:
        make_in_sqlite(tmp_path / "school.db")
        self.url = f"sqlite+pysqlite:///{tmp_path}/school.db"


@pytest.fixture(scope="module")
def psycopg2_types_url(postgres: PostgresServer) -> Any:
    with postgres.database() as name:
        make_in_postgres(postgres, name)
        yield postgres.url(name, driver="psycopg2")


class TestPsycopg2(SqlalchemyContract):
    """PostgreSQL through psycopg2."""

    @pytest.fixture(autouse=True)
    def _database(self, psycopg2_types_url: str) -> None:
        self.url = psycopg2_types_url


def source(url: str, **connection: Any) -> SqlalchemySource:
    """A source of this URL."""
    return SqlalchemySource("school", ConnectionSpec(url=url, **connection), url)


@pytest.fixture
def psycopg2_url(postgres: PostgresServer, postgres_database: str) -> str:
    """The URL of a new, empty PostgreSQL database."""
    return postgres.url(postgres_database, driver="psycopg2")


@pytest.fixture
def numbers(tmp_path: Path) -> str:
    """The URL of a SQLite database with the tables `a` and `b` of 999 rows."""
    with closing(sqlite3.connect(tmp_path / "numbers.db")) as connection:
        for name in "ab":
            rows = "with recursive g(n) as (select 1 union all select n + 1 from g where n < 999) select n from g"
            connection.execute(f"create table {name} as {rows}")
        connection.execute("pragma journal_mode = wal")
    return f"sqlite+pysqlite:///{tmp_path}/numbers.db"


class TestTypes:
    """Types of rows that are Python objects."""

    @pytest.mark.parametrize(
        ("expression", "kind", "value"),
        [("1.5::numeric", pa.decimal128(38, 9), Decimal("1.5")), ("null", pa.string(), None), ("'x'::bytea", pa.binary(), b"x"),
         ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", pa.string(), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
         ("timestamptz '2024-07-01 00:00+09'", UTC_TIMESTAMP, datetime(2024, 6, 30, 15, tzinfo=UTC)),
         ("'100%' || ' :x'", pa.string(), "100% :x")],
    )  # fmt: skip
    def test_inferred_from_values(self, psycopg2_url: str, expression: str, kind: pa.DataType, value: Any) -> None:
        found = read(source(psycopg2_url), sql=f"select {expression} as x")
        assert (found.schema.field("x").type, found["x"][0].as_py()) == (kind, value)

    @pytest.mark.parametrize("expression", ["array[1]", "'{\"a\": 1}'::jsonb", "interval '1 day'"])
    def test_without_a_place_in_files(self, psycopg2_url: str, expression: str) -> None:
        with pytest.raises(ColumnTypeError, match=r"'x' has the database type.*CAST"):
            read(source(psycopg2_url), sql=f"select {expression} as x")

    def test_the_first_batch_decides(self, numbers: str) -> None:
        sql = "select case when n > 500 then n + 0.5 else n end as x from a"
        with pytest.raises(ColumnTypeError, match=r"'x' is int64, but the value 501.5"):
            read(source(numbers, batch_rows=100), sql=sql)
        assert read(source(numbers, batch_rows=100), sql=sql, types={"x": "float64"}).num_rows == 999

    def test_a_column_that_mixes_types(self, numbers: str) -> None:
        with pytest.raises(ColumnTypeError, match="'x' mixes values"):
            read(source(numbers), sql="select case when n > 500 then 'many' else n end as x from a")

    def test_definitions_of_tables_win(
        self, postgres: PostgresServer, postgres_database: str, psycopg2_url: str
    ) -> None:
        postgres.run(
            'create table "T" (a numeric(50,2), b numeric, c timestamptz, d real, e uuid, f text)', postgres_database
        )
        with pytest.raises(ColumnTypeError, match=r"numeric\(50,2\)"):
            read(source(psycopg2_url), table="T")
        found = read(source(psycopg2_url), table="T", types={"a": "decimal(38,2)"})
        expected = [pa.decimal128(38, 2), pa.decimal128(38, 9), UTC_TIMESTAMP, pa.float64(), pa.string(), pa.string()]
        assert found.schema.types == expected


class TestTransaction:
    """One read-only snapshot, where the database has it."""

    def test_one_state_on_postgresql(self, postgres: PostgresServer, postgres_database: str, psycopg2_url: str) -> None:
        for name in "ab":
            postgres.run(f"create table {name} as select 1 as n", postgres_database)
        datasets = {name: DatasetSpec(table=name) for name in "ab"}
        with source(psycopg2_url).open(datasets, values={}) as snapshot:
            postgres.run("insert into b select 2", postgres_database)
            assert [sum(batch.num_rows for batch in snapshot.streams[name]) for name in "ab"] == [1, 1]

    def test_one_state_on_sqlite(self, numbers: str) -> None:
        datasets = {name: DatasetSpec(table=name) for name in "ab"}
        with source(numbers, batch_rows=10).open(datasets, values={}) as snapshot:
            with closing(sqlite3.connect(numbers.partition("///")[2])) as writer, writer:
                writer.execute("delete from b")
            assert [sum(batch.num_rows for batch in snapshot.streams[name]) for name in "ab"] == [999, 999]
        assert read(source(numbers), table="b").num_rows == 0

    @pytest.mark.parametrize("sql", ["select nextval('counter')", "select lo_create(0)"])
    def test_functions_cannot_write(
        self, postgres: PostgresServer, postgres_database: str, psycopg2_url: str, sql: str
    ) -> None:
        postgres.run("create sequence counter", postgres_database)
        with pytest.raises(QueryError, match=r"read-only.*25006.*write a SELECT"):
            read(source(psycopg2_url), sql=sql)
        assert postgres.run("select is_called from counter", postgres_database) == [(False,)]


class TestFailures:
    """What goes wrong outside."""

    def test_a_terminated_session(self, postgres: PostgresServer, psycopg2_url: str) -> None:
        dataset = DatasetSpec(sql="select i, pg_backend_pid() as pid from generate_series(1, 100000) i")
        with source(psycopg2_url, batch_rows=100).open({"rows": dataset}, values={}) as snapshot:
            stream = iter(snapshot.streams["rows"])
            pid = next(stream)["pid"][0].as_py()
            assert postgres.run("select pg_terminate_backend(%s, 5000)", params=[pid]) == [(True,)]
            with pytest.raises(SourceUnavailableError, match="dataset 'rows'"):
                list(stream)

    def test_a_statement_that_takes_too_long(self, psycopg2_url: str, numbers: str) -> None:
        slow = "select count(*) as x from a, b, a as c, b as d"
        for url, sql in ((psycopg2_url, "select pg_sleep(30)"), (numbers, slow)):
            with pytest.raises(QueryError, match=r"ended after 0.2 s.*statement_timeout_seconds"):
                read(source(url, statement_timeout_seconds=0.2), sql=sql)

    def test_an_error_in_the_middle(self, psycopg2_url: str) -> None:
        with pytest.raises(QueryError, match=r"division by zero.*22012"):
            read(source(psycopg2_url, batch_rows=2), sql="select 1/(5-i) as x from generate_series(1, 9) i")

    def test_secrets_stay_inside(self, postgres: PostgresServer) -> None:
        secret = quote(CANARY, safe="")
        with closing(socket.socket()) as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
            for url, kind in (
                (f"postgresql+psycopg2://ann:{secret}@127.0.0.1:{port}/school", SourceUnavailableError),
                (postgres.url(user=LOCKED_ROLE, password=CANARY + "?", driver="psycopg2"), QueryError),
                (f"postgresql+psycopg2://ann:{secret}@127.0.0.1:port/school", ConfigurationError),
                (f"nosuchdatabase://ann:{secret}@127.0.0.1/school", ConfigurationError),
                (f"mysql+nosuchdriver://ann:{secret}@127.0.0.1/school", ConfigurationError),
            ):
                with pytest.raises(kind) as caught:
                    read(source(url), sql="select 1")
                assert_without_secret(caught.value)
                assert url not in shown(caught.value)

    def test_values_stay_inside(self, numbers: str) -> None:
        with pytest.raises(QueryError) as caught:
            read(source(numbers), sql="select nothing from a where n = :n", params={"n": CANARY})
        assert_without_secret(caught.value)

    def test_a_missing_sqlite_file_is_not_created(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"missing\.db"):
            read(source(f"sqlite+pysqlite:///{tmp_path}/missing.db"), sql="select 1")
        assert list(tmp_path.iterdir()) == []
