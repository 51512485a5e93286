"""Retention in Dagster: the job's steps, what it shows, what can be changed in the launchpad, and its schedule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from export_pipelines.errors import ConfigurationError
from export_pipelines.notify import events
from export_pipelines.orchestration.assets import asset_key
from export_pipelines.orchestration.build import build_definitions
from export_pipelines.project import Project
from export_pipelines.settings import Settings
from export_pipelines_tests.prunes import Store, files, manifests, unfinished, unsafe

MONTHS = {"store": "vault", "format": "tar.zst", "per": "month"}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def run(store: Store, instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    job = build_definitions(store.made).get_repository_def().get_job("retention")
    return job.execute_in_process(
        instance=instance, run_config={"ops": {"plan": {"config": config}}}, raise_on_error=False
    )


def metadata(result: dg.ExecuteInProcessResult, op: str) -> dict[str, Any]:
    (event,) = (e for e in result.all_events if e.event_type_value == "STEP_OUTPUT" and e.step_key == op)
    return {name: entry.value for name, entry in event.step_output_data.metadata.items()}


def test_the_job_does_what_the_command_does(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    store = Store.at(tmp_path, MONTHS)
    result = run(store, instance)
    assert result.success
    assert list(unsafe(store, must_archive=True)) == []
    assert list(unfinished(store)) == []
    assert metadata(result, "plan")["to delete"] == metadata(result, "archive")["archived"] == 4
    assert "no rule keeps it" in metadata(result, "plan")["deletions"]
    octets = sum(len(data) for path, data in store.before.items() if path not in files(tmp_path / "out"))
    kept = {name: metadata(result, "report")[name] for name in ("deleted", "archived", "kept", "swept")}
    assert kept == {"deleted": 4, "archived": 4, "kept": 4, "swept": 0}
    assert 0 < metadata(result, "report")["bytes"] < octets  # manifests are not counted
    (record,) = instance.fetch_observations(asset_key("students"), limit=5).records
    observation = record.asset_observation
    assert observation is not None
    assert observation.metadata["deleted"].value == 4
    (event,) = events.between(store.made.ledger, datetime(2026, 1, 1, tzinfo=UTC), datetime.now(UTC))
    assert (event.kind, event.key) == ("cleanup", f"cleanup:{result.run_id}")


def test_a_dry_run_only_shows_the_plan(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    store = Store.at(tmp_path, MONTHS)
    result = run(store, instance, dry_run=True)
    assert result.success
    assert metadata(result, "plan")["to delete"] == 4
    assert files(tmp_path / "out") == store.before
    assert not (tmp_path / "vault").exists()
    assert instance.fetch_observations(asset_key("students"), limit=5).records == []
    assert events.between(store.made.ledger, datetime(2026, 1, 1, tzinfo=UTC), datetime.now(UTC)) == []


def test_another_policy_can_be_given(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    store = Store.at(tmp_path, False)
    assert not run(store, instance, policy={"keep_last": 2}).success  # 6 of 8 are more than 30 %
    assert len(manifests(files(tmp_path / "out"))) == 8
    assert run(store, instance, policy={"keep_last": 2}, exports=["students"], yes_really=True).success
    assert len(manifests(files(tmp_path / "out"))) == 2


@pytest.mark.parametrize(
    ("config", "message"),
    [({"policy": {"keep_dayz": 2}}, "keep_dayz"), ({"exports": ["studens"]}, "Did you mean 'students'")],
)
def test_mistakes_in_the_launchpad_are_told(
    tmp_path: Path, instance: dg.DagsterInstance, config: dict[str, Any], message: str
) -> None:
    store = Store.at(tmp_path, False)
    result = run(store, instance, **config)
    assert not result.success
    (failed,) = (event for event in result.all_events if event.is_step_failure)
    data = failed.step_failure_data.user_failure_data
    assert message in str(data.description if data else failed.step_failure_data.error)
    assert files(tmp_path / "out") == store.before


def test_what_was_refused_fails_the_run(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    store = Store.at(tmp_path, False, percent=30)
    result = run(store, instance)
    assert not result.success
    (event,) = events.between(store.made.ledger, datetime(2026, 1, 1, tzinfo=UTC), datetime.now(UTC))
    assert event.level == "failure"
    assert files(tmp_path / "out") == store.before


def scheduled(store: Store, **variables: str) -> dict[str, dg.ScheduleDefinition]:
    settings = Settings({**store.made.settings.variables, **variables})
    made = Project(settings, store.made.specs)
    found = build_definitions(replace(made)).get_repository_def().schedule_defs
    return {schedule.name: schedule for schedule in found}


def test_it_has_a_schedule_of_its_own(tmp_path: Path) -> None:
    store = Store.at(tmp_path, False)
    schedule = scheduled(store)["retention"]
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("15 3 * * *", "UTC")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert scheduled(store, EXPORT_CLEANUP_SCHEDULE="0 5 * * sun")["retention"].cron_schedule == "0 5 * * sun"
    assert "retention" not in scheduled(store, EXPORT_CLEANUP_SCHEDULE="off")
    with pytest.raises(ConfigurationError, match="EXPORT_CLEANUP_SCHEDULE"):
        scheduled(store, EXPORT_CLEANUP_SCHEDULE="every day")
