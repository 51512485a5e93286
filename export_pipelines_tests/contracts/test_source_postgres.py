"""PostgreSQL through ADBC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg2 import sql

from export_pipelines.sources.postgres import PostgresSource
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines_tests.contracts.source_contract import SourceContract
from export_pipelines_tests.contracts.source_rows import POSTGRES_DDL, python_values
from export_pipelines_tests.servers import PostgresServer


def make_students(server: PostgresServer, database: str) -> None:
    """Create the table `students`."""
    server.run(POSTGRES_DDL, database)
    for row in python_values():
        marks = sql.SQL(", ").join([sql.Placeholder()] * len(row))
        server.run(sql.SQL("insert into students values ({})").format(marks), database, row)


@pytest.fixture(scope="module")
def students(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a database with the table `students`, whose sessions have settings that must not matter."""
    with postgres.database() as name:
        make_students(postgres, name)
        for setting in ("timezone = 'Asia/Tokyo'", "datestyle = 'German'", "bytea_output = 'escape'", "lc_messages = 'C'"):
            postgres.run(sql.SQL("alter database {} set " + setting).format(sql.Identifier(name)))
        yield postgres.url(name)


class TestPostgres(SourceContract):
    """The contract."""

    @pytest.fixture(autouse=True)
    def _database(self, students: str) -> None:
        self.url = students

    def source(self, **connection: Any) -> PostgresSource:
        return PostgresSource("school", ConnectionSpec(url=self.url, **connection), self.url)
