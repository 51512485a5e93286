"""Runs of several partitions in Dagster: what they publish, what Dagster shows of it, and what is told."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from export_pipelines.ledger import artifacts
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.ledger.leases import acquire
from export_pipelines.notify import events
from export_pipelines.orchestration.assets import asset_key, export_asset
from export_pipelines.orchestration.build import build_definitions
from export_pipelines.orchestration.busy import active_exports
from export_pipelines.orchestration.integrity import verify_job
from export_pipelines.orchestration.io_managers import io_manager
from export_pipelines.orchestration.observer import observe
from export_pipelines.project import Project
from export_pipelines.settings import load_settings
from export_pipelines.verify import verify
from export_pipelines_tests.combinations import MONTHLY, fill
from export_pipelines_tests.projects import environment, project

KEY = asset_key("days")
RESUMED = {"dagster/is_resume_retry": "true"}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def make(root: Path, **entry: Any) -> Project:
    made = project(root, {"days": {**MONTHLY, **entry}})
    fill(root)
    return made


def tags_of(first: str, last: str, **more: str) -> dict[str, str]:
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last, **more}


def materialize(
    made: Project, instance: dg.DagsterInstance, first: str, last: str, *extra: Any, **tags: str
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [export_asset(made, made.export("days")), *extra],
        instance=instance,
        tags=tags_of(first, last, **tags),
        resources={"artifacts_local": io_manager(made, "local")},
        raise_on_error=False,
    )


def spans(made: Project) -> list[str]:
    found = artifacts.find(made.ledger, export="days")
    return sorted(row.manifest.span for row in found)


def shown(instance: dg.DagsterInstance) -> list[dg.EventLogRecord]:
    """All materializations, in their order."""
    return list(instance.fetch_materializations(KEY, limit=1000, ascending=True).records)


def checked(instance: dg.DagsterInstance, name: str = "rows") -> dict[str, str]:
    """Partition -> status of a check."""
    history = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(KEY, name), limit=1000)
    return {str(record.partition): record.status.value for record in history}


def told(made: Project, instance: dg.DagsterInstance) -> list[tuple[str, str | None]]:
    now = datetime.now(UTC)
    observe(made, instance, since=None, names=[], now=now)
    observe(made, instance, since=None, names=[], now=now)
    found = events.between(made.ledger, now - timedelta(days=9), now + timedelta(days=1))
    return sorted((event.kind, event.partition) for event in found)


def spoil(root: Path, day: str) -> None:
    """Make a month fail: a value that its column's type cannot hold."""
    with sqlite3.connect(root / "school.db") as connection:
        connection.execute("update days set number = 'much' where day = ?", (day,))
    connection.close()


def mend(root: Path) -> None:
    with sqlite3.connect(root / "school.db") as connection:
        connection.execute("update days set number = 0 where number = 'much'")
    connection.close()


