"""What is in the stores, against a recount of their files, on both databases."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text, update

from export_pipelines.ledger import tables
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.monitoring.storage import Capacity, StoreSums, by_format, by_store, capacity, low
from export_pipelines.project import Project
from export_pipelines_tests.projects import environment, write_project

NOW = datetime(2026, 3, 10, tzinfo=UTC)
EXPORTS = {
    "students": {"formats": ["csv", "jsonl"]},
    "both": {"datasets": {"s": {"table": "students"}, "g": {"table": "grades"}}, "formats": ["csv", "xlsx"]},
    "flat": {"layout": "flat", "store": "second"},
}


@pytest.fixture(params=["sqlite", "postgresql"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A project with two stores; exports have several formats, datasets and partitions, some twice."""
    environ = environment(tmp_path)
    if request.param == "postgresql":
        environ["EXPORT_LEDGER_URL"] = request.getfixturevalue("postgres_url")
    stores = {"second": {"type": "local", "root": str(tmp_path / "second")}}
    stores["lake"] = {"type": "s3", "bucket": "nowhere"}
    made = Project.load(write_project(tmp_path, EXPORTS, environ=environ, stores=stores))
    made.specs.require_valid()
    for name, day in (("students", 5), ("students", 6), ("students", 5), ("both", 5), ("flat", 7), ("flat", 5)):
        made.run(made.request(name, f"2026-01-{day:02}", run_id=uuid.uuid4().hex))
    return made


def recount(made: Project) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]], Counter[str]]:
    """(export, suffix) -> files, and -> bytes; store -> bytes: of what is on disk."""
    files, octets, stores = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[str]()
    for name in ("local", "second"):
        store = made.store(name)
        for path in store.walk():
            if not path.endswith("metadata.json"):
                export = "flat" if name == "second" else path.split("/")[1]
                kind, size = path.rpartition(".")[2], store.size(path) or 0
                files[export, kind] += 1
                octets[export, kind] += size
                stores[name] += size
    return files, octets, stores


def test_numbers_equal_a_recount_of_the_files(made: Project) -> None:
    files, octets, stores = recount(made)
    found = by_format(made.ledger)
    assert {(sums.export, sums.format): sums.files for sums in found} == files
    assert {(sums.export, sums.format): sums.bytes for sums in found} == octets
    assert [(sums.export, sums.format) for sums in found] == sorted(files)
    assert {sums.store: sums.bytes for sums in by_store(made) if sums.bytes} == stores
    artifacts = {(sums.export, sums.format): sums.artifacts for sums in found}
    assert artifacts["students", "csv"] == artifacts["students", "jsonl"] == 3
    assert (artifacts["both", "csv"], files["both", "csv"]) == (1, 2)
    assert {sums.store: sums.artifacts for sums in by_store(made)} == {"local": 4, "second": 2, "lake": 0}


def test_the_oldest_and_newest_are_partitions_not_runs(made: Project) -> None:
    (flat,) = by_format(made.ledger, export="flat")
    assert (flat.oldest, flat.newest) == (datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 7, tzinfo=UTC))


def test_one_export_alone(made: Project) -> None:
    assert {sums.export for sums in by_format(made.ledger, export="students")} == {"students"}
    assert {sums.store: sums.artifacts for sums in by_store(made, export="students")}["local"] == 3
    assert by_format(made.ledger, export="x' or 'x' = 'x") == []


def test_what_was_deleted_no_longer_counts_and_archives_do(made: Project) -> None:
    row = {"store": "second", "index_path": "i", "file_path": "f", "export": "students", "announced_at": NOW}
    with made.ledger.write() as connection:
        connection.execute(update(tables.artifacts).where(tables.artifacts.c.export == "both").values(deleted_at=NOW))
        archives = tables.archives.insert()
        connection.execute(archives.values(archive_id="1", bytes=70, sealed_at=NOW, **row))
        connection.execute(archives.values(archive_id="2", bytes=7, sealed_at=NOW, **row))
        connection.execute(archives.values(archive_id="3", bytes=None, sealed_at=None, **row))
    assert {sums.export for sums in by_format(made.ledger)} == {"students", "flat"}
    stores = {sums.store: sums for sums in by_store(made)}
    assert (stores["second"].archives, stores["second"].archive_bytes) == (2, 77)
    assert (stores["local"].artifacts, stores["local"].archives) == (3, 0)


def test_an_empty_ledger_has_empty_stores(tmp_path: Path) -> None:
    made = Project.load(write_project(tmp_path, {"students": {}}))
    assert by_format(made.ledger) == []
    assert [(sums.store, sums.artifacts, sums.bytes) for sums in by_store(made)] == [("local", 0, 0)]


def test_the_disk_is_that_of_the_store(made: Project, tmp_path: Path) -> None:
    disk = shutil.disk_usage(tmp_path)
    found = {sums.store: sums.capacity for sums in by_store(made)}
    assert found["lake"] is None
    assert found["local"]
    assert (found["local"].total_bytes, found["local"].device) == (disk.total, tmp_path.stat().st_dev)
    assert found["local"].free_bytes == pytest.approx(disk.free, rel=0.2)
    assert capacity(made, "unknown") is None


def test_a_disk_is_low_below_the_limit_and_told_once(made: Project) -> None:
    settings = {**made.settings.variables, "EXPORT_DISK_WARN_PERCENT": "10"}
    project = Project(type(made.settings)(settings), made.specs)

    def sums(name: str, free: int, device: int) -> StoreSums:
        return StoreSums(name, capacity=Capacity(free, 10**11, device))

    assert low(project, [sums("a", 10**10, 1), StoreSums("lake")]) == []
    found = low(project, [sums("a", 99 * 10**8, 1), sums("b", 99 * 10**8, 1), sums("c", 10**7, 2)])
    assert found == [
        "The disk of stores a and b is nearly full: 9.9 GB of 100 GB are free, 9.9 %. Free space, or keep less: exports prune",
        "The disk of store c is nearly full: 10 MB of 100 GB are free, 0.0 %. Free space, or keep less: exports prune",
    ]
    assert low(made) == []
    never = {**made.settings.variables, "EXPORT_DISK_WARN_PERCENT": "100"}
    assert len(low(Project(type(made.settings)(never), made.specs))) == 1


MANY = """
insert into export_artifacts (artifact_id, export, partition, window_start, window_end, run_id, created_at, store,
                              manifest_path, spec_sha256, rows, bytes, seconds, manifest, good)
with recursive n (i) as (select 0 union all select i + 1 from n where i < 99999)
select i, 'export_' || (i % 200), i / 200, '2026-01-01 00:00:00.000000', '2026-01-02 00:00:00.000000', i,
       '2026-01-02 00:00:00.000000', 'local', 'm', '', 4, 300, 1, :manifest, true from n
"""


def test_a_hundred_thousand_artifacts_are_summed_up_in_two_seconds(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    columns = [{"name": f"column_{n}", "type": "string", "nullable": True} for n in range(20)]
    files = [{"name": "a.csv", "format": "csv", "bytes": 100}, {"name": "a.xlsx", "format": "xlsx", "bytes": 200}]
    manifest = json.dumps({"version": 1, "files": files, "schemas": {"a": columns}})
    with ledger.write() as connection:
        connection.execute(text(MANY), {"manifest": manifest})
    began = time.process_time()
    found = by_format(ledger)
    assert time.process_time() - began < 2
    assert sum(sums.bytes for sums in found) == 300 * 100_000
    assert {sums.files for sums in found} == {500}
