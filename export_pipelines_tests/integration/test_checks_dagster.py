"""Checks of exports as Dagster's asset checks."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.freshness import FreshnessDaemon

from export_pipelines.ledger import artifacts, runs
from export_pipelines.orchestration.assets import asset_key, export_asset
from export_pipelines.orchestration.build import build_definitions
from export_pipelines.orchestration.checks import check_result
from export_pipelines.orchestration.io_managers import io_manager
from export_pipelines.project import Project
from export_pipelines.storage.manifest import CheckResult
from export_pipelines_tests.projects import environment, project, write_project

DAY = "2026-01-05"
DAILY = dg.DailyPartitionsDefinition("2026-01-01")
RETRIES = {"max_retries": 2, "delay_seconds": 0.01}


def entry(checks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"datasets": {"students": {"table": "students", "checks": checks}}, "retries": RETRIES, **more}


def materialize(made: Project, *assets: Any, **options: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        list(assets),
        partition_key=DAY,
        resources={"artifacts_local": io_manager(made, "local")},
        raise_on_error=False,
        **options,
    )


def exports(made: Project, *names: str) -> list[dg.AssetsDefinition]:
    return [export_asset(made, made.export(name)) for name in names]


def evaluations(result: Any) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    """(export, check) -> how it ended."""
    return {(found.asset_key.path[-1], found.check_name): found for found in result.get_asset_check_evaluations()}


def delete_all(root: Path) -> None:
    with sqlite3.connect(root / "school.db") as connection:
        connection.execute("delete from students")
    connection.close()


def test_results_say_what_was_found_and_how_bad_it_is(tmp_path: Path) -> None:
    total = {"column": "balance", "sql": "select sum(balance) from students"}
    checks = {"rows": {"min": 1}, "not_null": ["status"], "control_total": total, "blocking": ["rows"]}
    made = project(tmp_path, {"students": entry(checks, reread=True)})
    result = materialize(made, *exports(made, "students"))
    assert result.success
    found = evaluations(result)
    assert [name for _, name in found] == ["rows", "not_null", "control_total", "reread"]
    rows, nulls = found["students", "rows"], found["students", "not_null"]
    assert (rows.passed, rows.blocking, rows.severity) == (True, True, dg.AssetCheckSeverity.ERROR)
    assert (nulls.passed, nulls.blocking, nulls.severity) == (False, False, dg.AssetCheckSeverity.WARN)
    assert nulls.description == "1 NULL in column 'status' of 4 rows"
    assert nulls.metadata == {"nulls": dg.IntMetadataValue(1)}
    assert found["students", "control_total"].metadata["sum"] == dg.FloatMetadataValue(1000012.45)
    assert found["students", "reread"].passed
    (materialization,) = result.asset_materializations_for_node("exports__students")
    assert rows.partition == DAY
    assert rows.target_materialization_data
    assert rows.target_materialization_data.run_id == result.run_id
    for name in ("dagster/row_count", "dagster/partition_row_count", "bytes", "seconds", "rows/s"):
        assert isinstance(materialization.metadata[name], dg.IntMetadataValue | dg.FloatMetadataValue), name


def test_numbers_are_plotted_and_the_rest_is_text() -> None:
    values = {"rows": 3, "sum": "12345678901234567890.12", "difference": -0.5, "total": "nan", "partition": DAY}
    result = check_result(CheckResult(name="a", dataset=None, passed=True, blocking=False, message="", values=values))
    kinds = {name: type(value).__name__ for name, value in (result.metadata or {}).items()}
    assert kinds == {
        "rows": "IntMetadataValue",
        "sum": "FloatMetadataValue",
        "difference": "FloatMetadataValue",
        "total": "TextMetadataValue",
        "partition": "TextMetadataValue",
    }


def test_specs_describe_the_checks(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": entry({"rows": {"min": 1}, "unique": ["id"], "blocking": ["unique"]})})
    (asset,) = exports(made, "students")
    specs = {spec.name: (spec.description, spec.blocking) for spec in asset.check_specs}
    assert specs == {"rows": ("At least 1 row", False), "unique": ("No two rows have the same id", True)}


def test_a_failing_blocking_check_stops_what_comes_after_it_and_nothing_else(tmp_path: Path) -> None:
    ran: list[str] = []
    checks = {"rows": {"min": 10}, "unique": ["status"], "not_null": ["id"], "blocking": ["rows", "unique"]}
    made = project(tmp_path, {"a": entry({"rows": {"min": 1}}), "b": entry(checks), "c": entry({"rows": {"min": 10}})})

    def after(name: str) -> dg.AssetsDefinition:
        @dg.asset(name=f"after_{name}", partitions_def=DAILY, ins={"artifact": dg.AssetIn(asset_key(name))})
        def sent(artifact: Any) -> None:
            ran.append(artifact.manifest.export)

        return sent

    result = materialize(made, *exports(made, "a", "b", "c"), *(after(name) for name in "abc"))
    assert not result.success
    assert sorted(ran) == ["a", "c"]
    assert result.get_failed_step_keys() == {"exports__b"}
    assert "exports/b: rows,unique" in result.get_step_failure_events()[0].event_specific_data.error.message
    found = {name: (check.passed, check.severity.value) for name, check in evaluations(result).items()}
    assert found == {
        ("a", "rows"): (True, "WARN"),
        ("b", "rows"): (False, "ERROR"),
        ("b", "not_null"): (True, "WARN"),
        ("b", "unique"): (False, "ERROR"),
        ("c", "rows"): (False, "WARN"),
    }
    assert result.asset_materializations_for_node("exports__b")  # it is there to look at
    assert {row.manifest.export: row.good for row in artifacts.find(made.ledger)} == {"a": True, "b": False, "c": True}
    assert len(runs.recent(made.ledger, export="b")) == 1  # not tried again


def test_a_skipped_export_passes_every_check(tmp_path: Path) -> None:
    checks = {"rows": {"min": 10}, "unique": ["id"], "blocking": ["rows"]}
    made = project(tmp_path, {"students": entry(checks, on_empty="skip", reread=True)})
    delete_all(tmp_path)
    result = materialize(made, *exports(made, "students"))
    assert result.success
    assert result.asset_materializations_for_node("exports__students") == []
    found = evaluations(result)
    assert [name for _, name in found] == ["rows", "unique", "reread"]
    assert {(check.passed, check.description) for check in found.values()} == {(True, "nothing was published")}


def test_an_export_that_fails_evaluates_nothing(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": entry({"rows": {"min": 1}}, on_empty="fail")})
    delete_all(tmp_path)
    result = materialize(made, *exports(made, "students"))
    assert not result.success
    assert evaluations(result) == {}


LOCK = """
import sqlite3, sys, time
school, ledger = (sqlite3.connect(path, isolation_level=None) for path in sys.argv[1:])
school.execute("begin exclusive")
print("locked", flush=True)
while not ledger.execute("select count(*) from export_runs where state = 'failed'").fetchone()[0]:
    time.sleep(0.01)
