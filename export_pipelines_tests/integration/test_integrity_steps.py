"""When the check `integrity` is a step: not in runs of schedules, but in those that somebody asks for."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._scheduler.scheduler import launch_scheduled_runs
from sqlalchemy import select

from export_pipelines.ledger import artifacts, pulses, readings, tables
from export_pipelines.notify import events
from export_pipelines.orchestration.assets import asset_key
from export_pipelines.orchestration.build import build_definitions
from export_pipelines.orchestration.observer import observe
from export_pipelines.project import Project
from export_pipelines_tests.projects import environment, project, write_project

DAY = "2026-01-05"
TICK = datetime(2026, 1, 6, 2, tzinfo=UTC)
CHECKED = {
    "students": {"table": "students", "checks": {"rows": {"min": 1}, "unique": ["id"], "blocking": ["rows"]}},
}
NIGHTLY = {"cron": "0 2 * * *", "timezone": "UTC", "batch_size": 3}
AT_ONCE = {
    "run_launcher": {
        "module": "dagster._core.launcher.sync_in_memory_run_launcher",
        "class": "SyncInMemoryRunLauncher",
    },
    "run_coordinator": {"module": "dagster.core.run_coordinator", "class": "DefaultRunCoordinator"},
}
LOGGER = logging.getLogger(__name__)


def statuses(instance: dg.DagsterInstance, export: str, name: str) -> list[tuple[str | None, str]]:
    """(partition, status) of every record of the export's check, newest first."""
    key = dg.AssetCheckKey(asset_key(export), name)
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=50)
    return [(record.partition, record.status.value) for record in records]


def steps(instance: dg.DagsterInstance, run_id: str) -> set[str]:
    """The steps of the run that began."""
    return {entry.step_key or "" for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_START)}


# --- as the daemon does it ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkspaceProcessContext]:
    """What the daemon works with: the code location in a process of its own. Runs are executed here."""
    root = tmp_path_factory.mktemp("daemon")
    schedules = {"nightly": {**NIGHTLY, "deadline_minutes": 60}, "plain": NIGHTLY}
    entries = {
        "checked": {"schedule": "nightly", "datasets": CHECKED},
        "late_only": {"schedule": "nightly"},
        "reread": {"schedule": "nightly", "reread": True},
        "second_batch": {"schedule": "nightly"},
        "plain_one": {"schedule": "plain"},
        "plain_two": {"schedule": "plain"},
    }
    write_project(root, entries, schedules=schedules)
    target = ModuleTarget("export_pipelines.definitions", None, str(root), "exports")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(root, EXPORT_VERIFY_SCHEDULE="off", EXPORT_CLEANUP_SCHEDULE="off").items():
            patch.setenv(name, value)
        with (
            dg.instance_for_test(overrides=AT_ONCE) as instance,
            create_test_daemon_workspace_context(target, instance) as workspace,
        ):
            yield workspace


def tick(workspace: WorkspaceProcessContext, instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """The schedules' ticks of one night; the runs that they asked for."""
    for moment in (TICK - timedelta(minutes=1), TICK + timedelta(seconds=1)):
        with freeze_time(moment), ThreadPoolExecutor(1) as submitting:
            done = launch_scheduled_runs(workspace, LOGGER, moment, {}, submit_threadpool_executor=submitting)
            assert [error for error in done if error is not None] == []
    return list(instance.get_runs(dg.RunsFilter(tags={"dagster/schedule_name": ["nightly", "plain"]})))


def test_runs_of_schedules_do_without_it_and_evaluate_all_other_checks(daemon: WorkspaceProcessContext) -> None:
    instance = daemon.instance
    found = tick(daemon, instance)
    assert [run.status for run in found] == [dg.DagsterRunStatus.SUCCESS] * 3
    assert sorted(sorted(steps(instance, run.run_id)) for run in found) == [
        ["exports__checked", "exports__late_only", "exports__reread"],
        ["exports__plain_one", "exports__plain_two"],
        ["exports__second_batch"],
    ]
    wanted = {
        "checked": {"rows", "unique", "deadline"},
        "late_only": {"deadline"},
        "reread": {"reread", "deadline"},
        "second_batch": {"deadline"},
        "plain_one": set(),
        "plain_two": set(),
    }
    for export, names in wanted.items():
        for name in ("rows", "unique", "reread", "deadline", "integrity"):
            records = [found for found in statuses(instance, export, name) if found[0] == DAY]
            assert records == ([(DAY, "SUCCEEDED")] if name in names else []), (export, name)


def test_a_backfill_reads_what_it_published_again(daemon: WorkspaceProcessContext) -> None:
    instance, days, now = daemon.instance, ["2026-01-07", "2026-01-08"], datetime(2026, 2, 1, tzinfo=UTC)
    backfill = PartitionBackfill.from_asset_partitions(
        backfill_id="twodays",
        asset_graph=daemon.create_request_context().asset_graph,
        partition_names=days,
        asset_selection=[asset_key("checked"), asset_key("plain_one")],
        backfill_timestamp=now.timestamp(),
        tags={},
        dynamic_partitions_store=instance,
        all_partitions=False,
        title=None,
        description=None,
        run_config=None,
    )
    instance.add_backfill(backfill)
    with freeze_time(now):
        assert [error for error in execute_backfill_iteration(daemon, LOGGER) if error is not None] == []
    found = instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": "twodays"}))
    assert [run.status for run in found] == [dg.DagsterRunStatus.SUCCESS] * 2
    for export in ("checked", "plain_one"):
        records = [found for found in statuses(instance, export, "integrity") if found[0] in days]
        assert sorted(records) == [(day, "SUCCEEDED") for day in days]


# --- as the UI and the command line do it ---------------------------------------------------------------------------


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as found:
        yield found


def ask(
    made: Project, instance: dg.DagsterInstance, *names: str, partition: str | None = DAY
) -> dg.ExecuteInProcessResult:
    """Materialize the exports with all their checks."""
    return execute(made, instance, partition, asset_selection={asset_key(name) for name in names})


def check(
    made: Project, instance: dg.DagsterInstance, *names: str, partition: str | None = DAY
) -> dg.ExecuteInProcessResult:
    """Evaluate the check and nothing else."""
    keys = {dg.AssetCheckKey(asset_key(name), "integrity") for name in names}
    return execute(made, instance, partition, asset_check_selection=keys)


def execute(
    made: Project, instance: dg.DagsterInstance, partition: str | None, **selection: Any
) -> dg.ExecuteInProcessResult:
    job = build_definitions(made).get_repository_def().get_implicit_global_asset_job_def().get_subset(**selection)
    tags = {"dagster/partition": partition} if partition else {}
    return job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)


