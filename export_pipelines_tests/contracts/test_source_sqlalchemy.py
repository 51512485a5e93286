"""Databases through SQLAlchemy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from export_pipelines.sources.sqlalchemy import SqlalchemySource
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines_tests.contracts.source_contract import SourceContract
from export_pipelines_tests.contracts.test_source_postgres import make_students as make_in_postgres
from export_pipelines_tests.contracts.test_source_sqlite import make_students as make_in_sqlite
from export_pipelines_tests.servers import PostgresServer


class SqlalchemyContract(SourceContract):
    """The contract, for all of them."""

    url: str

    def source(self, **connection: Any) -> SqlalchemySource:
        return SqlalchemySource("school", ConnectionSpec(url=self.url, **connection), self.url)


class TestPysqlite(SqlalchemyContract):
    """SQLite through Python's own driver."""

    @pytest.fixture(autouse=True)
    def _database(self, tmp_path: Path) -> None:
        make_in_sqlite(tmp_path / "school.db")
        self.url = f"sqlite+pysqlite:///{tmp_path}/school.db"


class TestPsycopg2(SqlalchemyContract):
    """PostgreSQL through psycopg2."""

    @pytest.fixture(scope="class")
    def database(self, postgres: PostgresServer) -> Any:
        with postgres.database() as name:
            make_in_postgres(postgres, name)
            yield postgres.url(name, driver="psycopg2")

    @pytest.fixture(autouse=True)
    def _database(self, database: str) -> None:
        self.url = database
