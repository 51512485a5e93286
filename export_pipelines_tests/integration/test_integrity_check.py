"""The job `verify` in Dagster: damage fails the check of its partition, repair lets it pass."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from export_pipelines.errors import ConfigurationError
from export_pipelines.integrity import passes
from export_pipelines.ledger import artifacts, readings, workers
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.notify import events
from export_pipelines.orchestration.assets import asset_key
from export_pipelines.orchestration.build import build_definitions
from export_pipelines.orchestration.integrity import verify_job
from export_pipelines.orchestration.observer import observe
from export_pipelines.orchestration.upkeep import upkeep_schedule
from export_pipelines.project import Project
from export_pipelines.settings import Settings
from export_pipelines.verify import verify as verify_store
from export_pipelines_tests.projects import environment, project, write_project

KEY = dg.AssetCheckKey(asset_key("students"), "integrity")
FIRST, SECOND = "2026-01-05", "2026-01-06"
EVERYTHING = {"ops": {"read_again": {"config": {"days": 0}}}}


@pytest.fixture
def made(tmp_path: Path) -> Project:
    return project(tmp_path, {"students": {"schedule": "daily", "start": "2026-01-01"}})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as found:
        yield found


def produce(made: Project, instance: dg.DagsterInstance, partition: str) -> ArtifactRow:
    """Publish the partition in a run of Dagster; return its artifact."""
    job = build_definitions(made).get_repository_def().get_job("exports_daily")
    result = job.execute_in_process(partition_key=partition, instance=instance)
    assert result.success
    return artifacts.find(made.ledger, run_id=result.run_id)[0]


def verify(made: Project, instance: dg.DagsterInstance, *, success: bool = True) -> dg.ExecuteInProcessResult:
    job = verify_job(made)
    result = job.execute_in_process(instance=instance, run_config=EVERYTHING, raise_on_error=False)
    assert result.success is success
    return result


def counts(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    """The metadata of the op's output."""
    (event,) = (e for e in result.events_for_node("read_again") if e.event_type_value == "STEP_OUTPUT")
    return {name: value.value for name, value in event.step_output_data.metadata.items()}


def states(instance: dg.DagsterInstance, partition: str) -> list[bool]:
    """Whether the check passed for the partition each time it was evaluated, newest first."""
    found = []
    for record in instance.event_log_storage.get_asset_check_execution_history(KEY, limit=50):
        evaluation = record.event.dagster_event.event_specific_data if record.event else None
        if getattr(evaluation, "partition", None) == partition and hasattr(evaluation, "passed"):
            found.append(bool(evaluation.passed))
    return found


def csv_of(made: Project, row: ArtifactRow) -> Path:
    return Path(made.store(row.store).uri(row.path_of("students.csv")))


def flip(path: Path) -> bytes:
    before = path.read_bytes()
    path.write_bytes(before[:-2] + bytes([before[-2] ^ 1]) + before[-1:])
    return before


def told(made: Project) -> list[tuple[str, str | None]]:
    now = datetime.now(UTC)
    return [
        (e.kind, e.partition) for e in events.between(made.ledger, now - timedelta(days=9), now + timedelta(days=9))
    ]


def test_damage_fails_the_check_of_its_partition_until_it_is_repaired(
    made: Project, instance: dg.DagsterInstance
) -> None:
    first, _ = produce(made, instance, FIRST), produce(made, instance, SECOND)
    assert (states(instance, FIRST), states(instance, SECOND)) == ([], [])
    right = flip(csv_of(made, first))
    found = counts(verify(made, instance))
    assert (found["artifacts"], found["files"], found["damaged"], found["errors"]) == (2, 2, 1, 0)
    assert "students.csv" in str(found["damage"])
    assert (states(instance, FIRST), states(instance, SECOND)) == ([False], [])
    assert counts(verify(made, instance))["damaged"] == 1
    assert told(made) == [("damaged", FIRST)]
    csv_of(made, first).write_bytes(right)
    found = counts(verify(made, instance))
    assert (found["damaged"], found["repaired"]) == (0, 1)
    assert states(instance, FIRST)[0] is True
    assert states(instance, SECOND) == []
    assert told(made) == [("damaged", FIRST)]


def test_the_check_says_what_is_wrong_and_how_bad_it_is(made: Project, instance: dg.DagsterInstance) -> None:
    row = produce(made, instance, FIRST)
    csv_of(made, row).unlink()
    verify(made, instance)
    (record, *_) = instance.event_log_storage.get_asset_check_execution_history(KEY, limit=1)
    assert record.event
    assert record.event.dagster_event
    evaluation = record.event.dagster_event.asset_check_evaluation_data
    assert evaluation.severity == dg.AssetCheckSeverity.ERROR
    assert "missing: 2026-01-05/students/" in (evaluation.description or "")
    assert evaluation.metadata["artifact"].value == row.manifest.artifact_id