def evaluation(result: dg.ExecuteInProcessResult, name: str = "students") -> dg.AssetCheckEvaluation:
    """What the step found for this export."""
    (found,) = (
        one
        for one in result.get_asset_check_evaluations()
        if (one.asset_key, one.check_name) == (asset_key(name), "integrity")
    )
    return found


def damage(made: Project) -> Path:
    """Flip a bit of the newest artifact's first file."""
    row = artifacts.find(made.ledger, limit=1)[0]
    path = Path(made.store("local").uri(row.path_of("students.csv")))
    before = path.read_bytes()
    path.write_bytes(before[:-2] + bytes([before[-2] ^ 1]) + before[-1:])
    return path


def told(made: Project) -> list[str]:
    now = datetime.now(UTC)
    return sorted(e.kind for e in events.between(made.ledger, now - timedelta(days=9), now + timedelta(days=9)))


def test_a_run_that_is_asked_for_reads_what_it_published(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"students": {"datasets": CHECKED}, "hours": {"partition": "hourly"}, "other": {}})
    result = ask(made, instance, "students", "other")
    assert result.success
    assert {event.step_key for event in result.all_events if event.event_type_value == "STEP_START"} == {
        "exports__students",
        "exports__other",
        "integrity",
    }
    found = evaluation(result)
    assert (found.passed, found.partition) == (True, DAY)
    assert found.description == "read again: the files are as they were written"
    assert evaluation(result, "other").passed
    assert statuses(instance, "students", "integrity") == [(DAY, "SUCCEEDED")]
    assert statuses(instance, "hours", "integrity") == []
    assert read(made) == {(DAY, "students"), (DAY, "other")}
    assert ask(made, instance, "hours", partition="2026-01-05-03:00").success
    assert statuses(instance, "hours", "integrity") == [("2026-01-05-03:00", "SUCCEEDED")]
    assert pulses.READ not in pulses.read(made.ledger)  # that is when the job read last


def read(made: Project) -> set[tuple[str, str]]:
    """What was read again, as (partition, export)."""
    with made.ledger.read() as connection:
        query = select(tables.artifacts.c.partition, tables.artifacts.c.export)
        query = query.where(tables.artifacts.c.verified_at.is_not(None))
        return {(row.partition, row.export) for row in connection.execute(query)}


def test_the_check_alone_finds_damage_and_records_it(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"students": {}})
    assert ask(made, instance, "students", partition="2026-01-04").success
    assert ask(made, instance, "students").success
    path = damage(made)
    result = check(made, instance, "students")
    assert result.success  # damage fails the check and not the run
    found = evaluation(result)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert path.name in (found.description or "")
    assert statuses(instance, "students", "integrity")[0] == (DAY, "FAILED")
    assert readings.integrity(made.ledger).damaged == [("students", DAY)]
    assert told(made) == ["damaged"]
    assert evaluation(check(made, instance, "students", partition="2026-01-04")).passed
    assert not evaluation(check(made, instance, "students", partition=None)).passed  # what was published last
    assert statuses(instance, "students", "integrity")[0] == (DAY, "FAILED")


def test_what_was_never_published_has_no_result(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"students": {}})
    result = check(made, instance, "students")
    assert result.success
    assert result.get_asset_check_evaluations() == []


def test_it_is_not_read_where_another_export_of_the_run_fails(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"students": {}, "bad": {"datasets": {"bad": {"sql": "select nonsense"}}}})
    result = ask(made, instance, "students", "bad")
    assert result.get_failed_step_keys() == {"exports__bad"}
    assert [row.manifest.export for row in artifacts.find(made.ledger)] == ["students"]
    assert statuses(instance, "students", "integrity") == [(DAY, "PLANNED")]


def test_a_store_that_cannot_be_read_fails_the_run_and_no_export(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"students": {}})
    assert ask(made, instance, "students").success
    shutil.move(tmp_path / "out", tmp_path / "unplugged")
    result = check(made, instance, "students")
    assert result.get_failed_step_keys() == {"integrity"}
    assert statuses(instance, "students", "integrity")[0] == (DAY, "PLANNED")
    observe(made, instance, since=None, names=[], now=datetime.now(UTC) + timedelta(minutes=10))
    assert told(made) == ["job_failed", "succeeded"]