school.execute("rollback")
"""
"""Another process that keeps the database locked until an attempt has failed."""


def test_the_checks_are_of_the_attempt_that_published(tmp_path: Path) -> None:
    connections = {"school": {"url": f"sqlite:///{tmp_path}/school.db", "connect_timeout_seconds": 0.05}}
    retries = {"max_retries": 5, "delay_seconds": 0.3}
    entries = {"students": entry({"rows": {"min": 1}, "blocking": ["rows"]}) | {"retries": retries}}
    made = project(tmp_path, entries, connections=connections)
    assert artifacts.find(made.ledger) == []  # creates the ledger
    command = [sys.executable, "-c", LOCK, str(tmp_path / "school.db"), str(tmp_path / "state" / "ledger.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "locked\n"
        result = materialize(made, *exports(made, "students"))
    assert result.success
    states = [row.state for row in runs.recent(made.ledger)]
    assert (states[0], set(states[1:])) == ("published", {"failed"})
    assert evaluations(result)["students", "rows"].passed


def nightly_job() -> dg.JobDefinition:
    """The job of the project in the environment; Dagster loads it by this name."""
    return build_definitions(Project.load()).get_repository_def().get_job("exports_nightly")


def test_a_run_repeated_from_its_failure_repeats_what_was_blocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = {"rows": {"max": 3}, "blocking": ["rows"]}
    entries = {"a": entry({"rows": {"min": 1}}), "b": entry(checks), "unasked": entry(checks)}
    schedules = {"nightly": {"cron": "0 2 * * *"}}
    write_project(tmp_path, {name: {**e, "schedule": "nightly"} for name, e in entries.items()}, schedules=schedules)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    asked = [asset_key("a"), asset_key("b")]
    checks = {dg.AssetCheckKey(key, "rows") for key in asked}
    job = dg.reconstructable(nightly_job).get_subset(asset_selection={*asked}, asset_check_selection=checks)
    with dg.instance_for_test() as instance:
        tags = {"dagster/partition": DAY}
        with dg.execute_job(job, instance, tags=tags) as first:
            assert not first.success
        with sqlite3.connect(tmp_path / "school.db") as connection:
            connection.execute("delete from students where id = 4")
        connection.close()
        options = dg.ReexecutionOptions.from_failure(first.run_id, instance)
        with dg.execute_job(job, instance, tags=tags, reexecution_options=options) as second:
            assert second.success
        checked = [
            (event.asset_check_evaluation_data.asset_key.path[-1], event.asset_check_evaluation_data.check_name)
            for event in second.all_events
            if event.event_type_value == "ASSET_CHECK_EVALUATION"
        ]
    assert checked == [("b", "rows")]
    found = artifacts.find(Project.load().ledger)
    assert sorted((row.manifest.export, row.good) for row in found) == [("a", True), ("b", False), ("b", True)]


# --- hand-written assets --------------------------------------------------------------------------------------------


def written(checks: dict[str, Any], **more: Any) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=DAILY, io_manager_key="artifacts_local", metadata={"exports/spec": {"checks": checks, **more}}
    )
    def mine() -> pd.DataFrame:
        return pd.DataFrame({"id": [1, 1, 2], "amount": [0.5, 0.25, None]})

    return mine


def test_checks_of_a_hand_written_asset_are_in_its_manifest(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}})
    result = materialize(made, written({"mine": {"unique": ["id"], "rows": {"min": 3}}}, reread=True))
    assert result.success
    (found,) = artifacts.find(made.ledger, export="mine")
    assert [(check.name, check.passed) for check in found.manifest.checks] == [("rows", True), ("unique", False)]


def test_a_blocking_check_fails_a_hand_written_asset(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}})
    result = materialize(made, written({"mine": {"not_null": ["amount"], "blocking": ["not_null"]}}))
    assert not result.success
    assert "blocking checks failed: not_null" in result.get_step_failure_events()[0].event_specific_data.error.message
    assert [row.good for row in artifacts.find(made.ledger)] == [False]


def test_checks_of_a_dataset_that_was_not_returned_are_a_mistake(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}})
    result = materialize(made, written({"mime": {"rows": {"min": 3}}}))
    message = result.get_step_failure_events()[0].event_specific_data.error.message
    assert "asset mine: checks of 'mime', which it did not return. Datasets: mine" in message


# --- freshness ------------------------------------------------------------------------------------------------------

NIGHTLY = {"cron": "0 2 * * *", "deadline_minutes": 90}


def policy(made: Project, name: str) -> Any:
    return export_asset(made, made.export(name)).get_asset_spec(asset_key(name)).freshness_policy


def test_an_export_with_a_deadline_becomes_overdue(tmp_path: Path) -> None:
    entries = {
        "late": {"schedule": NIGHTLY},
        "office": {"schedule": {**NIGHTLY, "calendar": "office"}},
        "skips": {"schedule": NIGHTLY, "on_empty": "skip"},
        "careless": {"schedule": {"cron": "0 2 * * *"}},
        "on_request": {},
    }
    made = project(tmp_path, entries, calendars={"office": {}})
    windows = {name: found.fail_window.to_timedelta() for name in entries if (found := policy(made, name))}
    assert windows == {"late": timedelta(hours=25, minutes=30), "office": timedelta(days=3, minutes=90)}


def test_the_daemon_tells_overdue_exports_from_fresh_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path, {"students": {"schedule": NIGHTLY}, "never": {"schedule": NIGHTLY}})
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    made = Project.load()
    target = ModuleTarget("export_pipelines.definitions", None, str(tmp_path), "exports")
    with dg.instance_for_test() as instance, create_test_daemon_workspace_context(target, instance) as workspace:
        assert instance.freshness_enabled
        assert materialize(made, *exports(made, "students"), instance=instance).success
        keys = [asset_key("students"), asset_key("never")]

        def states(later: timedelta) -> list[str]:
            with freeze_time(datetime.now(UTC) + later):
                list(FreshnessDaemon().run_iteration(workspace))
            records = instance.get_freshness_state_records(keys)  # what the UI shows
            return [records[key].freshness_state.value for key in keys]

        assert states(timedelta(hours=25)) == ["PASS", "UNKNOWN"]
        assert states(timedelta(hours=26)) == ["FAIL", "UNKNOWN"]
