"""PostgreSQL through ADBC: server-side cursors in one read-only snapshot, fetched in chunks.

Each dataset is a cursor of one REPEATABLE READ, READ ONLY transaction, so all of them show the same state and memory is
bounded by `batch_rows`. A query that is alone is read by COPY instead, after its cursor was opened, if it has no texts
as parameters. `statement_timeout_seconds` limits every fetch of a chunk, not the time that the consumer takes between
fetches. SQL that writes is refused by the transaction; a role that may only SELECT is still the better lock.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Any

import pyarrow as pa
from adbc_driver_postgresql import dbapi

from export_pipelines.errors import ExportError
from export_pipelines.sources.base import Snapshot, Source
from export_pipelines.sources.failures import Guard, by_sqlstate, connection_failure, one_line
from export_pipelines.sources.postgres_copy import Copy, copy_settings, milliseconds, with_texts, without_parameters
from export_pipelines.sources.postgres_dialect import DIALECT
from export_pipelines.sources.query import Query, build_statement, compile_query
from export_pipelines.sources.session import Session
from export_pipelines.sources.sqltext import replace_positions
from export_pipelines.sources.stream import RecordStream
from export_pipelines.sources.types import UNBOUNDED_DECIMAL, conform, plain_type, target_schema
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.datasets import DatasetSpec

_NO_COPY = {"adbc.postgresql.use_copy": "false"}  # COPY takes neither parameters nor FETCH
_LIVELINESS = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 6}
_SQL_TYPES = (
    (pa.types.is_int32, "integer"),
    (pa.types.is_int64, "bigint"),
    (pa.types.is_float64, "float8"),
    (pa.types.is_decimal, "numeric"),
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_date, "date"),
)
_TEXTS = ("text", "character varying", "character", "name")


class PostgresSource(Source):
    """Reads `postgresql://` and `postgres://` URLs, in every form that libpq understands."""

    def __init__(self, name: str, spec: ConnectionSpec, url: str) -> None:
        super().__init__(name, spec, url)
        self._guard = Guard(url, errors=(dbapi.Error, OSError), translate=_translate)

    def open(self, datasets: Mapping[str, DatasetSpec], *, values: Mapping[str, Any]) -> Snapshot:
        """Declare one cursor per dataset; see Source.open."""
        connection = self._guard.call(f"connection {self.name!r}", self._connect)
        session = Session(partial(_end, connection))
        streams: dict[str, RecordStream] = {}
        with session:
            self._guard.call(f"connection {self.name!r}", partial(self._begin, connection))
            for number, (name, dataset) in enumerate(datasets.items()):
                doing = f"connection {self.name!r}, dataset {name!r}"
                cursor = _Cursor(connection, f"export_{number}", self.spec.batch_rows)
                call = partial(self._rows, cursor, dataset, values, alone=len(datasets) == 1)
                schema, rows = self._guard.call(doing, call)
                # The server verifies the text that it sends, even in a database without an encoding.
                batches = self._guard.batches(doing, conform(rows.batches(), schema, valid_text=True))
                streams[name] = session.stream(schema, batches, on_close=rows.close)
        return session.snapshot(streams)

    def _connect(self) -> dbapi.Connection:
        options = {"connect_timeout": max(2, math.ceil(self.spec.connect_timeout_seconds)), **_LIVELINESS}
        missing = [f"{name}={value}" for name, value in options.items() if f"{name}=" not in self._url]
        return dbapi.connect(f"{self._url}{'&' if '?' in self._url else '?'}{'&'.join(missing)}", autocommit=False)

    def _begin(self, connection: dbapi.Connection) -> None:
        _run(connection, Query("set transaction isolation level repeatable read read only"))
        settings = {
            "cursor_tuple_fraction": "1.0",  # plan for reading all rows, not the first few
            "timezone": "UTC",
            "client_encoding": "UTF8",
            "statement_timeout": milliseconds(self.spec.statement_timeout_seconds),
            "idle_in_transaction_session_timeout": "0",  # writing a chunk to the store may take long
        }
        _run(connection, _setting(settings))

    def _rows(
        self, cursor: _Cursor, dataset: DatasetSpec, values: Mapping[str, Any], *, alone: bool
    ) -> tuple[pa.Schema, _Cursor | Copy]:
        query = compile_query(build_statement(dataset, values=values, database="postgresql"), DIALECT)
        fields = cursor.declare(query)
        schema = target_schema(fields, dataset.types, _plain)
        kinds = [_sql_type(kind) for kind in _row(query.params).schema.types] if query.params else []
        literal = without_parameters(query, kinds) if alone else None
        if literal is None:
            return schema, cursor
        limit = self.spec.statement_timeout_seconds
        _run(cursor.connection, _setting(copy_settings(limit)))
        sql = with_texts(literal, fields, schema)
        return schema, Copy(cursor.connection, sql, rows=self.spec.batch_rows, seconds=limit)


class _Cursor:
    """One server-side cursor, by name."""

    def __init__(self, connection: dbapi.Connection, name: str, rows: int) -> None:
        self.connection = connection
        self._name = name
        self._rows = rows
        self._statement: dbapi.Cursor | None = None

    def declare(self, query: Query) -> pa.Schema:
        """Plan the query and return what the driver makes of its columns; no row is read."""
        if any(isinstance(value, str) for value in query.params):
            query = _with_types(self.connection, query)
        _run(self.connection, Query(f"declare {self._name} no scroll cursor for {query.sql}", query.params))
        return _run(self.connection, Query(f"fetch 0 from {self._name}")).schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, in chunks."""
        self._statement = self.connection.cursor(adbc_stmt_kwargs=_NO_COPY)
        fetched = self._rows
        while fetched >= self._rows:
            self._statement.execute(f"fetch forward {self._rows} from {self._name}")
            fetched = 0
            for batch in self._statement.fetch_record_batch():
                fetched += batch.num_rows
                yield batch

    def close(self) -> None:
        """End the query on the server, which may have gone away."""
        with suppress(dbapi.Error, OSError):
            if self._statement is not None:
                self._statement.close()
            _run(self.connection, Query(f"close {self._name}"))


