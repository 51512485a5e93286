"""The check `deadline` in Dagster: by partition, so that an old backfill does not turn it green."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from export_pipelines.notify import deadlines, events
from export_pipelines.orchestration.assets import asset_key
from export_pipelines.orchestration.build import build_definitions
from export_pipelines.project import Project
from export_pipelines.timing.partitions import last_complete
from export_pipelines_tests.projects import project

KEY = dg.AssetCheckKey(asset_key("students"), "deadline")
NOTIFIED = timedelta(days=3)


def late_project(root: Path, *names: str) -> tuple[Project, str]:
    """A project whose exports are late for a few minutes, and the key of the partition."""
    minute = datetime.now(UTC) - timedelta(minutes=5)
    schedule = {"cron": f"{minute.minute} {minute.hour} * * *", "deadline_minutes": 1}
    made = project(root, {name: {"schedule": schedule, "start": "2025-01-01"} for name in names or ("students",)})
    watch(made)
    return made, last_complete("daily", minute, "UTC")


def watch(made: Project) -> None:
    """See the exports for the first time, an hour ago."""
    assert list(deadlines.late(made, datetime.now(UTC) - timedelta(hours=1))) == []


def produce(repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, partition: str) -> None:
    job = repository.get_job("exports_students_schedule")
    assert job.execute_in_process(partition_key=partition, instance=instance).success


def state(instance: dg.DagsterInstance, partition: str) -> bool | None:
    """Whether the check passed for the partition when it was last evaluated."""
    for record in instance.event_log_storage.get_asset_check_execution_history(KEY, limit=50):
        evaluation = record.event.dagster_event.event_specific_data if record.event else None
        if evaluation is not None and getattr(evaluation, "partition", None) == partition:
            return bool(evaluation.passed)
    return None


def evaluate(made: Project, instance: dg.DagsterInstance) -> tuple[str, list[str]]:
    """Evaluate the sensor and report what it says, as Dagster's daemon does: its message, and of which exports."""
    repository = build_definitions(made).get_repository_def()
    context = dg.build_sensor_context(instance=instance, repository_def=repository)
    result = repository.get_sensor_def("deadlines").evaluate_tick(context)
    for event in result.asset_events:
        instance.report_runless_asset_event(event)
    return result.skip_message or "", [event.asset_key.path[-1] for event in result.asset_events]


def test_only_the_partition_that_is_late_turns_it_green(tmp_path: Path) -> None:
    made, partition = late_project(tmp_path)
    repository = build_definitions(made).get_repository_def()
    older = (datetime.fromisoformat(partition) - timedelta(days=9)).date().isoformat()
    with dg.instance_for_test() as instance:
        assert f"partition {partition} was due" in evaluate(made, instance)[0]
        assert evaluate(made, instance) == ("nothing new is late", [])
        assert state(instance, partition) is False
        produce(repository, instance, older)
        assert (state(instance, partition), state(instance, older)) == (False, True)
        produce(repository, instance, partition)
        assert state(instance, partition) is True
    now = datetime.now(UTC)
    assert [event.kind for event in events.between(made.ledger, now - NOTIFIED, now)] == ["late"]


def test_a_partition_that_misses_a_second_deadline_is_not_reported_a_second_time(tmp_path: Path) -> None:
    """As with a monthly partition and a schedule that asks for it every night. Dagster would refuse, and all the rest."""
    made, partition = late_project(tmp_path, "grades", "students")
    with dg.instance_for_test() as instance:
        earlier = dg.AssetCheckEvaluation(
            asset_key=KEY.asset_key, check_name=KEY.name, partition=partition, passed=False
        )
        instance.report_runless_asset_event(earlier)
        message, reported = evaluate(made, instance)
        assert reported == ["grades"]
        assert state(instance, partition) is False
    assert message.count(f"partition {partition} was due") == 2
    now = datetime.now(UTC)
    assert [event.export for event in events.between(made.ledger, now - NOTIFIED, now)] == ["grades", "students"]


def test_a_ledger_that_was_lost_does_not_report_it_again(tmp_path: Path) -> None:
    made, partition = late_project(tmp_path)
    with dg.instance_for_test() as instance:
        assert evaluate(made, instance)[1] == ["students"]
        made.ledger.close()
        (tmp_path / "state" / "ledger.db").unlink()
        watch(made)
        message, reported = evaluate(made, instance)
        assert (f"partition {partition} was due" in message, reported) == (True, [])
        assert state(instance, partition) is False
