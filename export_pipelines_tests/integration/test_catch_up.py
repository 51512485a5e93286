"""Nothing is silently missing: schedules and the sensor `catch_up` on a real Dagster instance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.test_utils import create_run_for_test

from export_pipelines.catching_up.decide import GRACE
from export_pipelines.ledger import due, pauses
from export_pipelines.ledger.ledger import LedgerUnavailableError
from export_pipelines.notify import events
from export_pipelines.orchestration.assets import asset_key
from export_pipelines.project import Project
from export_pipelines.timing.ticks import timings
from export_pipelines.timing.upcoming import upcoming
from export_pipelines_tests.missed import Play, playing
from export_pipelines_tests.projects import environment, project, write_project

START = datetime(2026, 11, 5, 12, 30, tzinfo=UTC)
TICK = datetime(2026, 11, 5, 13, tzinfo=UTC)
PARTITION = "2026-11-05-12:00"
HOUR = timedelta(hours=1)
BAD = {"datasets": {"bad": {"sql": "select nonsense"}}}
SCHEDULES = {
    "often": {"cron": "0,20,40 * * * *"},
    "hourly_one": {"cron": "5 * * * *"},
    "nightly": {"cron": "0 2 * * *", "timezone": "Europe/Berlin"},
}
ENTRIES = {
    "m": {"schedule": "often", "partition": "minutely"},
    "h": {"schedule": "hourly_one", "partition": "hourly"},
    "d": {"schedule": "nightly"},
}


def hourly(root: Path, *names: str, schedule: dict[str, Any] | None = None, **entry: Any) -> Project:
    """Exports that share an hourly schedule."""
    entries = {name: {"schedule": "s", "partition": "hourly", "start": "2026-11-01", **entry} for name in names}
    return project(root, entries, schedules={"s": {"cron": "0 * * * *", **(schedule or {})}})


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    with playing(hourly(tmp_path, "a"), START) as made:
        yield made


def three_kinds(root: Path, **schedule: Any) -> Project:
    entries = {name: {**entry, "start": "2026-11-01"} for name, entry in ENTRIES.items()}
    schedules = {name: {**spec, **schedule} for name, spec in SCHEDULES.items()}
    environ = environment(root, EXPORT_MIN_INTERVAL_MINUTES="1")
    made = Project.load(write_project(root, entries, environ=environ, schedules=schedules))
    made.specs.require_valid()
    return made


def states(made: Project) -> list[tuple[str, str, str]]:
    rows = due.find(made.ledger, "due", "done", "skipped", "given_up")
    return [(row.export, row.partition[-5:], row.cause or row.state) for row in rows]


def working(play: Play, partition: str, status: dg.DagsterRunStatus = dg.DagsterRunStatus.QUEUED, **run: Any) -> str:
    """A run of `a` that somebody launched; its id."""
    chosen = {"job_name": "exports_s", "asset_selection": {asset_key("a")}, **run}
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("exports"), "exports")
    origin = RemoteJobOrigin(repository_origin=repository, job_name="exports_s")
    tags = {"dagster/partition": partition}
    made = create_run_for_test(play.instance, status=status, tags=tags, remote_job_origin=origin, **chosen)
    return made.run_id


def asked_for(made: Project, after: datetime, until: datetime) -> dict[str, list[str]]:
    """Export -> the partitions that its ticks ask for, oldest first."""
    found: dict[str, list[str]] = {}
    for timing in timings(made.specs.exports.values()):
        ticks = takewhile(lambda one: one.tick <= until, upcoming(timing, after))
        found[timing.exports[0].name] = [str(one.partition) for one in ticks]
    return found


def test_three_days_away(tmp_path: Path) -> None:
    with playing(three_kinds(tmp_path), START) as play:
        play.now += timedelta(days=3)
        asked = play.recover(play.publish)
        expected = asked_for(play.made, START, play.now - GRACE)
        assert len(expected["m"]) >= 216
        assert (len(expected["h"]), len(expected["d"])) >= (72, 3)
        for name, keys in expected.items():
            mine = [partition for export, partition in asked if export == name]
            assert mine == keys, "missing, or not the oldest first"
            assert play.published(name) == dict.fromkeys(mine, 1), "made twice"


def test_three_days_away_and_only_the_latest_is_wanted(tmp_path: Path) -> None:
    with playing(three_kinds(tmp_path, misfire="latest"), START) as play:
        play.now += timedelta(days=3)
        asked = play.recover(play.publish)
        assert sorted(asked) == [("d", "2026-11-07"), ("h", "2026-11-08-11:00"), ("m", "2026-11-08-12:19")]
        assert len(due.find(play.made.ledger, "skipped")) == 215 + 71 + 2


def test_requested_runs_are_those_of_the_schedule(tmp_path: Path) -> None:
    checked = {"datasets": {"students": {"table": "students", "checks": {"rows": {"min": 1}}}}}
    made = hourly(tmp_path, "a", "b", "c", schedule={"batch_size": 2, "deadline_minutes": 10}, **checked)
    with playing(made, START) as play:
        wanted = play.tick("s", TICK).run_requests
        with made.ledger.write() as connection:
            connection.exec_driver_sql("delete from export_due")
        done = play.sensor(HOUR)
        for ours, theirs in zip(done.requests, wanted, strict=True):
            assert ours.asset_selection == theirs.asset_selection
            assert ours.asset_check_keys == theirs.asset_check_keys
            assert ours.partition_key == theirs.partition_key == PARTITION
            assert theirs.tags.items() >= ours.tags.items()
            assert str(ours.run_key).startswith("catch_up:1:")
        assert [play.run(request).success for request in done.requests] == [True, True]
        assert play.sensor().message == "nothing is missing"
        assert {name: dict(play.published(name)) for name in "abc"} == {name: {PARTITION: 1} for name in "abc"}


def test_what_a_run_publishes_while_the_sensor_looks_is_not_requested_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with playing(hourly(tmp_path, "a", "b"), START) as play:
        (request,) = play.sensor(HOUR).requests
        run_id = working(
            play, PARTITION, dg.DagsterRunStatus.STARTED, asset_selection=set(request.asset_selection or ())
        )
        look = play.instance.get_run_records

        def publishing_first(*arguments: Any, **options: Any) -> Any:
            if not play.published("a"):
                play.made.run(play.made.request("a", PARTITION, run_id=run_id))
            return look(*arguments, **options)

        monkeypatch.setattr(play.instance, "get_run_records", publishing_first)
        assert play.sensor(2 * GRACE).requests == []
        assert dict(play.published("a")) == {PARTITION: 1}
        assert play.sensor(GRACE).requests == []


def test_the_sensor_is_part_of_the_definitions(tmp_path: Path) -> None:
    with playing(hourly(tmp_path, "a"), datetime.now(UTC) - 3 * HOUR) as play:
        sensor = play.repository.get_sensor_def("catch_up")
        assert (sensor.default_status, sensor.minimum_interval_seconds) == (dg.DefaultSensorStatus.RUNNING, 10)
        with dg.build_sensor_context(instance=play.instance, repository_def=play.repository) as context:
            (request,) = sensor.evaluate_tick(context).run_requests
        assert play.run(request).success
        with dg.build_sensor_context(instance=play.instance, repository_def=play.repository) as context:
            assert sensor.evaluate_tick(context).run_requests[0].partition_key > request.partition_key


def test_a_tick_that_comes_late_and_the_sensor_do_not_request_the_same(play: Play) -> None:
    """After an outage, Dagster makes the last missed tick, whatever the sensor does meanwhile."""
    play.now = TICK + timedelta(minutes=10)
    (request,) = play.sensor().requests
    assert play.tick("s", TICK).run_requests == []
    assert play.run(request).success
    assert play.tick("s", TICK).run_requests == []
    (later,) = play.tick("s", TICK + HOUR).run_requests
    assert play.sensor(HOUR).requests == []
    assert play.run(later).success


def test_a_request_that_the_daemon_lost_is_made_again_and_one_that_it_did_not_lose_is_not(play: Play) -> None:
    play.now = TICK
    (first,) = play.tick("s").run_requests
    assert play.tick("s").run_requests[0].run_key == first.run_key, "Dagster itself sees that it is the same"
    with play.made.ledger.write() as connection:  # at that time, not now
        connection.exec_driver_sql(f"update export_due set requested_at = '{TICK:%Y-%m-%d %H:%M:%S}.000000'")
    assert play.sensor(GRACE - timedelta(seconds=1)).requests == []
    queued = working(play, PARTITION)
    assert play.sensor(HOUR / 2).requests == [], "it waits in the queue"
    play.instance.delete_run(queued)
    (again,) = play.sensor(timedelta(minutes=1)).requests
    assert again.partition_key == PARTITION
    assert again.run_key != first.run_key
    assert states(play.made) == [("a", "12:00", "due")]


def test_failures_are_tried_again_and_then_given_up_and_told_once(tmp_path: Path) -> None:
    with playing(hourly(tmp_path, "a", **BAD), START) as play:
        play.now, keys = TICK + GRACE, []
        for pause in (timedelta(), timedelta(minutes=10), HOUR):
            reached = play.sensor(pause)
            (request,) = [found for found in reached.requests if found.partition_key == PARTITION]
            keys.append(request.run_key)
            assert not play.run(request).success
            _remember(play, request)
            assert not [r for r in play.sensor(timedelta(seconds=30)).requests if r.partition_key == PARTITION]
        assert [str(key).split(":")[1] for key in keys] == ["1", "2", "3"]
        (row,) = due.find(play.made.ledger, "given_up")
        assert row.partition == PARTITION
        assert "nonsense" in (row.reason or "")
        play.sensor(HOUR)
        now = datetime.now(UTC)
        told = [e for e in events.between(play.made.ledger, START, now) if e.kind == "given_up"]
        assert [(event.partition, event.level, event.details["attempts"]) for event in told] == [
            (PARTITION, "failure", 3)
        ]


def _remember(play: Play, request: dg.RunRequest) -> None:
    """Runs end now by the clock of Dagster; make it the time that is played."""
    del request
    with play.instance.run_storage.connect() as connection:
        stamp = play.now.timestamp()
        connection.exec_driver_sql(f"update runs set start_time = {stamp}, end_time = {stamp}")


def test_whoever_publishes_a_missing_partition_settles_it(play: Play) -> None:
    play.now = TICK + GRACE - timedelta(seconds=1)
    play.made.run(play.made.request("a", PARTITION, run_id="0" * 32))
    assert play.sensor(timedelta(minutes=1)).message == "nothing is missing"
    assert states(play.made) == [("a", "12:00", "done")]


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED])
@pytest.mark.parametrize("whole_job", [False, True])
def test_nothing_is_requested_beside_a_run_of_somebody_else(
    play: Play, status: dg.DagsterRunStatus, whole_job: bool
) -> None:
    working(play, "2026-11-05-03:00", status, **({"asset_selection": None} if whole_job else {}))
    play.now = TICK
    tick = play.tick("s")
    assert tick.run_requests == []
    assert "so partition 2026-11-05-12:00 waits" in tick.skip_message
    assert play.sensor(HOUR / 2).requests == []


def test_a_run_on_the_command_line_counts_as_well(play: Play) -> None:
    with play.made.open(play.made.request("a", PARTITION, run_id="0" * 32)):
        play.now = TICK + GRACE
        assert play.sensor().requests == []
    assert len(play.sensor().requests) == 1


def test_what_had_to_wait_is_requested_when_the_other_run_has_ended(play: Play) -> None:
    other = working(play, "2026-11-05-03:00")
    play.now = TICK
    assert play.tick("s").run_requests == []
    play.instance.delete_run(other)
    (request,) = play.sensor(timedelta(seconds=5)).requests  # the tick was made: there is nothing to wait for
    assert request.partition_key == PARTITION


def test_overlap_skip(tmp_path: Path) -> None:
    with playing(hourly(tmp_path, "a", overlap="skip"), START) as play:
        run_id = working(play, "2026-11-05-03:00")
        play.now = TICK
        assert f"run {run_id[:8]} is at work, and `overlap` is skip" in play.tick("s").skip_message
        assert states(play.made) == [("a", "12:00", "overlap")]
        play.instance.delete_run(run_id)
        assert play.sensor(timedelta(minutes=10)).requests == []


def test_overlap_cancel(tmp_path: Path) -> None:
    with playing(hourly(tmp_path, "a", "b", overlap="cancel"), START) as play:
        play.now = TICK
        first = play.tick("s").run_requests
        assert [[key.path[-1] for key in request.asset_selection] for request in first] == [["a"], ["b"]]
        assert play.run(first[1]).success
        run_id = working(play, PARTITION)
        play.now = TICK + HOUR
        (other,) = play.tick("s").run_requests
        assert [key.path[-1] for key in other.asset_selection] == ["b"]
        ended = play.instance.get_run_by_id(run_id)
        assert ended is not None
        assert ended.status == dg.DagsterRunStatus.CANCELED
        (request,) = play.sensor(timedelta(seconds=5)).requests
        assert request.partition_key == "2026-11-05-13:00"
        (row,) = due.find(play.made.ledger, "skipped")
        assert row.partition == PARTITION
        assert "in favour of partition 2026-11-05-13:00" in (row.reason or "")


def test_a_paused_export_is_left_out_and_its_neighbours_run(tmp_path: Path) -> None:
    with playing(hourly(tmp_path, "a", "b"), START) as play:
        pauses.pause(play.made.ledger, "export", "a", at=START, until=None, by="ann", why="the server moves")
        play.now = TICK
        (request,) = play.tick("s").run_requests
        assert [key.path[-1] for key in request.asset_selection] == ["b"]
        pauses.pause(play.made.ledger, "schedule", "s", at=START, until=None, by="bob", why="")
        tick = play.tick("s", TICK + HOUR)
        assert tick.run_requests == []
        assert tick.skip_message.startswith(
            "a: paused by ann since 2026-11-05 12:30 UTC: the server moves; b: schedule s"
        )
        assert states(play.made)[0] == ("a", "12:00", "paused")


def test_what_was_due_before_a_pause_waits_for_its_end(play: Play) -> None:
    pauses.pause(play.made.ledger, "export", "a", at=TICK + timedelta(minutes=1), until=None, by="ann", why="")
    play.now = TICK + HOUR + HOUR / 2
    assert play.sensor().requests == []
    assert states(play.made) == [("a", "12:00", "due"), ("a", "13:00", "paused")]
    pauses.resume(play.made.ledger, "export", "a", at=play.now, by="ann")
    assert [request.partition_key for request in play.sensor(timedelta(minutes=1)).requests] == [PARTITION]


def test_a_tick_without_a_ledger_fails(tmp_path: Path) -> None:
    environ = environment(tmp_path, EXPORT_LEDGER_URL="postgresql://nobody@127.0.0.1:1/none")
    made = Project.load(write_project(tmp_path, {"a": {"schedule": "daily"}}, environ=environ))
    with dg.instance_for_test() as instance:
        play = Play(made, instance, START)
        with pytest.raises(dg.DagsterError, match="schedule daily") as caught:
            play.tick("daily", datetime(2026, 11, 5, 2, tzinfo=UTC))
        assert isinstance(caught.value.__cause__, LedgerUnavailableError)