def _setting(settings: Mapping[str, str]) -> Query:
    """What gives the transaction these settings."""
    return Query("select " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items()))


def _run(connection: dbapi.Connection, query: Query) -> pa.Table:
    with connection.cursor(adbc_stmt_kwargs=_NO_COPY) as statement:
        statement.execute(query.sql, _row(query.params) if query.params else None)
        return statement.fetch_arrow_table()


def _row(params: tuple[Any, ...]) -> pa.RecordBatch:
    """The parameters typed as PostgreSQL types literals: 5 is an integer, 1.5 is numeric and not floating point."""
    arrays = [_one(value) for value in params]
    return pa.RecordBatch.from_arrays(arrays, names=[str(number) for number in range(len(arrays))])


def _one(value: Any) -> pa.Array:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31:
        return pa.array([value], pa.int32())
    if isinstance(value, float) and (value == 0 or 1e-15 <= abs(value) < 1e20):
        return pa.array([Decimal(repr(value))])
    return pa.array([value])


def _end(connection: dbapi.Connection) -> None:
    with suppress(dbapi.Error, OSError, RuntimeError):
        connection.rollback()
    with suppress(dbapi.Error, OSError, RuntimeError):
        connection.close()


def _with_types(connection: dbapi.Connection, query: Query) -> Query:
    """The query with texts cast to the types that PostgreSQL infers for them, as it does for quoted literals.

    The driver sends Python texts as type `text`, which PostgreSQL compares neither with an enum nor a uuid nor a date.
    """
    types = ", ".join(_sql_type(array.type) for array in _row(query.params))
    _run(connection, Query(f"prepare export_types({types}) as {query.sql}"))
    found = _run(
        connection,
        Query("select unnest(parameter_types)::text as t from pg_prepared_statements where name = 'export_types'"),
    )
    _run(connection, Query("deallocate export_types"))
    inferred = found["t"].to_pylist()

    def cast(number: int) -> str:
        plain = not isinstance(query.params[number - 1], str) or inferred[number - 1] in _TEXTS
        return f"${number}" if plain else f"cast(${number} as {inferred[number - 1]})"

    return Query(replace_positions(query.sql, cast), query.params)


def _sql_type(given: pa.DataType) -> str:
    if pa.types.is_timestamp(given):
        return "timestamptz" if given.tz else "timestamp"
    return next((name for known, name in _SQL_TYPES if known(given)), "unknown")


def _plain(field: pa.Field) -> pa.DataType | None:
    metadata = field.metadata or {}
    database_type = metadata.get(b"POSTGRESQL:type", b"").decode()
    if database_type == "numeric":
        return _numeric(int(metadata.get(b"POSTGRESQL:typmod", b"-1")))
    if pa.types.is_integer(field.type) and database_type not in ("int2", "int4", "int8"):
        return None  # money comes as cents and oid as a signed number
    return plain_type(field.type)


def _numeric(modifier: int) -> pa.DataType:
    """numeric(P,S) from PostgreSQL's type modifier: 4 + P * 65536 + S, S in the lowest 11 bits, signed."""
    if modifier < 4:
        return UNBOUNDED_DECIMAL
    precision, scale = (modifier - 4) >> 16, (((modifier - 4) & 0x7FF) ^ 1024) - 1024
    digits = min(76, max(precision, scale) if scale >= 0 else precision - scale)
    return pa.decimal256(digits, min(digits, max(scale, 0))) if digits > 38 else pa.decimal128(digits, max(scale, 0))


def _translate(error: BaseException, doing: str) -> ExportError:
    details = dict(getattr(error, "details", None) or [])
    state = getattr(error, "sqlstate", None) or ""
    primary = details.get("PG_DIAG_MESSAGE_PRIMARY") or details.get(b"PG_DIAG_MESSAGE_PRIMARY")
    if not state:
        return connection_failure(re.sub(r"^\w+: (\[libpq\] )?", "", one_line(error)), doing)
    message = primary.decode("utf-8", "replace") if primary else one_line(error)
    return by_sqlstate(state, f"{message} (SQLSTATE {state})", doing)
