"""The ledger's database: SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError

from export_pipelines.errors import ConfigurationError, TransientError
from export_pipelines.ledger.migrations import upgrade
from export_pipelines.ledger.tables import metadata, versions
from export_pipelines.ledger.version import VERSION

_CREATE_LOCK = 0x45585054  # any number, the same in every process: guards the creation of tables on PostgreSQL
_BUSY_SECONDS = 60.0


class LedgerUnavailableError(TransientError):
    """The ledger's database cannot be reached."""


class Ledger:
    """Opens connections to the ledger, and creates its tables when they are missing."""

    def __init__(self, url: str) -> None:
        """`url` is a SQLAlchemy URL. Connects to nothing yet. Raises ConfigurationError if it is none."""
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise ConfigurationError(
                "EXPORT_LEDGER_URL is not a database URL", hint="Example: sqlite:///.exports/ledger.db"
            ) from None
        if parsed.drivername in ("postgres", "postgresql"):  # SQLAlchemy 2.1 would choose psycopg 3
            parsed = parsed.set(drivername="postgresql+psycopg2")
        self.url: URL = parsed

    @property
    def where(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read from. Raises LedgerUnavailableError."""
        with self._reporting(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at the end. On SQLite it holds the write lock from its beginning."""
        with (
            self._reporting(),
            self.engine.connect().execution_options(ledger_write=True) as connection,
            connection.begin(),
        ):
            yield connection

    def close(self) -> None:
        """Close the connections; they are opened again when needed."""
        engine: Engine | None = self.__dict__.pop("engine", None)
        if engine is not None:
            engine.dispose()

    def now(self, connection: Connection) -> float:
        """Seconds since 1970 by the clock that all processes share: the database server's."""
        if self.url.get_backend_name() == "sqlite":
            return time.time()
        return float(connection.execute(text("select extract(epoch from clock_timestamp())")).scalar_one())

    @cached_property
    def engine(self) -> Engine:
        """The connection pool; the tables exist."""
        if self.url.get_backend_name() == "sqlite":
            engine = _sqlite_engine(self.url)
        else:
            engine = create_engine(self.url, pool_pre_ping=True, pool_size=2, max_overflow=8)
        _check_tables(engine)
        return engine

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError) as error:
            raise LedgerUnavailableError(
                f"using the ledger {self.where}: {str(error.orig).strip()}",
                hint="Check that the database runs and that EXPORT_LEDGER_URL is right; the run is tried again",
            ) from None  # the chained error's text may hold values
        except DBAPIError as error:
            raise ConfigurationError(
                f"using the ledger {self.where}: {str(error.orig).strip()}",
                hint="Give the user of EXPORT_LEDGER_URL a database, or a schema, in which it may create tables",
            ) from None


def _sqlite_engine(url: URL) -> Engine:
    if url.database and url.database != ":memory:":
        _create_file(Path(url.database))
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _manual_transactions(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # sqlite3 would begin transactions by itself, and too late

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("ledger_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _create_file(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        if not path.exists():
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    except OSError as error:
        raise ConfigurationError(
            f"creating the ledger {path}: {error.strerror}", hint="Check EXPORT_STATE_PATH and EXPORT_LEDGER_URL"
        ) from error


def _check_tables(engine: Engine) -> None:
    with engine.connect() as connection:  # without the write lock: readers need none
        version = _version(connection)
    if version != VERSION:
        version = _prepare_tables(engine)
    if version != VERSION:
        raise ConfigurationError(
            f"the ledger has version {version}, this program reads version {VERSION}",
            hint="Install the matching version, or rebuild the ledger in a new database: exports ledger rebuild",
        )


def _version(connection: Connection) -> int | None:
    """The version of the tables, or None if there are none."""
    if not inspect(connection).has_table(versions.name):
        return None
    version: int = connection.execute(select(versions.c.version)).scalar_one()
    return version


def _prepare_tables(engine: Engine) -> int:
    """Create the tables, or bring older ones up to date; return the version that they have then."""
    with engine.connect().execution_options(ledger_write=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _CREATE_LOCK})
        version = _version(connection)  # another process may have been quicker
        if version is None:
            metadata.create_all(connection)
            connection.execute(versions.insert().values(version=VERSION))
        elif version < VERSION:
            upgrade(connection, version)
        else:
            return version
        return VERSION
