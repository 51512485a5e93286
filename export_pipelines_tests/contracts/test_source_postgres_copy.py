"""What comes through COPY is what a cursor gives."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2.extras import execute_values

from export_pipelines.errors import QueryError
from export_pipelines.sources.postgres import PostgresSource
from export_pipelines.sources.postgres_copy import without_parameters
from export_pipelines.sources.query import Query
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.datasets import DatasetSpec
from export_pipelines_tests.contracts.test_source_postgres import sessions
from export_pipelines_tests.servers import PostgresServer

COLUMNS = {
    "a": ("smallint", st.integers(-(2**15), 2**15 - 1)),
    "b": ("bigint", st.integers(-(2**63), 2**63 - 1)),
    "c": ("real", st.floats(width=32)),
    "d": ("double precision", st.floats()),
    "e": ("numeric(12,3)", st.decimals(-999_999_999, 999_999_999, places=3)),
    "f": ("numeric", st.decimals(-(10**28), 10**28, places=9)),
    "g": ("numeric(2,3)", st.decimals(Decimal("-0.099"), Decimal("0.099"), places=3)),
    "h": ("boolean", st.booleans()),
    'i "quoted", \n': ("text", st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)),
    "j": ("char(3)", st.text("aé=\"',\r\n ", max_size=3)),
    "k": ("date", st.dates()),
    "l": ("timestamptz", st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001
    "m": ("timestamp", st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1))),  # noqa: DTZ001
    "n": ("time", st.times()),
    "o": ("uuid", st.uuids().map(str)),
    "p": ("bytea", st.binary(max_size=5)),
    "q": ("jsonb", st.sampled_from(['{"a": [1, "é"]}', "null", '"x"'])),
}
ROWS = st.lists(st.tuples(*(st.none() | values for _, values in COLUMNS.values())), max_size=12)


def read(url: str, *, alone: bool, batch_rows: int = 5, **dataset: Any) -> pa.Table:
    """The dataset's rows, by COPY if it is alone."""
    datasets = {"rows": DatasetSpec(**dataset)} | ({} if alone else {"other": DatasetSpec(sql="select 1 as x")})
    source = PostgresSource("school", ConnectionSpec(url=url, batch_rows=batch_rows), url)
    with source.open(datasets, values={}) as snapshot:
        batches = list(snapshot.streams["rows"])
        assert all(0 < batch.num_rows <= batch_rows for batch in batches)
        return pa.Table.from_batches(batches, snapshot.streams["rows"].schema)


@given(rows=ROWS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_rows(postgres: PostgresServer, rows: list[tuple[Any, ...]]) -> None:
    import psycopg2

    with postgres.database() as name:
        connection = psycopg2.connect(postgres.url(name))
        with connection, connection.cursor() as cursor:
            quoted = ", ".join('"' + key.replace('"', '""') + f'" {kind}' for key, (kind, _) in COLUMNS.items())
            cursor.execute(f"create table t (place serial, {quoted})")
            values = [(place, *row) for place, row in enumerate(rows)]
            if values:
                execute_values(cursor, "insert into t values %s", values)
        connection.close()
        columns = {"table": "t", "order_by": ["place"], "types": {"f": "decimal(38,9)", "g": "string"}}
        copied, fetched = (read(postgres.url(name), alone=alone, **columns) for alone in (True, False))
    assert copied.schema.equals(fetched.schema, check_metadata=True)
    # Not-a-number differs from itself; as text everything is comparable.
    assert list(map(repr, copied.to_pylist())) == list(map(repr, fetched.to_pylist()))
    assert copied.num_rows == len(rows)


def test_values_are_those_that_would_be_bound(postgres: PostgresServer) -> None:
    params = {
        "i": -5, "b": 2**40, "f": 0.1, "g": 1e300, "n": Decimal("-1.50"), "t": True, "d": date(2026, 3, 29),
        "z": datetime(2026, 3, 29, 1, 2, 3, 4, UTC), "l": datetime(1, 1, 1),  # noqa: DTZ001
    }  # fmt: skip
    shown = ", ".join(f":{name} as {name}, pg_typeof(:{name})::text as type_{name}" for name in params)
    sql = f"select {shown}, ':i $1' as s, :i - :i as zero -- :d"
    copied, fetched = (
        read(postgres.url(), alone=alone, sql=sql, params=params, types={"n": "decimal(5,2)"})
        for alone in (True, False)
    )
    assert copied.to_pylist() == fetched.to_pylist()
    assert copied["type_z"].to_pylist() == ["timestamp with time zone"]


def test_texts_are_never_written_into_the_query() -> None:
    for value in ("x", "'; drop table t", None):
        assert without_parameters(Query("select $1, $2", (1, value)), ["integer", "text"]) is None
    assert without_parameters(Query("select $1, '$1'", (-1,)), ["integer"]) == "select cast('-1' as integer), '$1'"


@pytest.mark.parametrize("end", ["", ";", " ; -- done", "\n-- done"])
def test_ends_of_queries(postgres: PostgresServer, end: str) -> None:
    assert read(postgres.url(), alone=True, sql=f"select 1.5::numeric(2,1) as x{end}").to_pylist() == [
        {"x": Decimal("1.5")}
    ]


def test_rows_keep_their_order(postgres: PostgresServer) -> None:
    sql = "select n, n / 2.0 as half from generate_series(1, 5000) n order by -n"
    found = read(postgres.url(), alone=True, sql=sql, types={"half": "decimal(12,1)"}, batch_rows=1000)
    assert found["n"].to_pylist() == list(range(5000, 0, -1))


def test_a_long_query_ends_when_it_is_closed(
    postgres: PostgresServer, postgres_url: str, postgres_database: str
) -> None:
    source = PostgresSource("school", ConnectionSpec(url=postgres_url), postgres_url)
    with source.open({"rows": DatasetSpec(sql="select generate_series(1, 1000000000) as n")}, values={}) as opened:
        assert next(iter(opened.streams["rows"])).num_rows
    assert sessions(postgres, postgres_database, 0) == 0


def test_an_error_keeps_its_code(postgres: PostgresServer) -> None:
    with pytest.raises(QueryError, match=r"division by zero.*22012"):
        read(
            postgres.url(),
            alone=True,
            batch_rows=9999,
            sql="select 1 / (900000 - i) x from generate_series(1, 1000000) i",
        )
