"""SQLite through ADBC, read-only, all datasets in one read transaction.

In WAL mode writers go on while an export reads. With the default rollback journal a writer's COMMIT waits, up to its
own busy timeout, until the export is done: prefer `PRAGMA journal_mode=WAL` for databases written at export time.
The driver brings its own copy of SQLite, whose locks do not stop Python's `sqlite3` in the same process: let no export
read a database, such as the ledger, that its own process writes. The driver cannot interrupt a running step, so
`statement_timeout_seconds` is checked after every batch.
Timestamps are compared as text: store UTC as `YYYY-MM-DD HH:MM:SS`, with or without `+00:00` behind it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from adbc_driver_sqlite import dbapi

from export_pipelines.errors import ConfigurationError, ExportError, QueryError, SourceUnavailableError
from export_pipelines.sources.base import Snapshot, Source
from export_pipelines.sources.failures import Guard, one_line
from export_pipelines.sources.query import Query
from export_pipelines.sources.session import Session
from export_pipelines.sources.sqlite_rows import SqliteRows, run
from export_pipelines.sources.stream import RecordStream
from export_pipelines.sources.types import conform
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.datasets import DatasetSpec


class SqliteSource(Source):
    """Reads `sqlite:///file.db` URLs; the file must exist."""

    def __init__(self, name: str, spec: ConnectionSpec, url: str) -> None:
        super().__init__(name, spec, url)
        self._guard = Guard(url, errors=(dbapi.Error, OSError), translate=_translate)

    def open(self, datasets: Mapping[str, DatasetSpec], *, values: Mapping[str, Any]) -> Snapshot:
        """Start every query; see Source.open. The first batch of each is in memory afterwards."""
        connection = self._guard.call(f"connection {self.name!r}", self._connect)
        session = Session(partial(_end, connection))
        streams: dict[str, RecordStream] = {}
        doing = {name: f"connection {self.name!r}, dataset {name!r}" for name in datasets}
        with session:
            # Views first, then queries: a view made beside a running query aborts it.
            rows = {
                name: self._guard.call(doing[name], partial(self._described, connection, number, dataset, values))
                for number, (name, dataset) in enumerate(datasets.items())
            }
            for name in datasets:
                call = partial(self._stream, session, rows[name], doing[name])
                streams[name] = self._guard.call(doing[name], call)
        return session.snapshot(streams)

    def _connect(self) -> dbapi.Connection:
        connection = dbapi.connect(f"file:{quote(str(database_file(self._url)))}?mode=ro")
        with ExitStack() as undo:
            undo.callback(_end, connection)
            run(connection, Query(f"pragma busy_timeout={round(self.spec.connect_timeout_seconds * 1000)}"))
            undo.pop_all()
        return connection

    def _described(
        self, connection: dbapi.Connection, number: int, dataset: DatasetSpec, values: Mapping[str, Any]
    ) -> SqliteRows:
        rows = SqliteRows(connection, self.spec)
        rows.describe(f"export_{number}", dataset, values)
        return rows

    def _stream(self, session: Session, rows: SqliteRows, doing: str) -> RecordStream:
        schema = rows.start()
        batches = self._guard.batches(doing, conform(rows.batches(), schema))
        return session.stream(schema, batches, on_close=rows.close)


def database_file(url: str) -> Path:
    """The file of a `sqlite:///` URL, as an absolute path. Raises ConfigurationError if it does not exist."""
    database = sa.make_url(url).database
    if not database or database == ":memory:" or database.startswith("file:"):
        raise ConfigurationError(
            "a SQLite connection needs a file", hint="Write sqlite:///file.db or sqlite:////dir/file.db"
        )
    path = Path(database).expanduser().absolute()
    if not path.is_file():
        raise ConfigurationError(
            f"there is no SQLite database {path}", hint="`exports demo` creates the demo database; else check the url"
        )
    return path


def _end(connection: dbapi.Connection) -> None:
    for close in (connection.rollback, connection.close):
        with suppress(dbapi.Error, OSError, RuntimeError):
            close()


def _translate(error: BaseException, doing: str) -> ExportError:
    said = str(error).partition("\nquery:")[0]
    return sqlite_failure(one_line(re.sub(r"^\w+: (\[SQLite\] )?(Failed to \w+ query: )?", "", said)), doing)


def sqlite_failure(said: str, doing: str) -> ExportError:
    """The error for what SQLite said; it has no codes that drivers pass on."""
    message = f"{doing}: {said}"
    if re.search(r"locked|busy|disk I/O error", said):
        return SourceUnavailableError(message, hint="Another process holds the database; it is tried again")
    if "unable to open" in said:
        return ConfigurationError(message, hint="Check the permissions of the file and its directory")
    if "no such" in said:
        return QueryError(message, hint="Check the name; `sqlite3 FILE .schema` lists tables and columns")
    return QueryError(message, hint="Exports read with one SELECT; run it in the sqlite3 shell to see more")
