"""Every other database, through SQLAlchemy: rows become Arrow batches column by column.

Much slower than ADBC, because every value is a Python object for a moment. Types come from `types:`, from the table's
definition where the dataset names a `table`, else from the first batch; later batches must fit. PostgreSQL, MySQL,
MariaDB and SQLite are told to refuse writes; the others are only rolled back, so give them a role that may only read.
All datasets share one snapshot on PostgreSQL, SQLite and Oracle; elsewhere each has a connection of its own, because
drivers stream one result per connection. `statement_timeout_seconds` limits each batch where the driver can cancel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from export_pipelines.errors import ConfigurationError, ExportError, QueryError, SourceUnavailableError
from export_pipelines.sources.base import Snapshot, Source
from export_pipelines.sources.deadline import limited
from export_pipelines.sources.failures import Guard, by_sqlstate, connection_failure, one_line
from export_pipelines.sources.query import build_statement
from export_pipelines.sources.session import Session
from export_pipelines.sources.sqlalchemy_columns import column_types, to_batch
from export_pipelines.sources.sqlite import database_file, sqlite_failure
from export_pipelines.sources.sqltext import first_word
from export_pipelines.sources.stream import RecordStream
from export_pipelines.sources.types import conform, target_schema
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.datasets import DatasetSpec

_ERRORS = (SQLAlchemyError, OSError, ImportError)
_SHARING = ("postgresql", "sqlite", "oracle")
"""Databases in which one connection streams several results at once."""
_TIMEOUTS = {
    "psycopg2": "connect_timeout",
    "psycopg": "connect_timeout",
    "pymysql": "connect_timeout",
    "pysqlite": "timeout",
}
"""Driver -> its argument for the time to wait for a connection, in seconds."""
_READERS = ("select", "with", "values", "table", "from")


class SqlalchemySource(Source):
    """Reads any URL that SQLAlchemy has a dialect and a driver for."""

    def __init__(self, name: str, spec: ConnectionSpec, url: str) -> None:
        super().__init__(name, spec, url)
        self._guard = Guard(url, errors=_ERRORS, translate=_translate)

    def open(self, datasets: Mapping[str, DatasetSpec], *, values: Mapping[str, Any]) -> Snapshot:
        """Start every query; see Source.open. The first batch of each is in memory afterwards."""
        engine = self._guard.call(f"connection {self.name!r}", self._engine)
        connections: list[sa.Connection] = []
        session = Session(partial(_end, connections, engine))
        streams: dict[str, RecordStream] = {}
        with session:
            for name, dataset in datasets.items():
                if not connections or engine.dialect.name not in _SHARING:
                    connect = partial(_connect, engine, connections)
                    self._guard.call(f"connection {self.name!r}", connect)
                doing = f"connection {self.name!r}, dataset {name!r}"
                call = partial(self._stream, session, connections[-1], doing, dataset, values)
                streams[name] = self._guard.call(doing, call)
        return session.snapshot(streams)

    def _engine(self) -> sa.Engine:
        try:
            url = sa.make_url(self._url)
        except ValueError as error:
            raise ConfigurationError("the url has no valid port", hint="Escape @ : / ? # in passwords") from error
        arguments: dict[str, Any] = {}
        if url.get_backend_name() == "sqlite":
            database_file(self._url)  # the driver would create it
            arguments["check_same_thread"] = False
        if url.get_driver_name() in _TIMEOUTS:
            arguments[_TIMEOUTS[url.get_driver_name()]] = math.ceil(self.spec.connect_timeout_seconds)
        return sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True, connect_args=arguments)

    def _stream(
        self,
        session: Session,
        connection: sa.Connection,
        doing: str,
        dataset: DatasetSpec,
        values: Mapping[str, Any],
    ) -> RecordStream:
        if dataset.sql is not None and first_word(dataset.sql) not in _READERS:
            raise QueryError("the SQL is not a SELECT", hint="Exports only read")
        statement = build_statement(dataset, values=values, database=connection.dialect.name)
        known = column_types(connection, dataset)
        options = {"yield_per": self.spec.batch_rows}
        result = self._limited(connection, partial(connection.execute, statement, execution_options=options))
        names = list(result.keys())
        partitions = result.partitions(self.spec.batch_rows)
        first = to_batch(names, self._limited(connection, partial(next, partitions, [])))
        schema = target_schema(first.schema, dataset.types, known)
        batches = conform(self._read(connection, first, names, partitions), schema)
        return session.stream(schema, self._guard.batches(doing, batches), on_close=partial(_close, result))

    def _read(
        self, connection: sa.Connection, first: pa.RecordBatch, names: list[str], partitions: Iterator[Any]
    ) -> Iterator[pa.RecordBatch]:
        yield first
        while rows := self._limited(connection, partial(next, partitions, [])):
            yield to_batch(names, rows)

    def _limited(self, connection: sa.Connection, call: Callable[[], Any]) -> Any:
        driver = connection.connection.driver_connection
        interrupt = getattr(driver, "cancel", None) or getattr(driver, "interrupt", None)
        if interrupt is None:
            return call()
        return limited(call, self.spec.statement_timeout_seconds, interrupt=interrupt, errors=_ERRORS)


def _connect(engine: sa.Engine, connections: list[sa.Connection]) -> None:
    connection = engine.connect()
    connections.append(connection)
    if engine.dialect.name == "postgresql":
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        connection.exec_driver_sql("set local timezone = 'UTC'")
    elif engine.dialect.name in ("mysql", "mariadb"):
        connection.execution_options(isolation_level="REPEATABLE READ")
        connection.exec_driver_sql("set session transaction read only")
        connection.exec_driver_sql("set time_zone = '+00:00'")
        connection.commit()
    elif engine.dialect.name == "sqlite":
        connection.exec_driver_sql("pragma query_only = on")
        connection.exec_driver_sql("begin")  # the driver would only begin before a write


def _close(result: sa.CursorResult[Any]) -> None:
    with suppress(*_ERRORS):
        result.close()


def _end(connections: list[sa.Connection], engine: sa.Engine) -> None:
    for connection in connections:
        with suppress(*_ERRORS):
            connection.rollback()
        with suppress(*_ERRORS):
            connection.close()
    engine.dispose()


def _translate(error: BaseException, doing: str) -> ExportError:
    cause = getattr(error, "orig", None)
    message = f"{doing}: {one_line(cause or error)}"
    if isinstance(error, ImportError | NoSuchModuleError):
        return ConfigurationError(message, hint="Install the driver of this database, or check the url")
    if isinstance(error, ArgumentError):
        return ConfigurationError(message, hint="Check the url")
    if cause is not None and type(cause).__module__.startswith(("psycopg", "sqlite3")):
        return _known_driver(cause, doing)
    if getattr(error, "connection_invalidated", False) or isinstance(error, OSError | sa.exc.InterfaceError):
        return SourceUnavailableError(message, hint="It is tried again; check the database and the network")
    return QueryError(message, hint="Run the SQL in the database's own client to see more")


def _known_driver(cause: BaseException, doing: str) -> ExportError:
    message = one_line(cause)
    state = getattr(cause, "pgcode", None) or getattr(cause, "sqlstate", None)
    if state:
        return by_sqlstate(state, f"{message} (SQLSTATE {state})", doing)
    failure = sqlite_failure if type(cause).__module__.startswith("sqlite3") else connection_failure
    return failure(message, doing)
