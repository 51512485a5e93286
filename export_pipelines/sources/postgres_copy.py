"""A query's rows through COPY, which takes less of the server and of the driver than a cursor does.

Only for queries that are read alone: the connection can do nothing else until the last row came. COPY takes no
parameters; numbers, days and instants are written into the query as literals of the types that they would be bound
with, texts never are. Decimals come as the server's text, which the driver would make of their digits more slowly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
from adbc_driver_manager._reader import AdbcRecordBatchReader
from adbc_driver_postgresql import dbapi

from export_pipelines.sources.deadline import limited
from export_pipelines.sources.query import Query
from export_pipelines.sources.sqltext import replace_positions

_BATCH_BYTES = 1 << 21
"""Of the driver's batches: its own default, eight times as much, is slower and takes more memory."""
_COPY = {"adbc.postgresql.use_copy": "true", "adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)}
_ERRORS = (dbapi.Error, OSError)
_ABANDONED_SECONDS = 86_400
"""After which the server ends what nobody reads any more."""


def milliseconds(seconds: float) -> str:
    """As PostgreSQL's settings want them."""
    return str(min(2**31 - 1, math.ceil(seconds * 1000)))


def copy_settings(seconds: float) -> dict[str, str]:
    """Of the transaction: to the server one COPY is one statement, whose time includes what the consumer takes.

    So it is the client who ends it if a batch does not come within `seconds`. Rows come in the order in which a cursor
    would give them, hence no parallel workers.
    """
    return {
        "statement_timeout": milliseconds(max(seconds, _ABANDONED_SECONDS)),
        "max_parallel_workers_per_gather": "0",
    }


def without_parameters(query: Query, types: list[str]) -> str | None:
    """The query with literals for its values, whose SQL types are `types`; None if one is a text or NULL."""
    if not all(isinstance(value, int | float | Decimal | date) for value in query.params):
        return None
    literals = [f"cast('{_text(value)}' as {kind})" for value, kind in zip(query.params, types, strict=True)]
    return replace_positions(query.sql, lambda number: literals[number - 1])


def _text(value: Any) -> str:
    """As PostgreSQL reads it; no such value has a quote or a backslash in its text."""
    if isinstance(value, date):  # a datetime is one
        return value.isoformat()
    return f"{value:f}" if isinstance(value, Decimal) else repr(value)


def with_texts(sql: str, fields: pa.Schema, wanted: pa.Schema) -> str:
    """The query with those columns as text that are `numeric` there and decimals in `wanted`."""
    decimals = {
        there.name
        for there, here in zip(fields, wanted, strict=True)
        if pa.types.is_decimal(here.type) and (there.metadata or {}).get(b"POSTGRESQL:type") == b"numeric"
    }
    if not decimals:
        return sql
    names = {name: '"' + name.replace('"', '""') + '"' for name in fields.names}
    columns = (f"q.{names[name]}" + (f"::text as {names[name]}" if name in decimals else "") for name in fields.names)
    return f"select {', '.join(columns)} from ({sql}\n) as q"  # noqa: S608 - quoted names


class Copy:
    """The rows of one query. Its connection does nothing else from the first batch on until it is closed."""

    def __init__(self, connection: dbapi.Connection, sql: str, *, rows: int, seconds: float) -> None:
        """`rows` is what a batch has at most; `seconds` is how long one may take to come."""
        self._connection = connection
        self._sql = sql.rstrip("; \r\n")
        self._rows = rows
        self._seconds = seconds
        self._reading = False

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, in batches. Raises QueryError if one takes too long, and the driver's errors."""
        with self._connection.cursor(adbc_stmt_kwargs=_COPY) as statement:
            whole = self._read(statement)
            self._reading = True
            try:
                while (batch := self._limited(lambda: next(whole, None))) is not None:
                    for start in range(0, batch.num_rows, self._rows):
                        yield batch.slice(start, self._rows)
            finally:
                self._reading = False

    def _read(self, statement: dbapi.Cursor) -> Iterator[pa.RecordBatch]:
        statement.execute(f"{self._sql}\n")  # it may end with a comment
        # `fetch_record_batch` gives a reader whose errors have no SQLSTATE.
        handle = statement.fetch_arrow()
        yield from AdbcRecordBatchReader._import_from_c(handle.address)

    def _limited(self, call: Callable[[], pa.RecordBatch | None]) -> pa.RecordBatch | None:
        return limited(call, self._seconds, interrupt=self._connection.adbc_cancel, errors=_ERRORS)

    def close(self) -> None:
        """Tell the server to stop if there is more to come: all of it would be read before anything else."""
        if self._reading:
            with suppress(*_ERRORS):
                self._connection.adbc_cancel()
