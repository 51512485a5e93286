"""An export of what is new, of the same rows by two watermarks, and which rows its partitions hold."""

from __future__ import annotations

import csv
import io
import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from export_pipelines.ledger import artifacts
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.opening import Artifact
from export_pipelines.project import Project
from export_pipelines_tests.projects import project

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
BY_ID = {"table": "news", "watermark": "id", "order_by": ["id"]}
BY_TIME = {
    "sql": "select * from news where seen > :watermark and seen <= :watermark_end order by id",
    "watermark": {"column": "seen", "initial": "2026-01-01"},
}
DATASETS = {"by_id": BY_ID, "by_time": BY_TIME}


def news_project(root: Path, **entry: Any) -> Project:
    """A project whose export `news` reads a table without rows."""
    with closing(sqlite3.connect(root / "school.db")) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("create table if not exists news (id integer, seen timestamptz, name text)")
    return project(root, {"news": {"datasets": DATASETS, **entry}})


def only(root: Path, dataset: dict[str, Any], **entry: Any) -> Project:
    """A project whose export `news` has this dataset, called `rows`, and no other one."""
    return news_project(root, datasets={"rows": dataset}, **entry)


def execute(root: Path, *statements: str) -> None:
    """Change the database."""
    with closing(sqlite3.connect(root / "school.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def insert(root: Path, ids: Iterable[int]) -> None:
    """Add rows; each is seen one microsecond after the one with the number before it."""
    rows = [(n, (BEGIN + timedelta(microseconds=n)).isoformat(" "), f"name of {n}") for n in ids]
    with closing(sqlite3.connect(root / "school.db")) as connection, connection:
        connection.executemany("insert into news values (?, ?, ?)", rows)


def run(made: Project, partition: str, **options: Any) -> Artifact:
    """Produce a partition of `news`."""
    return made.run(made.request("news", partition, run_id=uuid.uuid4().hex, **options))


def ids_of(made: Project, row: ArtifactRow) -> dict[str, list[int]]:
    """Dataset -> the ids in the artifact's CSV files."""
    store, found = made.store(row.store), {}
    for file in row.manifest.files:
        with store.open(row.path_of(file.name)) as stream:
            lines = csv.DictReader(io.StringIO(stream.read().decode()))
            found[file.dataset or ""] = [int(line["id"]) for line in lines]
    return found


def current(made: Project) -> dict[str, ArtifactRow]:
    """Partition -> its newest good, complete artifact, whether or not its files were deleted."""
    found: dict[str, ArtifactRow] = {}
    rows = artifacts.find(made.ledger, export="news") + artifacts.find(made.ledger, export="news", deleted=True)
    for row in sorted(rows, key=lambda row: row.manifest.created_at):
        if row.good and row.manifest.row_limit is None:
            found[row.manifest.partition] = row
    return found


def times_exported(made: Project) -> dict[str, Counter[int]]:
    """Dataset -> how often each row is in a current artifact."""
    found: dict[str, Counter[int]] = {"by_id": Counter(), "by_time": Counter()}
    for row in current(made).values():
        for dataset, ids in ids_of(made, row).items():
            found[dataset].update(ids)
    return found


def once(ids: Iterable[int]) -> dict[str, Counter[int]]:
    """What `times_exported` says where each of these rows was exported once."""
    return {"by_id": Counter(ids), "by_time": Counter(ids)}
