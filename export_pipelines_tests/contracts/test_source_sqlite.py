"""SQLite through ADBC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import sqlite3

from export_pipelines.sources.sqlite import SqliteSource
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines_tests.contracts.source_contract import SourceContract
from export_pipelines_tests.contracts.source_rows import SQLITE_DDL, sqlite_values


def make_students(path: Path) -> None:
    """Write a SQLite database with the table `students`."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(SQLITE_DDL)
        rows = sqlite_values()
        connection.executemany(f"insert into students values ({', '.join('?' * len(rows[0]))})", rows)


class TestSqlite(SourceContract):
    """The contract."""

    @pytest.fixture(autouse=True)
    def _database(self, tmp_path: Path) -> None:
        self.path = tmp_path / "sch#ool %20?.db"
        make_students(self.path)

    def source(self, **connection: Any) -> SqliteSource:
        url = f"sqlite:///{quote(str(self.path))}"
        return SqliteSource("school", ConnectionSpec(url=url, **connection), url)
