"""What is read of a ledger without SQLAlchemy is what the ledger says."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from benchmarks.speed.many import write_exports
from export_pipelines.ledger import pauses
from export_pipelines.ledger.artifacts import ArtifactRow, newest_partitions, register
from export_pipelines.ledger.glimpse import glimpse
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import artifacts
from export_pipelines.storage.manifest import Manifest, WindowUtc

_made = st.tuples(st.sampled_from(["students", "grades"]), st.integers(1, 5), st.integers(1, 3))


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path_factory.mktemp('glimpse')}/ledger.db")


def _row(number: int, export: str, first: int, days: int) -> ArtifactRow:
    start, end = datetime(2026, 1, first, tzinfo=UTC), datetime(2026, 1, first + days, tzinfo=UTC)
    manifest = Manifest(
        artifact_id=f"{number:032x}", export=export, partition=f"2026-01-{first:02}", scheduled_at=None, run_id="r",
        last_partition=f"2026-01-{first + days - 1:02}" if days > 1 else None, window=WindowUtc(start=start, end=end),
        created_at=end, spec_sha256="0" * 64, row_limit=None, rows={}, seconds=0.1, files=[], schemas={},
    )  # fmt: skip
    return ArtifactRow("local", f"{number}/metadata.json", manifest)


@settings(deadline=None)
@given(st.lists(_made, unique_by=lambda made: (made[0], made[1] + made[2]), max_size=8))
def test_newest_partitions_are_those_of_the_ledger(ledger: Ledger, made: list[tuple[str, int, int]]) -> None:
    with ledger.write() as connection:
        connection.execute(delete(artifacts))
        for number, values in enumerate(made):
            register(connection, _row(number, *values))
    seen = glimpse(str(ledger.url))
    assert seen is not None
    assert seen.newest == newest_partitions(ledger)


def test_a_pause_is_seen_until_it_is_ended(tmp_path: Path) -> None:
    ledger, now = Ledger(f"sqlite:///{tmp_path}/ledger.db"), datetime(2026, 1, 1, tzinfo=UTC)
    pauses.pause(ledger, "export", "students", at=now, until=None, by="ann", why="")
    assert (seen := glimpse(str(ledger.url))) and seen.paused
    pauses.resume(ledger, "export", "students", at=now, by="ann")
    assert (seen := glimpse(str(ledger.url))) and not seen.paused


def test_what_is_no_ledger_of_this_version_is_left_to_the_ledger(tmp_path: Path) -> None:
    assert glimpse("postgresql://somewhere/else") is None
    assert glimpse(f"sqlite:///{tmp_path}/missing.db") is None
    (tmp_path / "text.db").write_text("no database, but long enough to be read as one" * 100)
    assert glimpse(f"sqlite:///{tmp_path}/text.db") is None
    with closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as connection:
        connection.execute("create table export_ledger_version (version integer)")
        connection.execute("insert into export_ledger_version values (1)")
    assert glimpse(f"sqlite:///{tmp_path}/old.db") is None


def test_listing_exports_imports_little(tmp_path: Path) -> None:
    environ = write_exports(tmp_path, 3)
    code = (
        "import sys\nfrom export_pipelines.cli.main import main\n"
        "main(['list'], standalone_mode=False)\n"
        "heavy = {'dagster', 'sqlalchemy', 'pyarrow', 'numpy', 'pandas', 'rich.console', 'holidays', 'boto3'}\n"
        "print(sorted(heavy & {*sys.modules}), file=sys.stderr)"
    )
    for imported in (["sqlalchemy"], []):  # the first one creates the ledger
        found = subprocess.run([sys.executable, "-c", code], env=environ, check=True, capture_output=True, text=True)
        assert "export_0002" in found.stdout
        assert found.stderr.strip() == str(imported)
