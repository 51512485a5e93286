"""The check `deadline` in Dagster: by partition, so that an old backfill does not turn it green."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from export_pipelines.notify import events
from export_pipelines.orchestration.assets import asset_key
from export_pipelines.orchestration.build import build_definitions
from export_pipelines.project import Project
from export_pipelines.timing.partitions import last_complete
from export_pipelines_tests.projects import project

KEY = dg.AssetCheckKey(asset_key("students"), "deadline")
NOTIFIED = timedelta(days=3)


def late_project(root: Path) -> tuple[Project, str]:
    """A project whose export is late for a minute, and the key of the partition."""
    minute = datetime.now(UTC) - timedelta(minutes=5)
    schedule = {"cron": f"{minute.minute} {minute.hour} * * *", "deadline_minutes": 1}
    made = project(root, {"students": {"schedule": schedule, "start": "2025-01-01"}})
    with made.ledger.write() as connection:
        connection.exec_driver_sql(
            "insert into export_watches (export, timing, since) values (?, ?, ?)",
            ("students", f"{schedule['cron']} UTC daily 1.0", "2026-01-01 00:00:00.000000"),
        )
    return made, last_complete("daily", minute, "UTC")


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


def test_only_the_partition_that_is_late_turns_it_green(tmp_path: Path) -> None:
    made, partition = late_project(tmp_path)
    repository = build_definitions(made).get_repository_def()
    sensor = repository.get_sensor_def("deadlines")
    older = (datetime.fromisoformat(partition) - timedelta(days=9)).date().isoformat()
    with dg.instance_for_test() as instance:

        def tick() -> str:
            result = sensor.evaluate_tick(dg.build_sensor_context(instance=instance, repository_def=repository))
            for event in result.asset_events:
                instance.report_runless_asset_event(event)
            return result.skip_message or ""

        assert f"partition {partition} was due" in tick()
        assert tick() == "nothing new is late"
        assert state(instance, partition) is False
        produce(repository, instance, older)
        assert (state(instance, partition), state(instance, older)) == (False, True)
        produce(repository, instance, partition)
        assert state(instance, partition) is True
    now = datetime.now(UTC)
    assert [event.kind for event in events.between(made.ledger, now - NOTIFIED, now)] == ["late"]
