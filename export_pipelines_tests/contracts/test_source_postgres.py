"""PostgreSQL through ADBC."""

# ruff: noqa: DTZ001 - some columns have no timezone

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pytest
from adbc_driver_postgresql import dbapi
from psycopg2 import sql

from export_pipelines.errors import ColumnTypeError, ConfigurationError, QueryError, SourceUnavailableError
from export_pipelines.sources.postgres import PostgresSource
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.datasets import DatasetSpec
from export_pipelines_tests.contracts.source_contract import SourceContract
from export_pipelines_tests.contracts.source_rows import POSTGRES_DDL, python_values, read
from export_pipelines_tests.contracts.source_secrets import CANARY, assert_without_secret, shown
from export_pipelines_tests.servers import LOCKED_PASSWORD, LOCKED_ROLE, PostgresServer


def make_students(server: PostgresServer, database: str) -> None:
    """Create the table `students`."""
    server.run(POSTGRES_DDL, database)
    for row in python_values():
        marks = sql.SQL(", ").join([sql.Placeholder()] * len(row))
        server.run(sql.SQL("insert into students values ({})").format(marks), database, row)


@pytest.fixture(scope="module")
def students(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a database with the table `students`, whose sessions have settings that must not matter."""
    with postgres.database() as name:
        make_students(postgres, name)
        for setting in (
            "timezone = 'Asia/Tokyo'",
            "datestyle = 'German'",
            "bytea_output = 'escape'",
            "lc_messages = 'C'",
        ):
            postgres.run(sql.SQL("alter database {} set " + setting).format(sql.Identifier(name)))
        yield postgres.url(name)


class TestPostgres(SourceContract):
    """The contract."""

    @pytest.fixture(autouse=True)
    def _database(self, students: str) -> None:
        self.url = students

    def source(self, **connection: Any) -> PostgresSource:
        return PostgresSource("school", ConnectionSpec(url=self.url, **connection), self.url)


def source(url: str, **connection: Any) -> PostgresSource:
    """A source of this URL."""
    return PostgresSource("school", ConnectionSpec(url=url, **connection), url)


def one(url: str, expression: str, **dataset: Any) -> tuple[pa.DataType, Any]:
    """Type and value of an expression."""
    found = read(source(url), sql=f"select {expression} as x", **dataset)
    return found.schema.field("x").type, found["x"][0].as_py()


class TestTypes:
    """What PostgreSQL's types become."""

    @pytest.mark.parametrize(
        ("expression", "kind", "value"),
        [
            ("1::smallint", pa.int64(), 1),
            ("1.5::real", pa.float64(), 1.5),
            ("'nan'::float8 = 'nan'", pa.bool_(), True),
            ("'1.50'::numeric(10,3)", pa.decimal128(10, 3), Decimal("1.500")),
            ("'1.50'::numeric(38,0)", pa.decimal128(38, 0), Decimal(2)),
            ("149::numeric(5,-2)", pa.decimal128(7, 0), Decimal(100)),
            ("'0.012'::numeric(2,3)", pa.decimal128(3, 3), Decimal("0.012")),
            ("'-1.5000000000000'::numeric", pa.decimal128(38, 9), Decimal("-1.5")),
            ("sum(1::bigint)", pa.decimal128(38, 9), Decimal(1)),
            ("null", pa.string(), None),
            ("'{\"b\": [1,  null]}'::jsonb", pa.string(), '{"b": [1, null]}'),
            ("'{\"b\":  1}'::json", pa.string(), '{"b":  1}'),
            ("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid", pa.string(), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            ("'ab'::char(4)", pa.string(), "ab  "),
            ("'x'::\"char\"", pa.string(), "x"),
            ("'x'::name", pa.string(), "x"),
            ("timestamptz '2024-07-01 00:00+09'", pa.timestamp("us", "UTC"), datetime(2024, 6, 30, 15, tzinfo=UTC)),
            (
                "timestamp '2024-07-01 00:00' at time zone 'utc'",
                pa.timestamp("us", "UTC"),
                datetime(2024, 7, 1, tzinfo=UTC),
            ),
            ("timestamp(0) '2024-07-01 00:00:00.6'", pa.timestamp("us"), datetime(2024, 7, 1, 0, 0, 1)),
        ],
    )
    def test_plain(self, postgres: PostgresServer, expression: str, kind: pa.DataType, value: Any) -> None:
        assert one(postgres.url(), expression) == (kind, value)

    def test_declared_by_users(self, postgres_url: str, postgres_database: str, postgres: PostgresServer) -> None:
        postgres.run("create type mood as enum ('glad', 'so so')", postgres_database)
        postgres.run("create domain price as numeric(8,2)", postgres_database)
        assert one(postgres_url, "'so so'::mood") == (pa.string(), "so so")
        assert one(postgres_url, "'1.5'::price") == (pa.decimal128(8, 2), Decimal("1.50"))

    @pytest.mark.parametrize(
        ("expression", "kind"),
        [("5::money", "money"), ("1::oid", "oid"), ("interval '1 day'", "interval"), ("array[1]", "_int4"),
         ("inet '10.0.0.1'", "inet"), ("point(1,2)", "point"), ("row(1)", "record"), ("'12:00+02'::timetz", "timetz")],
    )  # fmt: skip
    def test_without_a_place_in_files(self, postgres: PostgresServer, expression: str, kind: str) -> None:
        for types in ({}, {"x": "string"}):
            with pytest.raises(ColumnTypeError, match=f"'x' has the database type {kind}.*CAST") as caught:
                one(postgres.url(), expression, types=types)
        assert "text" in caught.value.hint

    @pytest.mark.parametrize(
        ("expression", "sample"),
        [("0.0123456789::numeric", "0.0123456789"), ("'nan'::numeric", "NaN"), ("'infinity'::numeric", "Infinity"),
         ("1e30::numeric", "1000000000000000000000000000000"), ("timestamptz 'infinity'", "years 1 to 9999"),
         ("date '-infinity'", "years 1 to 9999"), ("date '0044-03-15 BC'", "years 1 to 9999"),
         ("timestamp '12000-01-01'", "years 1 to 9999")],
    )  # fmt: skip
    def test_values_that_do_not_fit(self, postgres: PostgresServer, expression: str, sample: str) -> None:
        with pytest.raises(ColumnTypeError, match=f"'x' is .*{sample}"):
            one(postgres.url(), expression)

    def test_text_does_not_hide_a_date_that_does_not_fit(self, postgres: PostgresServer) -> None:
        with pytest.raises(ColumnTypeError, match="years 1 to 9999"):
            one(postgres.url(), "date 'infinity'", types={"x": "string"})

    def test_the_sample_is_the_first_that_does_not_fit(self, postgres: PostgresServer) -> None:
        sql = "select case when i < 700 then i else i + 0.00000000012::numeric end as x from generate_series(1, 999) i"
        with pytest.raises(ColumnTypeError, match=r"'700\.00000000012'.*decimal\(38,16\)"):
            read(source(postgres.url()), sql=sql)
        found = read(source(postgres.url()), sql=sql, types={"x": "decimal(30,11)"})
        assert found["x"][699].as_py() == Decimal("700.00000000012")

    def test_more_than_38_digits(self, postgres: PostgresServer) -> None:
        with pytest.raises(ColumnTypeError, match=r"numeric\(50,2\).*decimal\(38,2\)"):
            one(postgres.url(), "1.5::numeric(50,2)")
        assert one(postgres.url(), "1.5::numeric(50,2)", types={"x": "decimal(38,2)"})[1] == Decimal("1.50")
        assert one(postgres.url(), "1.5::numeric(50,2)", types={"x": "string"})[1] == "1.50"

    @pytest.mark.parametrize(("encoding", "text"), [("LATIN1", "üä"), ("SQL_ASCII", None)])
    def test_other_encodings(self, postgres: PostgresServer, encoding: str, text: str | None) -> None:
        postgres.run(f"create database other template template0 encoding '{encoding}' locale 'C'")
        try:
            if text:
                assert one(postgres.url("other"), "'ü' || chr(228)") == (pa.string(), text)
            else:
                for parameters in {}, {"v": "a"}:  # by COPY, and by a cursor
                    sql = "select convert_from('\\xe4', 'SQL_ASCII') as x" + (" where :v = 'a'" if parameters else "")
                    with pytest.raises(QueryError, match="invalid byte sequence"):
                        read(source(postgres.url("other")), sql=sql, params=parameters)
        finally:
            postgres.run("drop database other")


@pytest.fixture(scope="module")
def moody(postgres: PostgresServer) -> Iterator[str]:
    with postgres.database() as name:
        postgres.run("create type mood as enum ('glad', 'sad')", name)
        postgres.run('create schema "My School"', name)
        postgres.run('create table "My School"."a.b" ("Name" text, m mood, "x""y" uuid)', name)
        value = "'sad', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"
        postgres.run(f'insert into "My School"."a.b" values (\'Ann\', {value})', name)
        yield postgres.url(name)


class TestParameters:
    """Values are bound with the types that PostgreSQL infers, as for literals."""

    @pytest.mark.parametrize(
        ("condition", "value"),
        [("'glad'::mood = :v", "glad"), ("'{}'::jsonb = :v", "{}"), ("date '2024-01-01' = :v", "2024-01-01"),
         ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid = :v", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
         ("interval '1 day' = :v", "24:00:00"), ("5 = :v", "5"), ("date '2024-01-01' + :v = '2024-01-06'", 5),
         ("substring('abc' from :v) = 'bc'", 2), ("pg_typeof(1::numeric * :v) = 'numeric'::regtype", 1.5),
         ("0.1::numeric = :v", 0.1), ("0.1::float8 = :v", 0.1), ("1e300::float8 = :v", 1e300), ("1.5 = :v", Decimal("1.50")),
         ("4000000000 = :v", 4_000_000_000), (":v is true", True), ("coalesce(:v, 'none') = 'none'", None),
         ("'$1 :v' || '' = '$1 ' || ':' || 'v' and :v = 'x'", "x"), ("timestamp '2024-01-01' = :v", datetime(2024, 1, 1))],
    )  # fmt: skip
    def test_values(self, moody: str, condition: str, value: Any) -> None:
        found = read(source(moody), sql=f"select 'yes' as x where {condition}", params={"v": value})
        assert found["x"].to_pylist() == ["yes"]

    def test_quoted_names_and_own_types_in_filters(self, moody: str) -> None:
        table = '"My School"."a.b"'
        filters = {"m": "sad", 'x"y': ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", None], "Name": {"ne": "Bob"}}
        found = read(source(moody), table=table, columns=["Name", 'x"y'], filters=filters, order_by=["-Name"])
        assert found.to_pylist() == [{"Name": "Ann", 'x"y': "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}]

    def test_a_text_that_is_no_such_value(self, moody: str) -> None:
        with pytest.raises(QueryError, match='enum mood: "angry"'):
            read(source(moody), table='"My School"."a.b"', filters={"m": "angry"})


class TestTransaction:
    """One read-only snapshot."""

    def test_all_datasets_show_one_state(
        self, postgres: PostgresServer, postgres_url: str, postgres_database: str
    ) -> None:
        postgres.run("create table a as select 1 as n", postgres_database)
        postgres.run("create table b as select 1 as n", postgres_database)
        datasets = {"a": DatasetSpec(table="a"), "b": DatasetSpec(table="b")}
        with source(postgres_url).open(datasets, values={}) as snapshot:
            assert sum(batch.num_rows for batch in snapshot.streams["a"]) == 1
            postgres.run("insert into b select 2", postgres_database)
            assert sum(batch.num_rows for batch in snapshot.streams["b"]) == 1

    @pytest.mark.parametrize(
        "sql",
        ["select nextval('numbers')", "select set_config('transaction_read_only', 'off', false)",
         "select lo_create(0)::text as x", "copy numbers to stdout", "select 1 into other", "explain analyze select 1",
         "do $$ begin create table other(); end $$", "select * from sneaky()"],
    )  # fmt: skip
    def test_functions_cannot_write(
        self, postgres: PostgresServer, postgres_url: str, postgres_database: str, sql: str
    ) -> None:
        postgres.run("create sequence numbers", postgres_database)
        body = "insert into counted values (1); select 1"
        postgres.run("create table counted (n int)", postgres_database)
        postgres.run(f"create function sneaky() returns int language sql as '{body}'", postgres_database)
        with pytest.raises(QueryError):
            read(source(postgres_url), sql=sql)
        assert postgres.run("select count(*) from counted", postgres_database) == [(0,)]
        assert postgres.run("select is_called from numbers", postgres_database) == [(False,)]

    def test_closing_the_last_stream_frees_the_connection(
        self, postgres: PostgresServer, postgres_url: str, postgres_database: str
    ) -> None:
        datasets = {key: DatasetSpec(sql="select * from generate_series(1, 100000) i") for key in "ab"}
        snapshot = source(postgres_url, batch_rows=10).open(datasets, values={})
        next(iter(snapshot.streams["a"]))
        snapshot.streams["a"].close()
        assert sessions(postgres, postgres_database, 1) == 1
        snapshot.streams["b"].close()
        assert sessions(postgres, postgres_database, 0) == 0

    def test_creating_a_source_connects_to_nothing(self) -> None:
        source("postgresql://nobody@127.0.0.1:1/nowhere")


def sessions(server: PostgresServer, database: str, expected: int) -> int:
    """How many sessions a database has; waits a while for those that said goodbye to be gone."""
    for _ in range(200):
        ((found,),) = server.run("select count(*) from pg_stat_activity where datname = %s", params=[database])
        if found == expected:
            break
        server.run("select pg_sleep(0.01)")
    return int(found)


class TestFailures:
    """What goes wrong outside."""

    def test_a_terminated_session(self, postgres: PostgresServer, postgres_url: str, postgres_database: str) -> None:
        dataset = DatasetSpec(sql="select i, pg_backend_pid() as pid from generate_series(1, 1000000) i")
        with source(postgres_url, batch_rows=100).open({"rows": dataset}, values={}) as snapshot:
            stream = iter(snapshot.streams["rows"])
            pid = next(stream)["pid"][0].as_py()
            assert postgres.run("select pg_terminate_backend(%s, 5000)", postgres_database, [pid]) == [(True,)]
            with pytest.raises(
                SourceUnavailableError, match=r"dataset 'rows'.*terminat(ing connection|ed abnormally)"
            ) as caught:
                list(stream)
        assert isinstance(caught.value.__cause__, dbapi.Error)
        assert read(source(postgres_url), sql="select 1 as x").num_rows == 1

    def test_statement_timeout(self, postgres: PostgresServer) -> None:
        with pytest.raises(QueryError, match=r"ended after 0\.1 s.*statement_timeout_seconds"):
            read(source(postgres.url(), statement_timeout_seconds=0.1), sql="select pg_sleep(9)::text as x")

    def test_statement_timeout_of_a_cursor(self, postgres: PostgresServer) -> None:
        with pytest.raises(QueryError, match=r"statement timeout.*statement_timeout_seconds"):
            sql = "select pg_sleep(9)::text as x where :v = 'a'"
            read(source(postgres.url(), statement_timeout_seconds=0.1), sql=sql, params={"v": "a"})

    def test_an_error_in_the_middle(self, postgres: PostgresServer) -> None:
        with pytest.raises(QueryError, match=r"division by zero.*22012"):
            read(source(postgres.url(), batch_rows=2), sql="select 1/(5-i) as x from generate_series(1, 9) i")

    def test_nobody_listens(self) -> None:
        with closing(socket.socket()) as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"postgresql://ann:{quote(CANARY, safe='')}@127.0.0.1:{closed.getsockname()[1]}/school"
            with pytest.raises(SourceUnavailableError, match=r"connection 'school'.*refused.*tried again") as caught:
                read(source(url), sql="select 1")
        assert_without_secret(caught.value)
        assert url not in shown(caught.value)

    def test_nobody_answers(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as silent:
            url = f"postgresql://ann:{quote(CANARY, safe='')}@127.0.0.1:{silent.getsockname()[1]}/school"
            with pytest.raises(SourceUnavailableError, match="timeout expired") as caught:
                read(source(url, connect_timeout_seconds=1), sql="select 1")
        assert_without_secret(caught.value)

    def test_wrong_password(self, postgres: PostgresServer) -> None:
        url = postgres.url(user=LOCKED_ROLE, password=CANARY + "?")
        with pytest.raises(QueryError, match=r"password authentication failed.*Check user, password") as caught:
            read(source(url), sql="select 1")
        assert_without_secret(caught.value, CANARY + "?")

    def test_right_password_and_no_permission(self, postgres: PostgresServer) -> None:
        url = postgres.url(user=LOCKED_ROLE, password=LOCKED_PASSWORD)
        assert read(source(url), sql="select current_user as x")["x"].to_pylist() == [LOCKED_ROLE]
        with pytest.raises(QueryError, match="permission denied") as caught:
            read(source(url), sql="select * from pg_authid")
        assert_without_secret(caught.value, LOCKED_PASSWORD)

    @pytest.mark.parametrize(
        "form",
        ["postgresql://ann:{}@127.0.0.1:1/school", "postgresql://ann:{}%zz@127.0.0.1:1/school",
         "postgresql://127.0.0.1:1/school?password={}&bogus=1", "postgresql://ann:{}@127.0.0.1:port/school"],
    )  # fmt: skip
    def test_passwords_that_were_not_escaped(self, form: str) -> None:
        with pytest.raises((SourceUnavailableError, ConfigurationError)) as caught:
            read(source(form.format(CANARY)), sql="select 1")
        assert_without_secret(caught.value)

    def test_unknown_database(self, postgres: PostgresServer) -> None:
        with pytest.raises(QueryError, match="nowhere"):
            read(source(postgres.url("nowhere")), sql="select 1")
