"""Exports that wait for others: ticks and the sensor `catch_up` on a real Dagster instance."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from export_pipelines.ledger import due, pauses
from export_pipelines.ledger.due import DueRow
from export_pipelines.notify import events
from export_pipelines.orchestration.assets import asset_key
from export_pipelines.orchestration.build import build_definitions
from export_pipelines.project import Project
from export_pipelines_tests.missed import Play, playing
from export_pipelines_tests.projects import environment, project, write_project

START = datetime(2026, 11, 5, 12, 30, tzinfo=UTC)
TICK = datetime(2026, 11, 5, 13, tzinfo=UTC)
PARTITION = "2026-11-05-12:00"
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
BAD = {"datasets": {"bad": {"sql": "select nonsense"}}}
EMPTY = {"on_empty": "skip", "datasets": {"none": {"sql": "select 1 as a where 1 = 0"}}}
TWO_HOURS = {"exports": ["u"], "deadline_minutes": 120}
SCHEDULES: dict[str, Any] = {"early": {"cron": "0 * * * *"}, "late": {"cron": "0 * * * *"}}
HOURLY = {"partition": "hourly", "start": "2026-11-01"}


@contextmanager
def pair(root: Path, after: Any, *, shared: bool = False, **upstream: Any) -> Iterator[Play]:
    """`d` waits for `u`; both are hourly, each with its own schedule, or with one for both."""
    entries = {
        "u": {**HOURLY, "schedule": "early", **upstream},
        "d": {**HOURLY, "schedule": "early" if shared else "late", "after": after},
    }
    used = {name: spec for name, spec in SCHEDULES.items() if not shared or name == "early"}
    with playing(project(root, entries, schedules=used), START) as play:
        play.now = TICK
        yield play


def names(requests: Any) -> list[str]:
    return [key.path[-1] for request in requests for key in request.asset_selection]


def rows(play: Play, export: str = "d") -> list[DueRow]:
    return due.find(play.made.ledger, "due", "done", "skipped", "given_up", export=export)


def of(play: Play, export: str) -> DueRow:
    """The row of the partition that these tests are about."""
    (row,) = (row for row in rows(play, export) if row.partition == PARTITION)
    return row


def wanted(play: Play, after: timedelta = timedelta()) -> list[str]:
    """The exports of which the sensor requests the partition when so much time has passed."""
    return names(request for request in play.sensor(after).requests if request.partition_key == PARTITION)


def publish(play: Play, export: str, partition: str = PARTITION) -> None:
    play.made.run(play.made.request(export, partition, run_id=uuid.uuid4().hex))


def tick_of_d(play: Play) -> Any:
    """The tick of `d`, noted at its time: schedules go by the real clock."""
    made = play.tick("late")
    with play.made.ledger.write() as connection:
        connection.exec_driver_sql("update export_due set noted_at = tick where export = 'd'")
    return made


def test_what_is_ready_is_requested_at_once(tmp_path: Path) -> None:
    with pair(tmp_path, ["u"]) as play:
        (first,) = play.tick("early").run_requests
        assert play.run(first).success
        (second,) = play.tick("late").run_requests
        assert names([second]) == ["d"]
        assert play.run(second).success


def test_what_is_not_ready_is_requested_when_it_is(tmp_path: Path) -> None:
    with pair(tmp_path, ["u"]) as play:
        tick = play.tick("late")
        assert (tick.run_requests, tick.skip_message) == ([], "d: waits for u")
        assert of(play, "d").next_attempt_at == TICK
        (first,) = play.tick("early").run_requests
        assert wanted(play, SECOND) == []
        assert play.run(first).success
        (second,) = play.sensor(SECOND).requests
        assert names([second]) == ["d"]
        assert play.run(second).success
        assert play.sensor().message == "nothing is missing"


def test_exports_of_one_schedule_follow_one_another(tmp_path: Path) -> None:
    with pair(tmp_path, ["u"], shared=True) as play:
        tick = play.tick("early")
        assert names(tick.run_requests) == ["u"]
        assert play.run(tick.run_requests[0]).success
        assert wanted(play, SECOND) == ["d"]


def test_ticks_of_the_same_partition_do_not_put_both_into_one_run(tmp_path: Path) -> None:
    """In one run, Dagster would not start the one if the other fails."""
    with pair(tmp_path, ["u"], shared=True) as play:
        publish(play, "u")
        assert [names([request]) for request in play.tick("early").run_requests] == [["u"], ["d"]]


@pytest.mark.parametrize("otherwise", ["skip", "run", "fail"])
def test_at_the_deadline(tmp_path: Path, otherwise: str) -> None:
    with pair(tmp_path, {**TWO_HOURS, "otherwise": otherwise}) as play:
        tick_of_d(play)
        assert "d" not in wanted(play, 2 * HOUR - SECOND)
        assert of(play, "d").state == "due"
        requested = "d" in wanted(play, SECOND)
        row, reason = of(play, "d"), "waited for u until 2026-11-05 15:00 UTC"
        found = (requested, row.state, row.cause, row.reason)
        assert (
            found
            == {
                "skip": (False, "skipped", "dependency", reason),
                "run": (True, "due", None, None),
                "fail": (False, "given_up", None, reason),
            }[otherwise]
        )
        told = [e for e in events.between(play.made.ledger, START, datetime.now(UTC)) if e.kind == "given_up"]
        mine = [(e.partition, e.details["cause"], e.details["attempts"]) for e in told if e.export == "d"]
        assert mine == ([(PARTITION, reason, 0)] if otherwise == "fail" else [])


def test_what_waited_in_vain_is_settled_by_whoever_publishes_it(tmp_path: Path) -> None:
    with pair(tmp_path, TWO_HOURS) as play:
        tick_of_d(play)
        play.sensor(2 * HOUR)
        assert (of(play, "d").state, of(play, "d").failures) == ("given_up", 0)
        publish(play, "d")
        play.sensor()
        assert of(play, "d").state == "done"


def test_what_a_person_asks_for_does_not_wait(tmp_path: Path) -> None:
    with pair(tmp_path, ["u"]) as play:
        launched = dg.RunRequest(job_name="exports_late", partition_key=PARTITION, asset_selection=[asset_key("d")])
        assert play.run(launched).success
        play.tick("late")
        play.sensor()
        assert of(play, "d").state == "done"


def test_one_that_waits_does_not_stop_later_ones(tmp_path: Path) -> None:
    with pair(tmp_path, ["u"]) as play:
        play.tick("late")
        publish(play, "u", "2026-11-05-13:00")
        play.now = TICK + HOUR
        (request,) = play.tick("late").run_requests
        assert (names([request]), request.partition_key) == (["d"], "2026-11-05-13:00")
        assert play.run(request).success
        publish(play, "u")
        assert wanted(play, SECOND) == ["d"]


CHECKED = {"datasets": {"s": {"table": "students", "checks": {"rows": {"max": 1}, "blocking": ["rows"]}}}}


@pytest.mark.parametrize(
    ("upstream", "why"),
    [({}, " (skipped: paused)"), (BAD, ""), (CHECKED, " (a check failed)")],
    ids=["paused", "failing", "bad"],
)
def test_what_may_still_come_is_waited_for(tmp_path: Path, upstream: dict[str, Any], why: str) -> None:
    with pair(tmp_path, {"exports": ["u"], "deadline_minutes": 600}, **upstream) as play:
        if "paused" in why:
            pauses.pause(play.made.ledger, "export", "u", at=START, until=None, by="ann", why="")
        for request in play.tick("early").run_requests:
            play.run(request)
        due.settle(play.made.ledger)
        assert play.tick("late").skip_message == f"d: waits for u{why}"
        assert "d" not in wanted(play, 3 * HOUR)


def test_part_of_a_partition_is_not_enough(tmp_path: Path) -> None:
    with pair(tmp_path, ["u"]) as play:
        publish(play, "u")
        with play.made.ledger.write() as connection:
            connection.exec_driver_sql("update export_artifacts set row_limit = 1")
        assert play.tick("late").skip_message == "d: waits for u"


def test_a_mistake_in_the_spec_of_one_is_waited_for_by_the_other(tmp_path: Path) -> None:
    entries = {
        "u": {**HOURLY, "schedule": "early", "formats": ["csvv"]},
        "d": {**HOURLY, "schedule": "late", "after": ["u"]},
    }
    made = Project.load(write_project(tmp_path, entries, schedules=SCHEDULES))
    with playing(made, START) as play:
        assert play.tick("late", TICK).skip_message == "d: waits for u (its spec has a mistake)"


@pytest.mark.parametrize("reason", ["holiday", "weekday", "first", "condition", "by hand"])
def test_what_never_comes_is_not_waited_for(tmp_path: Path, reason: str) -> None:
    """14 May 2026, Ascension Day, is a Thursday; what its tick asks for is the 13th."""
    kinds: dict[str, dict[str, Any]] = {
        "holiday": {"schedule": {"cron": "0 2 * * *", "calendar": "office"}},
        "weekday": {"schedule": {"cron": "0 2 * * 1-3"}},
        "first": {"schedule": {"cron": "0 2 * * *"}, "start": "2026-05-14"},
        "condition": {"schedule": {"cron": "0 2 * * *"}, **EMPTY},
        "by hand": {"schedule": {"at": "2027-12-01 02:00"}, **EMPTY},
    }
    entries = {"u": kinds[reason], "d": {"schedule": {"cron": "0 6 * * *"}, "after": ["u"]}}
    made = project(tmp_path, entries, calendars={"office": {"country": "DE"}})
    tick = datetime(2026, 5, 14, 6, tzinfo=UTC)
    with playing(made, tick - 12 * HOUR) as play:
        play.now = tick
        if reason == "condition":
            assert play.tick("d_schedule").skip_message == "d: waits for u"
            (request,) = play.sensor().requests
            assert play.run(request).success
            assert names(play.sensor(SECOND).requests) == ["d"]
        else:
            assert names(play.tick("d_schedule").run_requests) == ["d"]


def test_after_a_day_away_each_partition_follows_its_own(tmp_path: Path) -> None:
    """Although all deadlines have passed by then: there was nobody to wait."""
    with pair(tmp_path, {"exports": ["u"], "deadline_minutes": 1}, shared=True) as play:
        play.now += 24 * HOUR + HOUR / 2
        asked = play.recover(play.publish)
        keys = [partition for export, partition in asked if export == "u"]
        assert len(keys) == 25
        assert [partition for export, partition in asked if export == "d"] == keys
        assert all(asked.index(("u", key)) < asked.index(("d", key)) for key in keys)


def test_what_a_pause_skipped_has_its_time_when_it_is_due_again(tmp_path: Path) -> None:
    with pair(tmp_path, TWO_HOURS, shared=True) as play:
        (row,) = [pauses.pause(play.made.ledger, "schedule", "early", at=START, until=None, by="ann", why="")]
        play.tick("early")
        play.now += 24 * HOUR
        with play.made.ledger.write() as connection:
            assert due.reopen(connection, ["u", "d"], since=row.at, until=play.now, now=play.now) == 2
        pauses.resume(play.made.ledger, "schedule", "early", at=play.now, by="ann")
        assert wanted(play) == ["u"]
        assert of(play, "d").state == "due"


def materialized(play: Play, **event: Any) -> None:
    play.instance.report_runless_asset_event(dg.AssetMaterialization(["dbt", "orders"], **event))


def test_an_asset_with_partitions(tmp_path: Path) -> None:
    with pair(tmp_path, {"assets": ["dbt/orders"]}) as play:
        assert play.tick("late").skip_message == "d: waits for asset dbt/orders"
        materialized(play, partition=PARTITION)
        materialized(play, partition="2026-11-05-13:00")
        assert wanted(play, SECOND) == ["d"]
        materialized(play, partition="2026-11-05-17:00")
        play.now = TICK + 2 * HOUR
        assert play.tick("late").skip_message == "d: waits for asset dbt/orders"


def test_an_asset_without_partitions(tmp_path: Path) -> None:
    """It must have been made since the partition ended: materializations are of now."""
    now = datetime.now(UTC)
    with pair(tmp_path, {"exports": ["u"], "assets": ["dbt/orders"]}) as play:
        assert play.tick("late").skip_message == "d: waits for u and asset dbt/orders"
        materialized(play)
        publish(play, "u")
        assert wanted(play, SECOND) == ["d"]
        play.now = now.replace(minute=0, second=0, microsecond=0) + 2 * HOUR
        assert play.tick("late").skip_message == "d: waits for u and asset dbt/orders"


def test_dagster_is_asked_once_for_each_asset_and_partition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries: dict[str, Any] = {
        name: {**HOURLY, "schedule": "early", "after": {"assets": ["dbt/orders"]}} for name in ("a", "b")
    }
    with playing(
        project(tmp_path, {**entries, "c": {**HOURLY, "schedule": "late"}}, schedules=SCHEDULES), START
    ) as play:
        materialized(play, partition="2026-11-05-09:00")
        asked = []
        fetch = play.instance.fetch_materializations
        monkeypatch.setattr(
            play.instance, "fetch_materializations", lambda *a, **k: (asked.append(a), fetch(*a, **k))[1]
        )
        play.now = TICK + 2 * HOUR + 3 * HOUR / 60
        play.sensor()
        assert len(asked) == 1 + 3, "the asset, and its partitions of three hours"
        asked.clear()
        play.tick("late", TICK)
        assert asked == []


def test_a_run_of_the_whole_job_breaks_nothing(tmp_path: Path) -> None:
    """Somebody launches both together, and the first one fails: Dagster does not start the other one."""
    with pair(tmp_path, ["u"], shared=True, **BAD) as play:
        play.tick("early")
        job = play.repository.get_job("exports_early")
        result = job.execute_in_process(partition_key=PARTITION, instance=play.instance, raise_on_error=False)
        assert result.get_failed_step_keys() == {"exports__u"}
        assert not [e for e in result.all_events if e.is_step_start and e.step_key == "exports__d"]
        row = of(play, "d")
        assert (row.state, row.attempts, row.failures) == ("due", 0, 0)
        publish_as = Project.load(write_project(tmp_path, {"u": {**HOURLY, "schedule": "early"}}, schedules=SCHEDULES))
        publish_as.run(publish_as.request("u", PARTITION, run_id="9" * 32))
        assert wanted(play, SECOND) == ["d"]


def test_both_in_one_run_are_made_one_after_the_other(tmp_path: Path) -> None:
    with pair(tmp_path, ["u"], shared=True) as play:
        job = play.repository.get_job("exports_early")
        result = job.execute_in_process(partition_key=PARTITION, instance=play.instance)
        assert [e.step_key for e in result.get_step_success_events()] == ["exports__u", "exports__d"]


def test_lineage_shows_what_is_waited_for(tmp_path: Path) -> None:
    entries: dict[str, Any] = {
        "u": {"schedule": "daily", "start": "2026-06-01"},
        "broken": {"schedule": "daily", "formats": ["csvv"]},
        "d": {"schedule": "daily", "after": {"exports": ["u", "broken"], "assets": ["dbt/orders"]}},
    }
    made = Project.load(write_project(tmp_path, entries, environ=environment(tmp_path)))
    definitions = build_definitions(made)
    dg.Definitions.validate_loadable(definitions)
    graph = definitions.get_repository_def().asset_graph
    assert graph.get(asset_key("d")).parent_keys >= {
        asset_key("u"), asset_key("broken"), dg.AssetKey(["dbt", "orders"]), dg.AssetKey(["sources", "school", "students"]),
    }  # fmt: skip
    mapping = graph.get_partition_mapping(asset_key("d"), asset_key("u"))
    mine, theirs = (graph.get(asset_key(name)).partitions_def for name in "du")
    assert mine is not None
    early = mine.subset_with_partition_keys(["2026-03-05"])
    mapped = mapping.get_upstream_mapped_partitions_result_for_partitions(early, mine, theirs)
    assert mapped.required_but_nonexistent_subset.is_empty, "Dagster would refuse a backfill of it"
