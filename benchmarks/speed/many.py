"""A project with many exports, and a ledger with many artifacts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from export_pipelines.ledger.artifacts import ArtifactRow, register
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.storage.manifest import Column, FileEntry, Manifest, WindowUtc
from export_pipelines_tests.projects import environment

_PER_FILE = 50


def write_exports(
    root: Path, number: int, *, connection: str | None = None, rows: int = 1000, **entry: Any
) -> dict[str, str]:
    """Write that many exports of `rows` rows each, fifty in a file; the environment that finds them."""
    url = connection or f"sqlite:///{root}/data.db"
    if connection is None:
        with closing(sqlite3.connect(root / "data.db", isolation_level=None)) as database:
            database.execute("create table numbers (id integer, name text, amount decimal(12,2))")
            database.execute(
                "insert into numbers with recursive n(i) as (select 1 union all select i + 1 from n where i < ?) "
                "select i, 'name of ' || i, i / 100.0 from n",
                (rows,),
            )
    (root / "specs").mkdir()
    shared = {"connections": {"data": {"url": url, "max_concurrent": 32}}}
    (root / "specs" / "connections.yaml").write_text(yaml.safe_dump(shared))
    common = {"source": "data", "datasets": {"numbers": {"table": "numbers"}}, "formats": ["csv"], "schedule": "daily"}
    for first in range(0, number, _PER_FILE):
        exports = {f"export_{n:04}": {**common, **entry} for n in range(first, min(first + _PER_FILE, number))}
        (root / "specs" / f"exports_{first:04}.yaml").write_text(yaml.safe_dump({"exports": exports}))
    return environment(root)


def fill_ledger(ledger: Ledger, number: int, *, exports: int = 1000) -> None:
    """Register that many artifacts, spread over the exports, a day each."""
    with ledger.write() as connection:
        for row in _artifacts(number, exports):
            register(connection, row)


def _artifacts(number: int, exports: int) -> Iterator[ArtifactRow]:
    columns = [Column(name=name, type="string") for name in ("id", "name", "amount")]
    first = date(2026, 11, 21) - timedelta(days=number // exports)
    for n in range(number):
        export, day = f"export_{n % exports:04}", first + timedelta(days=n // exports)
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        created = start + timedelta(days=1, hours=2)
        file = FileEntry(
            name="numbers.csv", dataset="numbers", format="csv", media_type="text/csv", rows=1000, bytes=20_000,
            sha256=f"{n:064x}",
        )  # fmt: skip
        manifest = Manifest(
            artifact_id=f"{n:032x}", export=export, partition=day.isoformat(), scheduled_at=created, run_id=f"{n:032x}",
            window=WindowUtc(start=start, end=start + timedelta(days=1)), created_at=created, spec_sha256="0" * 64,
            row_limit=None, rows={"numbers": 1000}, seconds=0.1, files=[file], schemas={"numbers": columns},
        )  # fmt: skip
        yield ArtifactRow("local", f"{day}/{export}/{n:08x}/metadata.json", manifest)
