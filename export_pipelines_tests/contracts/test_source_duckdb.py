"""DuckDB over a folder of files, and over a database file."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pyarrow.parquet as pq
import pytest

from export_pipelines.sources.duckdb import DuckdbSource
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines_tests.contracts.source_contract import SourceContract
from export_pipelines_tests.contracts.source_rows import STUDENTS


class DuckdbContract(SourceContract):
    """The contract, for both."""

    path: Path

    def source(self, **connection: Any) -> DuckdbSource:
        url = f"duckdb:///{quote(str(self.path))}"
        return DuckdbSource("school", ConnectionSpec(url=url, **connection), url)


class TestFolder(DuckdbContract):
    """A folder."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "files [1]"
        self.path.mkdir()
        pq.write_table(STUDENTS, self.path / "students.parquet")


class TestDatabaseFile(DuckdbContract):
    """A database file."""

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "school.duckdb"
        with duckdb.connect(str(self.path)) as connection:
            students = STUDENTS  # noqa: F841 - DuckDB finds it by its name
            connection.execute("create table students as select * from students")
