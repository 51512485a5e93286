"""Published files and archives read again: damage is found, recorded and told once, repair too. On both databases."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from export_pipelines.findings import Finding
from export_pipelines.integrity.pace import due, overdue
from export_pipelines.integrity.passes import Pass, read_due, record, verify_due
from export_pipelines.ledger import archives, artifacts, deletions, pulses, readings
from export_pipelines.ledger.archives import ArchiveRow
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.ledger.deletions import Decision
from export_pipelines.ledger.tables import archives as archive_table
from export_pipelines.ledger.tables import artifacts as artifact_table
from export_pipelines.notify import events
from export_pipelines.project import Project
from export_pipelines.retention.archive_plan import plan_archive
from export_pipelines.retention.archive_write import pack
from export_pipelines.verify import verify
from export_pipelines_tests.projects import environment, write_project

DAY = timedelta(days=1)
NOW = datetime(2031, 3, 10, 12, tzinfo=UTC)
PARTITIONS = ("2026-01-05", "2026-01-06", "2026-01-07")

Make = Callable[..., Project]


@pytest.fixture(params=["sqlite", "postgresql"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    def _make(**stores: object) -> Project:
        environ = environment(tmp_path, S3_KEY="a")
        if request.param == "postgresql":
            environ["EXPORT_LEDGER_URL"] = request.getfixturevalue("postgres_url")
        vault = {"vault": {"type": "local", "root": str(tmp_path / "vault")}}
        exports = {"students": {"formats": ["csv", "jsonl"]}, "flat": {"layout": "flat"}}
        made = Project.load(write_project(tmp_path, exports, environ=environ, stores={**vault, **stores}))
        made.specs.require_valid()
        return made

    return _make


def publish(made: Project, *names: str) -> list[ArtifactRow]:
    for name in names or ("students", "flat"):
        for partition in PARTITIONS:
            made.run(made.request(name, partition, run_id=uuid.uuid4().hex))
    return artifacts.find(made.ledger)


def read_all(made: Project, now: datetime = NOW, **options: object) -> Pass:
    return verify_due(made, now, overdue(made.ledger, now, days=0), **options)  # type: ignore[arg-type]


def path_of(made: Project, row: ArtifactRow, suffix: str = ".csv") -> Path:
    entry = next(entry for entry in row.manifest.files if entry.name.endswith(suffix))
    return Path(made.store(row.store).uri(row.path_of(entry.name)))


def flip(path: Path) -> bytes:
    """Change one bit in the middle; return what the file was."""
    before = path.read_bytes()
    data = bytearray(before)
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return before


def state(made: Project, row: ArtifactRow) -> tuple[datetime | None, datetime | None]:
    """verified_at and damaged_at."""
    c = artifact_table.c
    query = select(c.verified_at, c.damaged_at).where(c.artifact_id == row.manifest.artifact_id)
    with made.ledger.read() as connection:
        found = connection.execute(query).one()
        return found.verified_at, found.damaged_at


def told(made: Project) -> list[tuple[str | None, str | None]]:
    return [(event.export, event.partition) for event in events.between(made.ledger, NOW - 900 * DAY, NOW + 900 * DAY)]


def row_of(archive_id: str, index_path: str, file_path: str) -> ArchiveRow:
    """An archive that is about to be written."""
    where = {"store": "vault", "index_path": index_path, "file_path": file_path}
    return ArchiveRow(archive_id, **where, export="students", bytes=None, announced_at=NOW, sealed_at=None)


def archive(made: Project, *rows: ArtifactRow, seal: bool = True) -> tuple[str, Path]:
    """Pack artifacts into an archive in the store `vault`; return its id and its file."""
    plan = plan_archive(rows, what="2026-01", format="zip", archive_id=uuid.uuid4().hex, created_at=NOW)
    announced = row_of(plan.archive_id, plan.index_path, plan.file_path)
    with made.ledger.write() as connection:
        archives.announce(connection, announced)
    index = pack(made.store(rows[0].store), rows, made.store("vault"), archive=plan)
    if seal:
        with made.ledger.write() as connection:
            archives.seal(connection, plan.archive_id, octets=index.file.bytes, at=NOW)
    return plan.archive_id, Path(made.store("vault").uri(plan.file_path))


def test_what_is_right_is_recorded_as_read(make: Make) -> None:
    made = make()
    rows = publish(made)
    key, _ = archive(made, *(row for row in rows if row.manifest.export == "flat"))
    found = read_all(made, NOW + DAY)
    assert (found.artifacts, found.archives, found.damaged, found.errors, found.left) == (6, 1, [], [], 0)
    assert found.files == 3 * 2 + 3 + 1
    assert {state(made, row) for row in rows} == {(NOW + DAY, None)}
    assert found.unread_since == NOW + DAY
    assert overdue(made.ledger, NOW + DAY, days=0.5) == []
    assert {item.id for item in overdue(made.ledger, NOW + 3 * DAY, days=1)} >= {key}
    assert told(made) == []


def test_a_flipped_bit_is_told_once_and_forgotten_when_it_is_right_again(make: Make) -> None:
    made = make()
    rows = publish(made, "students")
    victim = rows[1]
    right = flip(path_of(made, victim))
    found = read_all(made)
    assert [(one.kind, one.artifact_id) for one in found.damaged] == [("damaged", victim.manifest.artifact_id)]
    assert found.artifacts == 3
    assert state(made, victim) == (None, NOW)
    assert state(made, rows[0]) == (NOW, None)
    assert read_all(made, NOW + DAY).repaired == []
    assert state(made, victim) == (None, NOW)  # since when it is known to be damaged
    assert told(made) == [("students", victim.manifest.partition)]
    now = readings.integrity(made.ledger)
    assert (now.artifacts, now.damaged) == (1, [("students", victim.manifest.partition)])
    path_of(made, victim).write_bytes(right)
    last = read_all(made, NOW + 2 * DAY)
    assert [(one.export, one.partition) for one in last.repaired] == [("students", victim.manifest.partition)]
    assert state(made, victim) == (NOW + 2 * DAY, None)
    assert readings.integrity(made.ledger).artifacts == 0
    assert len(told(made)) == 1


def test_damage_is_read_again_in_the_next_pass_and_the_rest_is_not(make: Make) -> None:
    made = make()
    rows = publish(made, "students")
    flip(path_of(made, rows[2]))
    read_all(made)
    chosen = due(made.ledger, NOW + DAY, days=28)
    assert rows[2].manifest.artifact_id in {item.id for item in chosen}
    assert len(chosen) == 2


def test_missing_files_and_manifests_and_changed_manifests_are_damage(make: Make) -> None:
    made = make()
    first, second, third = publish(made, "students")
    path_of(made, first, ".jsonl").unlink()
    shutil.rmtree(path_of(made, second).parent)
    manifest = Path(made.store("local").uri(third.manifest_path))
    manifest.write_text(manifest.read_text().replace('"run_id": "', '"run_id": "0'))
    found = {(one.kind, Path(one.path).name, one.artifact_id) for one in read_all(made).damaged}
    assert found == {
        ("missing", "students.jsonl", first.manifest.artifact_id),
        ("missing", "metadata.json", second.manifest.artifact_id),
        ("damaged", "metadata.json", third.manifest.artifact_id),
    }
    manifest.write_text("{")
    assert {one.kind for one in read_all(made).damaged if one.path == third.manifest_path} == {"unreadable"}
    assert readings.integrity(made.ledger).artifacts == 3


def test_a_store_that_is_not_there_is_no_damage_and_holds_up_no_other(make: Make, tmp_path: Path) -> None:
    made = make()
    rows = publish(made, "students")
    archive(made, *rows)
    shutil.move(tmp_path / "out", tmp_path / "unplugged")
    (tmp_path / "out").mkdir()  # as a mount point is without its disk
    found = read_all(made)
    assert (found.artifacts, found.archives, found.damaged, found.left) == (0, 1, [], 3)
    assert [error.store for error in found.errors] == ["local"]
    assert "is empty, and the ledger knows of files in it" in found.errors[0].message
    assert {state(made, row) for row in rows} == {(None, None)}
    shutil.rmtree(tmp_path / "out")
    assert [error.store for error in read_all(made).errors] == ["local"]
    assert told(made) == []
    shutil.move(tmp_path / "unplugged", tmp_path / "out")
    assert read_all(made).errors == []


def test_a_bucket_that_cannot_be_reached_is_no_damage(make: Make) -> None:
    keys = {"access_key_id": "${env:S3_KEY}", "secret_access_key": "${env:S3_KEY}", "region": "eu-central-1"}
    lake = {"type": "s3", "bucket": "lake", "endpoint_url": "http://127.0.0.1:9", **keys}
    made = make(lake=lake)
    rows = publish(made, "students")
    with made.ledger.write() as connection:
        moved = update(artifact_table).where(artifact_table.c.artifact_id == rows[0].manifest.artifact_id)
        connection.execute(moved.values(store="lake"))
    found = read_all(made)
    assert ([error.store for error in found.errors], found.damaged) == (["lake"], [])
    assert (found.artifacts, found.left) == (2, 1)


def test_one_artifact_that_cannot_be_read_holds_up_no_other(make: Make) -> None:
    made = make()
    rows = publish(made, "students")
    with made.ledger.write() as connection:
        broken = update(artifact_table).where(artifact_table.c.artifact_id == rows[0].manifest.artifact_id)
        connection.execute(broken.values(manifest="{"))
        lost = update(artifact_table).where(artifact_table.c.artifact_id == rows[1].manifest.artifact_id)
        connection.execute(lost.values(store="elsewhere"))
    found = read_all(made)
    assert (found.artifacts, found.left, found.damaged) == (1, 2, [])
    assert sorted(error.store for error in found.errors) == ["elsewhere", "local"]
    assert state(made, rows[2]) == (NOW, None)


def test_what_retention_deletes_meanwhile_is_not_damage(make: Make) -> None:
    made = make()
    rows = publish(made, "students")
    gone, going = rows[0], rows[1]
    with made.ledger.write() as connection:
        decided = Decision(artifact_id=going.manifest.artifact_id, why="old")
        deletions.decide(connection, [decided], batch="b", by="me", at=NOW)
    items = overdue(made.ledger, NOW, days=0)
    for row in (gone, going):
        shutil.rmtree(path_of(made, row).parent)
    with made.ledger.write() as connection:
        artifacts.mark_deleted(connection, gone.manifest.artifact_id, NOW)
    found = verify_due(made, NOW, items)
    assert (found.artifacts, found.damaged, found.errors) == (1, [], [])
    assert verify(made.store("local"), made.ledger).problems == []
    assert told(made) == []
    assert {item.id for item in overdue(made.ledger, NOW, days=0)} == {row.manifest.artifact_id for row in rows[1:]}


@pytest.mark.parametrize("harm", ["archive", "index", "archive gone", "index gone"])
def test_damage_to_an_archive_is_found_by_both_ways_of_reading(make: Make, harm: str) -> None:
    made = make()
    rows = publish(made, "students")
    key, file = archive(made, *rows)
    archive(made, rows[0])
    index = file.with_name(f"{file.stem}.archive.json")
    harmed = file if harm.startswith("archive") else index
    right = flip(harmed)
    if harm.endswith("gone"):
        harmed.unlink()
    kind = "missing" if harm.endswith("gone") else "damaged" if harm == "archive" else "unreadable"
    found = read_all(made)
    assert [(one.kind, Path(one.path).name) for one in found.damaged] == [(kind, harmed.name)]
    assert found.archives == 2
    problems = verify(made.store("vault"), made.ledger).problems
    assert (kind, harmed.name) in {(one.kind, Path(one.path).name) for one in problems}
    assert readings.integrity(made.ledger).archives == 1
    assert len(told(made)) == 1
    harmed.write_bytes(right)
    assert [one.item.id for one in read_all(made).repaired] == [key]
    assert verify(made.store("vault"), made.ledger).problems == []
    assert readings.integrity(made.ledger).archives == 0


def test_an_archive_and_its_index_are_listed_and_one_that_is_being_written_is_not_missing(make: Make) -> None:
    made = make()
    rows = publish(made, "students")
    archive(made, *rows)
    archive(made, rows[0], seal=False)
    with made.ledger.write() as connection:
        archives.announce(connection, row_of(uuid.uuid4().hex, "x/2026/x.archive.json", "x/2026/x.zip"))
    unfinished = Path(made.store("vault").uri("x/2026/x.zip"))
    unfinished.parent.mkdir(parents=True)
    unfinished.write_text("its index follows")
    report = verify(made.store("vault"), made.ledger)
    assert (report.problems, report.errors, len(report.archives), report.files) == ([], [], 2, 2)
    assert verify(made.store("vault"), made.ledger, export="flat").archives == {}
    assert len(verify(made.store("vault"), made.ledger, export="students").archives) == 2
    with made.ledger.write() as connection:
        connection.execute(archive_table.delete())
    unfinished.unlink()
    kinds = {found.kind for found in verify(made.store("vault"), made.ledger).problems}
    assert kinds == {"unregistered"}


def test_a_whole_verification_is_recorded_like_a_pass(make: Make) -> None:
    made = make()
    rows = publish(made, "students")
    flip(path_of(made, rows[0]))
    copy = path_of(made, rows[1]).parent
    shutil.copytree(copy, copy.with_name("copy"))
    flip(copy.with_name("copy") / "students.csv")
    report = verify(made.store("local"), made.ledger)
    record(made, report, NOW)
    assert [state(made, row) for row in rows] == [(None, NOW), (NOW, None), (NOW, None)]
    assert {found.kind for found in report.problems} == {"damaged", "unregistered"}


def test_a_pass_that_has_no_time_says_what_is_left_and_the_next_one_goes_on(make: Make) -> None:
    made = make()
    publish(made)
    found = read_all(made, seconds=0)
    assert (found.artifacts, found.left) == (0, 6)
    assert found.unread_since is not None
    assert found.unread_since < NOW
    assert read_all(made).left == 0


def test_what_was_read_is_given_before_it_is_recorded(make: Make) -> None:
    made = make()
    rows = publish(made, "students")
    flip(path_of(made, rows[0]))
    found = Pass()
    seen = next(read_due(made, NOW, overdue(made.ledger, NOW, days=0), found=found))  # and then the process ends
    assert sorted(bool(one.findings) for one in seen) == [False, False, True]
    assert {state(made, row) for row in rows} == {(None, None)}
    again = [one for some in read_due(made, NOW, overdue(made.ledger, NOW, days=0), found=found) for one in some]
    assert (len(again), found.artifacts, len(found.damaged)) == (3, 3, 1)
    assert len(told(made)) == 1


def test_reading_begins_slowly_and_is_remembered(make: Make) -> None:
    made = make()
    publish(made)
    first = due(made.ledger, NOW, days=3)
    assert 2 <= len(first) <= 4
    verify_due(made, NOW, first)
    found = pulses.read(made.ledger)
    assert (found[pulses.READ].at, found[pulses.READING_SINCE].at) == (NOW, NOW)
    read = {item.id for item in first}
    for day in (1, 2):
        items = due(made.ledger, NOW + day * DAY, days=3)
        read |= {item.id for item in items}
        verify_due(made, NOW + day * DAY, items)
    assert len(read) == 6


def test_findings_name_their_artifact(make: Make) -> None:
    made = make()
    (row, *_) = publish(made, "students")
    flip(path_of(made, row))
    (found,) = read_all(made).damaged
    manifest = row.manifest
    expected = (row.store, manifest.export, manifest.partition, manifest.artifact_id)
    assert isinstance(found, Finding)
    assert (found.store, found.export, found.partition, found.artifact_id) == expected


def test_the_newest_artifact_of_a_partition_or_of_the_export(make: Make) -> None:
    made = make()
    publish(made, "students")
    again = made.run(made.request("students", PARTITIONS[0], run_id="again"))
    (found,) = readings.newest(made.ledger, ["students", "flat"], partition=PARTITIONS[0])
    assert (found.id, found.what, found.store) == (again.manifest.artifact_id, "artifact", "local")
    assert readings.newest(made.ledger, ["students", "flat"]) == [found]  # it was published last
    (other,) = readings.newest(made.ledger, ["students"], partition=PARTITIONS[1])
    assert other.id != found.id
    with made.ledger.write() as connection:
        artifacts.mark_deleted(connection, found.id, NOW)
    (before,) = readings.newest(made.ledger, ["students"], partition=PARTITIONS[0])
    assert before.id not in (found.id, other.id)
    assert readings.newest(made.ledger, ["students"], partition="2026-01-09") == []


def test_damage_of_a_partition_is_known_until_it_is_published_anew_and_after(make: Make) -> None:
    made = make()
    rows = publish(made, "students")
    victim = rows[0].manifest.partition
    right = flip(path_of(made, rows[0]))

    def known() -> list[str]:
        return [partition for partition in PARTITIONS if readings.had_damage(made.ledger, "students", partition)]

    assert (known(), readings.notified(made.ledger)) == ([], set())
    read_all(made)
    assert (known(), readings.notified(made.ledger)) == ([victim], {("students", victim)})
    path_of(made, rows[0]).write_bytes(right)
    read_all(made, NOW + DAY)
    assert known() == []
    for partition in PARTITIONS:
        made.run(made.request("students", partition, run_id=f"again-{partition}"))
    assert known() == [victim]  # nobody may have told Dagster that it was repaired
    assert readings.notified(made.ledger) == {("students", victim)}
