"""Retention on real stores and ledgers: what goes, what stays, what is archived, and what stops it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from export_pipelines.errors import DamagedArtifactError, LeaseHeldError, SpecError
from export_pipelines.ledger import artifacts, deletions, pins
from export_pipelines.ledger.inventory import inventory
from export_pipelines.notify import events
from export_pipelines.project import Project
from export_pipelines.rebuild import rebuild, rebuild_archives
from export_pipelines.retention.decide import decide, survey_all
from export_pipelines.retention.passes import Order, Pass
from export_pipelines.retention.prune import perform
from export_pipelines.retention.restore import restore
from export_pipelines.retention.sweep import sweep
from export_pipelines.verify import verify
from export_pipelines_tests.prunes import Store, archived, files, manifests, unfinished, unsafe

ZIP = {"store": "vault", "format": "zip"}
MONTHS = {"store": "vault", "format": "tar.zst", "per": "month"}
WAYS = pytest.mark.parametrize("archive", [ZIP, MONTHS, {"store": "vault", "format": "tar.gz"}, False], ids=str)


def order(**values: object) -> Order:
    return Order(by="test", now=datetime.now(UTC), **values)  # type: ignore[arg-type]


@WAYS
@pytest.mark.parametrize("layout", ["artifact", "flat"])
def test_what_the_dry_run_lists_is_what_goes(tmp_path: Path, archive: dict[str, str] | bool, layout: str) -> None:
    store = Store.at(tmp_path, archive, layout=layout)
    planned = store.prune(dry_run=True)
    assert files(tmp_path / "out") == store.before
    assert (planned.rows, planned.kept) == ([], 8)
    outcome = store.prune()
    assert [row.artifact_id for row in outcome.deleted] == [gone.item.artifact_id for gone in planned.plan.delete]
    assert {row.artifact_id for row in outcome.deleted} == store.old
    assert (outcome.errors, outcome.kept) == ([], 4)
    assert outcome.archived == (0 if archive is False else 4)
    assert list(unsafe(store, must_archive=archive is not False)) == []
    assert list(unfinished(store)) == []
    again = store.prune()
    assert (again.deleted, again.errors, again.plan.delete) == ([], [], [])


def test_the_ledger_tells_who_deleted_what_and_why(tmp_path: Path) -> None:
    store = Store.at(tmp_path, MONTHS)
    before = {row.manifest.artifact_id: row.manifest for row in artifacts.find(store.made.ledger)}
    store.prune()
    gone = artifacts.find(store.made.ledger, deleted=True)
    assert {row.manifest.artifact_id for row in gone} == store.old
    assert all(row.manifest == before[row.manifest.artifact_id] and row.deleted_at for row in gone)
    for row in deletions.of_artifacts(store.made.ledger, sorted(store.old)).values():
        assert (row[0].by, row[0].outcome, row[0].sealed) == ("test", "deleted", True)
        assert row[0].why.startswith("no rule keeps it")
    (event,) = events.between(store.made.ledger, datetime(2026, 1, 1, tzinfo=UTC), datetime.now(UTC))
    assert (event.kind, event.level, event.details["deleted"], event.details["archived"]) == (
        "cleanup",
        "cleanup",
        4,
        4,
    )


@WAYS
def test_a_restored_artifact_is_byte_identical_and_stays(tmp_path: Path, archive: dict[str, str] | bool) -> None:
    store = Store.at(tmp_path, archive)
    store.prune()
    chosen = min(store.old)
    if archive is False:
        with pytest.raises(SpecError, match="deleted without an archive"):
            restore(store.made, chosen, by="me", now=datetime.now(UTC))
        return
    row = restore(store.made, chosen[:10], by="me", now=datetime.now(UTC))
    now = files(tmp_path / "out")
    assert {path: data for path, data in now.items() if path.startswith(row.directory)} == {
        path: data for path, data in store.before.items() if path.startswith(row.directory)
    }
    assert len(manifests(now)) == 5
    assert verify(store.made.store("local"), store.made.ledger).problems == []
    assert store.prune().deleted == []
    with pytest.raises(SpecError, match="was not deleted"):
        restore(store.made, chosen, by="me", now=datetime.now(UTC))
    with store.made.ledger.read() as connection:
        assert {item.artifact_id: item.pinned for item in inventory(connection)}[chosen]


def test_what_was_restored_and_deleted_again_is_not_archived_twice(tmp_path: Path) -> None:
    store = Store.at(tmp_path, MONTHS)
    store.prune()
    chosen = min(store.old)
    vault = files(tmp_path / "vault")
    restore(store.made, chosen, by="me", now=datetime.now(UTC), pinned=False)
    assert [row.artifact_id for row in store.prune().deleted] == [chosen]
    assert files(tmp_path / "vault") == vault
    restore(store.made, chosen, by="me", now=datetime.now(UTC))
    assert len(manifests(files(tmp_path / "out"))) == 5


def test_restoring_what_came_back_already_only_records_it(tmp_path: Path) -> None:
    store = Store.at(tmp_path, ZIP)
    store.prune()
    chosen = min(store.old)
    row = restore(store.made, chosen, by="me", now=datetime.now(UTC), pinned=False)
    with store.made.ledger.write() as connection:  # as if it had been killed before the ledger's commit
        artifacts.mark_deleted(connection, chosen, datetime.now(UTC))
        connection.exec_driver_sql("update export_deletions set restored_at = null")
    before = files(tmp_path / "out")
    restore(store.made, chosen, by="me", now=datetime.now(UTC))
    assert files(tmp_path / "out") == before
    damaged = tmp_path / "out" / row.path_of(row.manifest.files[0].name)
    with store.made.ledger.write() as connection:
        artifacts.mark_deleted(connection, chosen, datetime.now(UTC))
        connection.exec_driver_sql("update export_deletions set restored_at = null")
    damaged.write_bytes(b"other")
    with pytest.raises(Exception, match="Move what is there away"):
        restore(store.made, chosen, by="me", now=datetime.now(UTC))


def test_a_lost_ledger_is_rebuilt_with_what_was_deleted(tmp_path: Path) -> None:
    store = Store.at(tmp_path, MONTHS)
    store.prune()
    store.made.ledger.close()
    (tmp_path / "state" / "ledger.db").unlink()
    made = Project(store.made.settings, store.made.specs)
    assert [rebuild(made.store(name), made.ledger)[0] for name in ("local", "vault")] == [4, 0]
    assert [rebuild_archives(made.store(name), made.ledger)[0] > 0 for name in ("local", "vault")] == [False, True]
    assert {row.manifest.artifact_id for row in artifacts.find(made.ledger, deleted=True)} == store.old
    chosen = min(store.old)
    restore(made, chosen, by="me", now=datetime.now(UTC))
    for name in made.specs.stores:  # once more, now that it is back
        rebuild(made.store(name), made.ledger)
        rebuild_archives(made.store(name), made.ledger)
    assert len(artifacts.find(made.ledger)) == 5
    assert len(artifacts.find(made.ledger, deleted=True)) == 3
    assert verify(made.store("local"), made.ledger).problems == []


def test_a_pin_after_the_plan_and_before_the_decision_counts(tmp_path: Path) -> None:
    store = Store.at(tmp_path, False)
    work = Pass(store.made, order())
    survey_all(work)
    chosen = min(store.old)
    pins.pin(store.made.ledger, chosen, by="me", why="late", at=datetime.now(UTC))
    decide(work)
    with pytest.raises(SpecError, match="is being deleted"):
        pins.pin(store.made.ledger, max(store.old), by="me", why="too late", at=datetime.now(UTC))
    for name in ("archive", "delete"):
        perform(work, name)
    left = {row.manifest.artifact_id for row in artifacts.find(store.made.ledger)}
    assert left & store.old == {chosen}
    with pytest.raises(SpecError, match="was deleted"):
        pins.hold(
            store.made.ledger, max(store.old), until=datetime.now(UTC).date(), by="me", why="x", at=datetime.now(UTC)
        )


def test_without_the_last_copy_nothing_of_the_export_is_deleted(tmp_path: Path) -> None:
    store = Store.at(tmp_path, False)
    newest = artifacts.last_good(store.made.ledger, "students")
    assert newest
    path = tmp_path / "out" / newest.path_of(newest.manifest.files[0].name)
    whole = path.read_bytes()
    for damaged, told in ((whole[:-1], "bytes, not"), (None, "does not exist")):
        path.unlink()
        if damaged is not None:
            path.write_bytes(damaged)
        outcome = store.prune()
        assert outcome.deleted == []
        assert told in outcome.errors[0]
        assert "nothing of it is deleted" in outcome.errors[0]
    assert len(artifacts.find(store.made.ledger)) == 8


def test_a_damaged_artifact_is_kept_and_reported_and_the_others_go(tmp_path: Path) -> None:
    store = Store.at(tmp_path, MONTHS)
    chosen = artifacts.get(store.made.ledger, min(store.old))
    path = tmp_path / "out" / chosen.path_of(chosen.manifest.files[0].name)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    outcome = store.prune()
    assert {row.artifact_id for row in outcome.deleted} == store.old - {chosen.manifest.artifact_id}
    assert "archiving students" in outcome.errors[0]
    kinds = {
        event.kind: event
        for event in events.between(store.made.ledger, datetime(2026, 1, 1, tzinfo=UTC), datetime.now(UTC))
    }
    assert set(kinds) == {"damaged", "cleanup"}
    assert kinds["cleanup"].level == "failure"
    assert path.exists()


def test_the_stop_file_halts_it(tmp_path: Path) -> None:
    store = Store.at(tmp_path, ZIP)
    stop = store.made.settings.stop_file
    stop.touch()
    outcome = store.prune()
    assert outcome.deleted == []
    assert f"stopped by the file {stop}" in outcome.errors[0]
    assert files(tmp_path / "out") == store.before
    stop.unlink()
    work = Pass(store.made, order())
    perform(work, "plan")
    perform(work, "archive")
    stop.touch()
    perform(work, "delete")
    assert files(tmp_path / "out") == store.before
    stop.unlink()
    store.prune()
    assert list(unfinished(store)) == []
    assert len(archived(tmp_path / "vault")) == 4  # those of the halted pass were used


def test_a_refused_plan_deletes_nothing_until_somebody_insists(tmp_path: Path) -> None:
    store = Store.at(tmp_path, False, percent=30)
    outcome = store.prune()
    assert outcome.deleted == []
    assert "more than 30 %" in outcome.errors[0]
    assert {row.artifact_id for row in store.prune(insist=True).deleted} == store.old


def test_another_pass_waits_for_nobody(tmp_path: Path) -> None:
    store = Store.at(tmp_path, False)
    work = Pass(store.made, order())
    with work.working(), pytest.raises(LeaseHeldError, match="at work already"):
        store.prune()
    assert {row.artifact_id for row in store.prune().deleted} == store.old


def test_a_planted_link_holds_up_nobody_and_is_never_followed(tmp_path: Path) -> None:
    store = Store.at(tmp_path, False)
    chosen = artifacts.get(store.made.ledger, min(store.old))
    outside = tmp_path / "outside.csv"
    outside.write_bytes(b"precious")
    planted = tmp_path / "out" / chosen.path_of(chosen.manifest.files[0].name)
    planted.unlink()
    planted.symlink_to(outside)
    outcome = store.prune()
    assert {row.artifact_id for row in outcome.deleted} == store.old - {chosen.manifest.artifact_id}
    assert "not a regular file" in outcome.errors[0]
    assert outside.read_bytes() == b"precious"
    assert "not a regular file" in store.prune().errors[0]  # it is told until somebody looks
    planted.unlink()
    assert [row.artifact_id for row in store.prune().rows] == []
    assert list(unfinished(store)) == []


def test_leftovers_of_dead_runs_are_swept_when_they_are_old_enough(tmp_path: Path) -> None:
    store = Store.at(tmp_path, False)
    made = store.made
    partition = artifacts.find(made.ledger)[0].manifest.partition
    staging = made.store("local").stage(f"students/{partition}", "9_dead")
    staging.create("half.csv").write(b"id,na")
    assert store.prune().swept == []
    later = Pass(made, Order(by="test", now=datetime.now(UTC) + timedelta(hours=1, minutes=1)))
    made.store("local").stage("strangers/2026-01-01", "1_x")
    sweep(later)
    assert later.swept == [f"local: students/{partition}"]
    assert [p.name for p in (tmp_path / "out" / ".staging").iterdir()] == ["strangers"]


def test_a_policy_given_for_one_pass_undercuts_no_minimum(tmp_path: Path) -> None:
    from export_pipelines.spec.retention import RetentionSpec

    store = Store.at(tmp_path, False)
    policy = RetentionSpec(keep_last=1, max_delete_percent=100)
    outcome = store.prune(policy=policy, dry_run=True)
    assert len(outcome.plan.delete) == 7
    assert len(store.prune(policy=policy).deleted) == 7


def test_an_archive_that_is_damaged_later_restores_nothing(tmp_path: Path) -> None:
    store = Store.at(tmp_path, ZIP)
    store.prune()
    for path in (tmp_path / "vault").rglob("*.zip"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    before = files(tmp_path / "out")
    with pytest.raises(DamagedArtifactError):
        restore(store.made, min(store.old), by="me", now=datetime.now(UTC))
    assert files(tmp_path / "out") == before
    assert not (tmp_path / "out" / ".staging").exists()


def test_the_plan_of_one_export_touches_no_other(tmp_path: Path) -> None:
    store = Store.at(tmp_path, False)
    assert store.prune(exports=("grades",)).deleted == []
    assert files(tmp_path / "out") == store.before
