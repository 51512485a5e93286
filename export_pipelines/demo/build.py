"""Builds the demo database, all of it or nothing."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing
from datetime import date
from pathlib import Path

from export_pipelines.demo import hotels, ledger, org, school
from export_pipelines.demo.table import Scope, Table
from export_pipelines.errors import ConfigurationError, StorageError

TABLES: tuple[Table, ...] = (*org.TABLES, *school.TABLES, *hotels.TABLES, *ledger.TABLES)
VIEWS: tuple[str, ...] = (*org.VIEWS, *school.VIEWS, *hotels.VIEWS, *ledger.VIEWS)


def build_demo(path: Path, *, scale: int = 1, today: date) -> dict[str, int]:
    """Write the demo database to `path`, replacing the one that is there, and return table -> rows.

    `scale` multiplies the rows (1: a few thousand in all); dates end with `today`. The same arguments give the same
    rows. Readers see the old database or the new one, never a part; after an error the old one is as it was.
    Raises ConfigurationError if `scale` is below 1, StorageError if the file cannot be written.
    """
    if scale < 1:
        raise ConfigurationError(f"building the demo database with scale {scale}", hint="Give 1 or more")
    temporary: Path | None = None
    try:
        temporary = _beside(path)
        rows = _fill(temporary, Scope(scale, today))
        temporary.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(
            f"writing the demo database {path}: {error}", hint="Check EXPORT_DEMO_DB, permissions and free space"
        ) from error
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)
    return rows


def _beside(path: Path) -> Path:
    """A new empty file in the same directory, so that moving it into place is atomic."""
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".building", dir=path.parent)
    os.close(handle)
    return Path(name)


def _fill(path: Path, scope: Scope) -> dict[str, int]:
    """Create and fill all tables; the file is on disk when this returns."""
    rows: dict[str, int] = {}
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # Nobody else sees this file, and a failed build deletes it: no journal, one sync at the end.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        for table in TABLES:
            connection.execute(table.create)
            rows[table.name] = connection.executemany(table.insert, table.rows(scope)).rowcount
        for view in VIEWS:
            connection.execute(view)
        connection.execute("COMMIT")
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    return rows
