"""Skipped runs in Dagster: green, no materialization, and the reason where people look; also if they are killed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from export_pipelines.errors import ConditionSkip
from export_pipelines.ledger import artifacts, due, runs
from export_pipelines.notify import events
from export_pipelines.orchestration.assets import asset_key, export_asset
from export_pipelines.orchestration.io_managers import io_manager
from export_pipelines.orchestration.observer import observe
from export_pipelines.project import Project
from export_pipelines.verify import verify
from export_pipelines_tests.crashes import DAY, OF_COMMANDS, Scene, exports_run, materialize
from export_pipelines_tests.forks import DAGSTER, EXPORTS, Ended, Forks, forks
from export_pipelines_tests.missed import playing
from export_pipelines_tests.projects import project, published_files
from export_pipelines_tests.publishers import left

NOBODY = {"datasets": {"students": {"table": "students", "filters": {"id": 99}}}}
CHECKED = {"students": {"table": "students", "checks": {"rows": {"min": 1}, "blocking": ["rows"]}}}


def execute(made: Project, instance: dg.DagsterInstance, *assets: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        list(assets),
        partition_key=DAY,
        instance=instance,
        resources={"artifacts_local": io_manager(made, "local")},
        raise_on_error=False,
    )


def assets(made: Project, *names: str) -> list[dg.AssetsDefinition]:
    return [export_asset(made, made.export(name)) for name in names]


def observations(instance: dg.DagsterInstance, name: str) -> list[tuple[str | None, object]]:
    """Partition and reason of each observation of the asset, newest first."""
    found = instance.fetch_observations(asset_key(name), limit=9).records
    shown = [record.asset_observation for record in found if record.asset_observation]
    return [(one.partition, one.metadata["skipped"].value) for one in shown]


def test_what_has_not_changed_is_not_materialized(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {"only_if": "changed", "datasets": CHECKED}})
    with dg.instance_for_test() as instance:
        first = execute(made, instance, *assets(made, "students"))
        assert (first.success, len(first.asset_materializations_for_node("exports__students"))) == (True, 1)
        (published,) = artifacts.find(made.ledger)
        before = published_files(tmp_path)
        second = execute(made, instance, *assets(made, "students"))
        why = f"the same content as artifact {published.manifest.artifact_id[:8]} of {DAY}, and `only_if` is changed"
        assert (second.success, second.asset_materializations_for_node("exports__students")) == (True, [])
        assert observations(instance, "students") == [(DAY, why)]
        (check,) = second.get_asset_check_evaluations()
        assert (check.passed, check.description) == (True, "nothing was published")
        assert any(f"{why}: nothing is published" in entry.user_message for entry in instance.all_logs(second.run_id))
        with sqlite3.connect(tmp_path / "school.db") as connection:
            connection.execute("update students set name = 'B' where id = 1")
        connection.close()
        third = execute(made, instance, *assets(made, "students"))
        (shown,) = third.asset_materializations_for_node("exports__students")
        assert shown.metadata["dagster/row_count"].value == 4
        assert shown.metadata["correction of"].value == published.manifest.artifact_id[:8]
    assert published_files(tmp_path).items() > before.items()
    assert [row.state for row in runs.recent(made.ledger)] == ["published", "skipped", "published"]
    assert not (tmp_path / "out" / ".staging").exists()
    assert verify(made.store("local"), made.ledger).problems == []


def test_the_other_conditions_are_shown_too_and_become_events(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        {
            "empty": {**NOBODY, "on_empty": "skip"},
            "rows": {**NOBODY, "only_if": "rows"},
            "alarm": {"only_if": "no_rows"},
            "raised": {**NOBODY, "only_if": "no_rows"},
        },
    )
    expected = {
        "empty": "no rows, and `on_empty` is skip",
        "rows": "no rows, and `only_if` is rows",
        "alarm": "there are rows, and `only_if` is no_rows",
    }
    with dg.instance_for_test() as instance:
        result = execute(made, instance, *assets(made, "empty", "rows", "alarm", "raised"))
        assert result.success
        assert {name: observations(instance, name) for name in expected} == {
            name: [(DAY, why)] for name, why in expected.items()
        }
        assert [key.asset_key for key in result.get_asset_materialization_events()] == [asset_key("raised")]
        now = datetime.now(UTC)
        observe(made, instance, since=None, names=(), now=now)
    seen = {
        event.export: event for event in events.between(made.ledger, now - timedelta(days=1), now + timedelta(days=1))
    }
    assert {name: seen[name].details["reason"] for name in expected} == expected
    assert {name: event.kind for name, event in seen.items()} == {
        **dict.fromkeys(expected, "skipped"),
        "raised": "empty",
    }


def test_what_a_tick_asked_for_and_a_run_skipped_is_not_asked_for_again(tmp_path: Path) -> None:
    start = datetime(2026, 11, 5, 12, 30, tzinfo=UTC)
    entry = {"only_if": "changed", "schedule": "s", "partition": "hourly", "start": "2026-11-01"}
    made = project(tmp_path, {"a": entry}, schedules={"s": {"cron": "0 * * * *"}})
    with playing(made, start) as play:
        play.now += timedelta(hours=2)
        for _ in range(2):
            (request,) = play.sensor(timedelta(minutes=5)).requests
            assert play.run(request).success
        assert play.sensor(timedelta(minutes=5)).requests == []
        (row,) = due.find(made.ledger, "skipped")
        assert (row.partition, row.cause, row.failures) == ("2026-11-05-13:00", "condition", 0)
        assert (row.reason or "").startswith("the same content as artifact ")
        assert play.published("a") == {"2026-11-05-12:00": 1}


def test_what_comes_after_a_skipped_export_is_skipped(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {"only_if": "changed"}})
    made.run(made.request("students", DAY, run_id="0" * 32))
    partitions = dg.DailyPartitionsDefinition("2026-01-01")

    @dg.asset(partitions_def=partitions, ins={"given": dg.AssetIn(asset_key("students"))})
    def after(given: Any) -> None:
        pytest.fail("there is nothing to work with")

    with dg.instance_for_test() as instance:
        result = execute(made, instance, *assets(made, "students"), after)
    assert result.success
    assert result.get_asset_materialization_events() == []


def test_a_failure_before_the_output_is_recorded_and_leaves_nothing(tmp_path: Path) -> None:
    retries = {"max_retries": 1, "delay_seconds": 0.01}
    made = project(tmp_path, {"students": {"only_if": "changed", "max_rows": 2, "retries": retries}})
    with dg.instance_for_test() as instance:
        result = execute(made, instance, *assets(made, "students"))
    (failed,) = result.get_step_failure_events()
    assert failed.step_failure_data.error
    assert "more than 2 rows" in failed.step_failure_data.error.message
    (attempt,) = runs.recent(made.ledger)
    assert (attempt.state, "more than 2 rows" in (attempt.error or "")) == ("failed", True)
    assert published_files(tmp_path) == {}
    assert not (tmp_path / "out" / ".staging").exists()
    with made.ledger.read() as connection:
        assert connection.exec_driver_sql("select holder from export_leases").scalars().all() == [None]


@pytest.mark.parametrize("condition", [{"only_if": "changed"}, {"only_if": "rows"}, {"on_empty": "skip"}])
def test_a_hand_written_asset_decides_itself(tmp_path: Path, condition: dict[str, str]) -> None:
    made = project(tmp_path, {"students": {}})
    partitions = dg.DailyPartitionsDefinition("2026-01-01")

    @dg.asset(partitions_def=partitions, io_manager_key="artifacts_local", metadata={"exports/spec": condition})
    def scores() -> pd.DataFrame:
        return pd.DataFrame({"score": [42]})

    with dg.instance_for_test() as instance:
        result = execute(made, instance, scores)
    (failed,) = result.get_step_failure_events()
    assert failed.step_failure_data.error
    assert "output_required=False" in failed.step_failure_data.error.message


def trial(scene: Scene, at: str, run: Callable[[str], Ended]) -> list[str]:
    """Change the content, end a run of it at that point, run again: what should be otherwise."""
    with sqlite3.connect(scene.root / "school.db") as connection:
        connection.execute("update numbers set amount = amount + 1 where id = 0")
    connection.close()
    before, known = published_files(scene.root), len(artifacts.find(scene.made.ledger))
    ended = run(at)
    wrong = [f"{at}: ended with {ended.code}"] if ended.code == 0 else []
    wrong += left(scene.root).violations
    with suppress(ConditionSkip):  # if the run had published when it was ended
        scene.publish()
    rows = artifacts.find(scene.made.ledger)
    contents = {row.manifest.content_sha256 for row in rows}
    if (len(rows), len(contents)) != (known + 1, known + 1):
        wrong.append(f"{at}: {len(rows) - known} artifacts of one content, {len(contents)} contents")
    after = published_files(scene.root)
    wrong += [f"{at}: changed or gone: {path}" for path, data in before.items() if after.get(path) != data]
    wrong += [f"{at}: {finding}" for finding in verify(scene.made.store("local"), scene.made.ledger).problems]
    return [*wrong, *(f"{at}: left over: {path}" for path in after if ".staging" in path)]


@pytest.mark.parametrize("layout", ["artifact", "flat"])
def test_each_content_is_published_once_wherever_runs_are_killed(tmp_path: Path, layout: str) -> None:
    scene = Scene.at(tmp_path, layout, only_if="changed")
    with forks(EXPORTS, tmp_path) as child:
        tried = {point: trial(scene, f"{point}:KILL", partial(exports_run, child, scene)) for point in OF_COMMANDS}
    assert {point: wrong for point, wrong in tried.items() if wrong} == {}
    assert {row.state for row in scene.attempts()} <= {"published", "died", "skipped"}


def test_each_content_is_published_once_wherever_dagster_runs_are_ended(tmp_path: Path) -> None:
    scene = Scene.at(tmp_path / "scene", "artifact", only_if="changed")
    points = ("half_rows:TERM", "file_closed:KILL", "fsynced:TERM", "manifest_written:INT", "materialized:KILL")
    with forks(DAGSTER, tmp_path) as child:
        tried = {at: trial(scene, at, partial(materialize, child, scene)) for at in points}
    assert {at: wrong for at, wrong in tried.items() if wrong} == {}


def test_a_run_that_is_killed_before_it_is_skipped_leaves_nothing(tmp_path: Path) -> None:
    scene = Scene.at(tmp_path, "artifact", only_if="changed")
    before = published_files(tmp_path)
    with forks(EXPORTS, tmp_path) as child:
        for at in ("half_rows:KILL", "file_closed:KILL", "file_closed:TERM"):
            assert _ended(child, scene, at) != 0
    with pytest.raises(ConditionSkip):
        scene.publish()
    assert published_files(tmp_path) == before
    assert [row.state for row in scene.attempts()] == ["skipped", "failed", "died", "died", "published"]


def _ended(child: Forks, scene: Scene, at: str) -> int:
    return exports_run(child, scene, at).code