def test_producing_a_damaged_partition_anew_lets_the_check_pass_for_good(
    made: Project, instance: dg.DagsterInstance
) -> None:
    flip(csv_of(made, produce(made, instance, FIRST)))
    verify(made, instance)
    assert states(instance, FIRST)[0] is False
    produce(made, instance, FIRST)
    assert states(instance, FIRST)[0] is True
    assert counts(verify(made, instance))["damaged"] == 1  # the older artifact still is
    assert states(instance, FIRST)[0] is True


def repair(made: Project) -> None:
    """What `exports verify` does on the command line."""
    store = made.store("local")
    passes.record(made, verify_store(store, made.ledger), datetime.now(UTC))


def test_producing_it_anew_passes_also_when_the_ledger_thinks_it_was_repaired(
    made: Project, instance: dg.DagsterInstance
) -> None:
    path = csv_of(made, produce(made, instance, FIRST))
    right = flip(path)
    verify(made, instance)
    path.write_bytes(right)
    repair(made)
    assert readings.integrity(made.ledger).artifacts == 0
    assert states(instance, FIRST) == [False]
    produce(made, instance, FIRST)
    assert states(instance, FIRST)[0] is True


@pytest.mark.parametrize("mended", ["files put back", "published without Dagster"])
def test_the_job_notices_what_was_mended_without_dagster(
    made: Project, instance: dg.DagsterInstance, mended: str
) -> None:
    path = csv_of(made, produce(made, instance, FIRST))
    right = flip(path)
    verify(made, instance)
    if mended == "files put back":
        path.write_bytes(right)
        repair(made)
    else:
        made.run(made.request("students", FIRST, run_id="by-hand"))
    assert states(instance, FIRST)[0] is False
    verify(made, instance)
    assert states(instance, FIRST)[0] is True


def test_producing_what_was_never_damaged_evaluates_nothing(made: Project, instance: dg.DagsterInstance) -> None:
    flip(csv_of(made, produce(made, instance, FIRST)))
    verify(made, instance)
    for _ in range(2):
        produce(made, instance, SECOND)
    assert states(instance, SECOND) == []


def test_skipping_a_damaged_partition_leaves_the_check_as_it_is(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"students": {"schedule": "daily", "start": "2026-01-01", "on_empty": "skip"}})
    flip(csv_of(made, produce(made, instance, FIRST)))
    verify(made, instance)
    with sqlite3.connect(tmp_path / "school.db") as connection:
        connection.execute("delete from students")
    connection.close()
    job = build_definitions(made).get_repository_def().get_job("exports_daily")
    assert job.execute_in_process(partition_key=FIRST, instance=instance).success
    assert states(instance, FIRST) == [False]


def test_the_observer_does_not_tell_of_it_a_second_time(made: Project, instance: dg.DagsterInstance) -> None:
    flip(csv_of(made, produce(made, instance, FIRST)))
    verify(made, instance)
    observe(made, instance, since=None, names=[], now=datetime.now(UTC))
    assert sorted(told(made)) == [("damaged", FIRST), ("succeeded", FIRST)]


def test_the_run_fails_if_a_store_cannot_be_read_and_not_for_damage(
    made: Project, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    produce(made, instance, FIRST)
    shutil.move(tmp_path / "out", tmp_path / "unplugged")
    result = verify(made, instance, success=False)
    (failure,) = result.get_step_failure_events()
    data = failure.step_failure_data.user_failure_data
    assert data
    assert "store local" in (data.description or "")
    assert data.metadata["not read"].value == 1
    assert states(instance, FIRST) == []
    assert told(made) == []
    assert workers.silent(made.ledger) == []


def test_by_schedule_a_share_is_read(made: Project, instance: dg.DagsterInstance) -> None:
    for partition in (FIRST, SECOND):
        produce(made, instance, partition)
    result = verify_job(made).execute_in_process(instance=instance)
    assert counts(result)["artifacts"] == 1  # a day's share of 28 is less than one of the two


def test_the_schedule_is_that_of_the_environment(tmp_path: Path, made: Project) -> None:
    found = upkeep_schedule(made, verify_job(made))
    assert found
    assert (found.name, found.cron_schedule, found.execution_timezone) == ("verify", "45 4 * * *", "UTC")
    assert found.default_status == dg.DefaultScheduleStatus.RUNNING

    def scheduled(cron: str) -> dg.ScheduleDefinition | None:
        settings = write_project(tmp_path, {}, environ=environment(tmp_path, EXPORT_VERIFY_SCHEDULE=cron))
        other = Project(Settings(settings.variables), made.specs)
        return upkeep_schedule(other, verify_job(other))

    assert scheduled("off") is None
    with pytest.raises(ConfigurationError, match="EXPORT_VERIFY_SCHEDULE"):
        scheduled("61 4 * * *")


def test_every_export_has_the_check(made: Project) -> None:
    checks = build_definitions(made).get_repository_def().asset_graph.asset_check_keys
    assert KEY in checks