def test_one_run_publishes_an_artifact_per_month_and_shows_every_day(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    made = make(tmp_path, formats=["csv", "jsonl"])
    result = materialize(made, instance, "2026-01-30", "2026-03-01")
    assert result.success
    assert spans(made) == ["2026-01-30--2026-01-31", "2026-02-01--2026-02-28", "2026-03-01"]
    assert {row.manifest.run_id for row in artifacts.find(made.ledger)} == {result.run_id}
    events_ = [record.asset_materialization for record in shown(instance)]
    assert [event.partition for event in events_ if event] == [
        "2026-01-30",
        "2026-01-31",
        *(f"2026-02-{day:02}" for day in range(1, 29)),
        "2026-03-01",
    ]
    metadata = {event.partition: {k: v.value for k, v in event.metadata.items()} for event in events_ if event}
    last, brief, alone = metadata["2026-02-28"], metadata["2026-02-10"], metadata["2026-03-01"]
    assert (last["dagster/row_count"], brief["combines"]) == (28, "2026-02-01--2026-02-28")
    assert "dagster/partition_row_count" not in last | brief
    assert (
        last["artifact"]
        == brief["artifact"]
        == artifacts.find(made.ledger, partition="2026-02-10")[0].manifest.artifact_id
    )
    assert "dagster/row_count" not in brief
    assert (alone["dagster/partition_row_count"], "combines" in alone) == (1, False)
    assert instance.get_materialized_partitions(KEY) == set(metadata)
    assert told(made, instance) == [("succeeded", span) for span in spans(made)]


def test_one_partition_of_a_range_is_an_ordinary_artifact(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = make(tmp_path)
    assert materialize(made, instance, "2026-01-30", "2026-01-30").success
    assert spans(made) == ["2026-01-30"]
    assert told(made, instance) == [("succeeded", "2026-01-30")]


def test_without_combine_a_range_is_refused(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = make(tmp_path, combine=None)
    result = materialize(made, instance, "2026-01-30", "2026-02-01")
    (event,) = result.get_step_failure_events()
    assert event.step_failure_data.user_failure_data
    assert "makes one partition in a run" in str(event.step_failure_data.user_failure_data.description)
    assert materialize(made, instance, "2026-01-30", "2026-01-30").success


def test_a_failure_in_the_third_month_leaves_the_first_two(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = make(tmp_path, datasets={"days": {**MONTHLY["datasets"]["days"], "types": {"number": "int64"}}})
    spoil(tmp_path, "2026-03-15")
    failed = materialize(made, instance, "2026-01-01", "2026-04-30")
    assert not failed.success
    assert spans(made) == ["2026-01-01--2026-01-31", "2026-02-01--2026-02-28"]
    assert len(instance.get_materialized_partitions(KEY)) == 31 + 28
    assert told(made, instance) == [
        ("failed", "2026-03-01--2026-04-30"),
        ("succeeded", "2026-01-01--2026-01-31"),
        ("succeeded", "2026-02-01--2026-02-28"),
    ]
    mend(tmp_path)
    parent = {"dagster/parent_run_id": failed.run_id, "dagster/root_run_id": failed.run_id}
    resumed = materialize(made, instance, "2026-01-01", "2026-04-30", **parent, **RESUMED)
    assert resumed.success
    assert [row.manifest.run_id == failed.run_id for row in by_window(made)] == [True, True, False, False]
    assert {record.run_id for record in shown(instance)[-120:]} == {resumed.run_id}  # it shows what it continues, too
    anew = materialize(made, instance, "2026-01-01", "2026-04-30", **parent)
    assert anew.success
    assert len(artifacts.find(made.ledger, run_id=anew.run_id)) == 4


def by_window(made: Project) -> list[ArtifactRow]:
    return sorted(artifacts.find(made.ledger), key=lambda row: row.manifest.window.start)


def test_a_step_that_is_tried_again_does_not_begin_anew(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """The second month waits for a lease in vain, and gets it when the step is repeated."""
    made = make(tmp_path, retries={"max_retries": 20, "delay_seconds": 0.2})
    made = Project.load(load_settings(environment(tmp_path, EXPORT_LEASE_WAIT_SECONDS="0.01")))
    busy = acquire(made.ledger, "days", "2026-12-31", ttl_seconds=60, wait_seconds=0)
    with ThreadPoolExecutor(1) as pool:
        ran = pool.submit(materialize, made, instance, "2026-01-31", "2026-02-28")  # a day, and then a month
        while not retried(instance) and not ran.done():
            time.sleep(0.02)
        with busy:
            pass
        result = ran.result()
    assert result.success
    assert spans(made) == ["2026-01-31", "2026-02-01--2026-02-28"]
    assert len(shown(instance)) == 29
    assert told(made, instance) == [("succeeded", "2026-01-31"), ("succeeded", "2026-02-01--2026-02-28")]


def retried(instance: dg.DagsterInstance) -> bool:
    """Whether a step of the run is repeated."""
    retries = dg.DagsterEventType.STEP_UP_FOR_RETRY
    return any(instance.all_logs(run.run_id, of_type=retries) for run in instance.get_runs())


def test_checks_hold_of_every_day_and_block_once(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    checks = {"rows": {"max": 30}, "blocking": ["rows"]}
    made = make(tmp_path, datasets={"days": {**MONTHLY["datasets"]["days"], "checks": checks}})
    after: list[Any] = []

    @dg.asset(
        partitions_def=dg.DailyPartitionsDefinition("2026-01-01"),
        ins={"days": dg.AssetIn(KEY)},
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def sent(days: Any) -> None:
        after.append(days)

    result = materialize(made, instance, "2026-01-01", "2026-02-28", sent)
    assert not result.success
    assert after == []
    (failure,) = result.get_step_failure_events()
    assert failure.step_failure_data.error
    assert "1 blocking asset check failed" in failure.step_failure_data.error.message
    assert spans(made) == ["2026-01-01--2026-01-31", "2026-02-01--2026-02-28"]  # what comes after is still published
    found = checked(instance)
    assert len(found) == 59
    assert {found[f"2026-01-{day:02}"] for day in range(1, 32)} == {"FAILED"}
    assert {found[f"2026-02-{day:02}"] for day in range(1, 29)} == {"SUCCEEDED"}
    assert told(made, instance) == [
        ("check_failed", "2026-01-01--2026-01-31"),
        ("succeeded", "2026-01-01--2026-01-31"),
        ("succeeded", "2026-02-01--2026-02-28"),
    ]


def test_what_comes_after_gets_all_artifacts_of_the_run(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = make(tmp_path)
    after: list[Any] = []

    @dg.asset(
        partitions_def=dg.DailyPartitionsDefinition("2026-01-01"),
        ins={"days": dg.AssetIn(KEY)},
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def sent(days: Any) -> None:
        after.append(days)

    assert materialize(made, instance, "2026-01-01", "2026-02-28", sent).success
    assert [row.manifest.span for row in after[0]] == ["2026-01-01--2026-01-31", "2026-02-01--2026-02-28"]


def test_months_without_rows_are_skipped(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = make(tmp_path, on_empty="skip", start="2025-11-01")
    assert materialize(made, instance, "2025-12-01", "2026-01-31").success
    assert spans(made) == ["2026-01-01--2026-01-31"]
    assert len(instance.get_materialized_partitions(KEY)) == 31
    assert told(made, instance) == [("skipped", "2025-12-01--2025-12-31"), ("succeeded", "2026-01-01--2026-01-31")]


def test_an_export_is_at_work_until_its_last_month(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = make(tmp_path)
    run = create_run_for_test(
        instance,
        job_name="exports",
        status=dg.DagsterRunStatus.STARTED,
        asset_selection={KEY},
        tags=tags_of("2026-01-01", "2026-02-28"),
    )
    now = datetime.now(UTC)
    for last, at_work in (("2026-01-31", True), ("2026-02-28", False)):
        made.run(made.request("days", last[:8] + "01", last_partition=last, run_id=run.run_id))
        found = active_exports(made, instance, now).get("days", [])
        assert [(one.run_id, one.partition) for one in found] == ([(run.run_id, None)] if at_work else [])


def test_a_run_that_died_between_two_months_names_what_is_left(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = make(tmp_path)
    run = create_run_for_test(
        instance,
        job_name="exports",
        status=dg.DagsterRunStatus.STARTED,
        asset_selection={KEY},
        tags=tags_of("2026-01-01", "2026-04-30"),
    )
    made.run(made.request("days", "2026-01-01", last_partition="2026-01-31", run_id=run.run_id))
    instance.report_run_failed(run, "gone")
    assert told(made, instance) == [("failed", "2026-02-01--2026-04-30"), ("succeeded", "2026-01-01--2026-01-31")]


def test_a_killed_run_has_shown_what_it_had_published(tmp_path: Path) -> None:
    """SIGKILL in the second month; what Dagster's retry does then is that of a run which is continued."""
    made = make(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    environ = {**os.environ, **environment(tmp_path), "DAGSTER_HOME": str(home)}
    words = ["asset", "materialize", "-m", "export_pipelines.definitions", "--select", "exports/days"]
    command = [sys.executable, "-m", "dagster", *words, "--partition-range", "2026-01-01...2026-03-31"]
    killing = {**environ, "EXPORT_CRASH_AT": "materialized:KILL"}  # after the first month has been shown
    ended = subprocess.run(command, env=killing, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr[-2000:]
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert len(instance.get_materialized_partitions(KEY)) == 31
        (killed,) = instance.get_runs()
        instance.report_run_failed(killed, "killed")
        parent = {"dagster/parent_run_id": killed.run_id, "dagster/root_run_id": killed.run_id}
        assert materialize(made, instance, "2026-01-01", "2026-03-31", **parent, **RESUMED).success
        assert [row.manifest.run_id == killed.run_id for row in by_window(made)] == [True, False, False]
        assert len(instance.get_materialized_partitions(KEY)) == 90
    assert verify(made.store("local"), made.ledger).problems == []


def test_a_backfill_is_one_run(tmp_path: Path) -> None:
    definitions = build_definitions(make(tmp_path, schedule={"cron": "0 6 * * *"}))
    node = definitions.get_repository_def().asset_graph.get(KEY)
    assert node.backfill_policy == dg.BackfillPolicy.single_run()


def flip(made: Project, row: ArtifactRow) -> None:
    """Damage a file of the artifact."""
    path = Path(made.store(row.store).uri(row.path_of(row.manifest.files[0].name)))
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


def test_damage_is_shown_for_every_day_until_it_is_published_anew(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = make(tmp_path, schedule="daily", start="2026-01-01")
    everything = build_definitions(made).resolve_implicit_global_asset_job_def()
    asset_and_check = everything.get_subset(
        asset_selection={KEY}, asset_check_selection={dg.AssetCheckKey(KEY, "integrity")}
    )
    result = asset_and_check.execute_in_process(instance=instance, tags=tags_of("2026-01-30", "2026-02-02"))
    assert result.success
    keys = ["2026-01-30", "2026-01-31", "2026-02-01", "2026-02-02"]
    assert checked(instance, "integrity") == dict.fromkeys(keys, "SUCCEEDED")
    made.run(made.request("days", "2026-01-31", run_id="a" * 32))  # this day has a newer version
    flip(made, by_window(made)[0])
    config = {"ops": {"read_again": {"config": {"days": 0}}}}
    assert verify_job(made).execute_in_process(instance=instance, run_config=config).success
    assert newest(instance, "2026-01-30") is False
    assert newest(instance, "2026-01-31") is True
    now = datetime.now(UTC)
    found = events.between(made.ledger, now - timedelta(days=1), now + timedelta(days=1))
    assert [(event.kind, event.partition) for event in found] == [("damaged", "2026-01-30--2026-01-31")]
    assert materialize(made, instance, "2026-01-30", "2026-01-31").success
    assert newest(instance, "2026-01-30") is True


def newest(instance: dg.DagsterInstance, partition: str) -> bool:
    """Whether the check `integrity` passed when it was last evaluated for the partition."""
    key = dg.AssetCheckKey(KEY, "integrity")
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=50)
    evaluations = (r.event.dagster_event.event_specific_data for r in records if r.event and r.event.dagster_event)
    return next(
        bool(e.passed) for e in evaluations if getattr(e, "partition", "") == partition and hasattr(e, "passed")
    )
