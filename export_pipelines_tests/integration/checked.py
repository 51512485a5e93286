"""Small exports with checks, for the tests of these."""

from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path
from typing import Any

from export_pipelines.opening import Artifact
from export_pipelines.project import Project
from export_pipelines.storage.manifest import CheckResult
from export_pipelines_tests.projects import project

DAY = "2026-01-05"
BALANCE = {"column": "balance", "sql": "select sum(balance) from students"}


def run(made: Project, name: str = "students", partition: str = DAY, **options: Any) -> Artifact:
    """Produce and publish the partition."""
    return made.run(made.request(name, partition, run_id=uuid.uuid4().hex, **options))


def students(root: Path, checks: dict[str, Any], *, batch_rows: int = 2, **entry: Any) -> Project:
    """An export of the table `students`, in small batches."""
    datasets = {"students": {"table": "students", "checks": checks}}
    connections = {"school": {"url": f"sqlite:///{root}/school.db", "batch_rows": batch_rows}}
    return project(root, {"students": {"datasets": datasets, **entry}}, connections=connections)


def only(artifact: Artifact) -> CheckResult:
    """Its one result."""
    (result,) = artifact.checks
    return result


def execute(root: Path, statement: str) -> None:
    """Execute a statement on the database of `students`."""
    with sqlite3.connect(root / "school.db") as connection:
        connection.execute(statement)
    connection.close()
