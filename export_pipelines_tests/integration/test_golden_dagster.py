"""Dagster's own ticks, by the schedules of the repository, do what the calculation of ticks says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from export_pipelines.orchestration.build import build_definitions
from export_pipelines.project import Project
from export_pipelines.timing.changes import changes
from export_pipelines.timing.partitions import keys_between, window_of
from export_pipelines.timing.ticks import Timing, timings
from export_pipelines.timing.upcoming import asked_at, upcoming
from export_pipelines_tests.projects import project
from export_pipelines_tests.timing_oracle import COUNTRIES
from export_pipelines_tests.timing_tables import TIMINGS, YEARS, partition_of

DAY = timedelta(days=1)


def slug(zone: str) -> str:
    return zone.lower().replace("/", "_")


def entries() -> Iterator[tuple[str, dict[str, object]]]:
    for zone in YEARS:
        for row in TIMINGS:
            calendar = {"calendar": slug(zone)} if "calendar" in row.spec else {}
            schedule = {**row.spec, **calendar, "timezone": zone}
            kind = partition_of(row, zone)
            yield f"{row.name}_{slug(zone)}", {"schedule": schedule, "partition": kind, "start": "2017-12-01"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    calendars = {slug(zone): {"country": country} for zone, country in COUNTRIES.items()}
    return project(tmp_path_factory.mktemp("golden"), dict(entries()), calendars=calendars)


@pytest.fixture(scope="module")
def repository(made: Project) -> dg.RepositoryDefinition:
    return build_definitions(made).get_repository_def()


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as found:
        yield found


def timing_of(made: Project, zone: str) -> list[Timing]:
    return [timing for timing in timings(made.specs.exports.values()) if timing.schedule.timezone == zone]


def dagsters(schedule: dg.ScheduleDefinition, begin: datetime, end: datetime) -> list[datetime]:
    ticks = schedule_execution_time_iterator(begin.timestamp(), schedule.cron_schedule, schedule.execution_timezone)
    return list(takewhile(lambda tick: tick.timestamp() < end.timestamp(), ticks))


def interesting(zone: str) -> Iterator[tuple[datetime, datetime]]:
    """The days around changes of the clocks and ends of months."""
    first, last = (datetime(year, 1, 1, tzinfo=UTC) for year in (YEARS[zone][0], YEARS[zone][1] + 1))
    for change in changes(zone, first, last):
        yield change.at - 2 * DAY, change.at + 2 * DAY
    for number in range(first.year * 12 + 1, last.year * 12):
        month = datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)
        yield month - DAY, month + DAY


@pytest.mark.parametrize("zone", YEARS)
def test_dagsters_ticks_do_what_is_due_and_nothing_else(
    made: Project, repository: dg.RepositoryDefinition, zone: str
) -> None:
    requested = 0
    for timing in timing_of(made, zone):
        schedule = repository.get_schedule_def(timing.name)
        assert schedule.execution_timezone == zone
        for begin, end in interesting(zone):
            asked = {}
            for tick in dagsters(schedule, begin, end):
                plan = asked_at(timing, tick)
                if plan.partition is not None:
                    asked[tick.timestamp()] = plan.partition
            ours = takewhile(lambda entry: entry.tick < end, upcoming(timing, begin - timedelta(seconds=1)))  # noqa: B023
            assert asked == {entry.tick.timestamp(): entry.partition for entry in ours if entry.partition}, timing.name
            requested += len(asked)
    assert requested > 600


@pytest.mark.parametrize("zone", YEARS)
def test_a_tick_that_dagster_evaluates_requests_the_partition_or_says_why_not(
    made: Project, repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, zone: str
) -> None:
    year = YEARS[zone][0]
    day = next(
        (c.at for c in changes(zone, datetime(year, 6, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))), None
    )
    begin = (day or datetime(year, 10, 31, 12, tzinfo=UTC)) - DAY / 24
    for timing in timing_of(made, zone):
        schedule = repository.get_schedule_def(timing.name)
        for tick in dagsters(schedule, begin, begin + 2 * DAY):
            plan = asked_at(timing, tick)
            with dg.build_schedule_context(
                instance=instance, scheduled_execution_time=tick, repository_def=repository
            ) as context:
                result = schedule.evaluate_tick(context)
            if plan.partition is None:
                assert (result.run_requests, result.skip_message) == ([], plan.skipped)
            else:
                assert [request.partition_key for request in result.run_requests] == [plan.partition]
                break  # the next one would wait until this run has ended


@pytest.mark.parametrize(
    ("spec", "partition", "missing"),
    [
        ({"every": "working day", "time": "02:30"}, "daily", True),
        ({"every": "day", "time": ["02:30", "23:30"], "on_holiday": "run"}, "daily", False),
        ({"every": "month", "day": 1, "time": "02:30", "on_holiday": "next"}, "monthly", False),
        ({"every": "month", "day": 1, "time": "02:30", "on_holiday": "previous"}, "monthly", False),
        ({"every": "month", "day": "last", "time": "02:30", "on_holiday": "next"}, "monthly", False),
        ({"every": "month", "working_day": "last", "time": "02:30"}, "monthly", False),
        ({"every": "quarter", "day": 1, "time": "02:30", "on_holiday": "next"}, "quarterly", False),
        ({"every": "quarter", "working_day": "last", "time": "02:30"}, "quarterly", False),
        ({"every": "week", "weekday": "sun", "time": "23:30", "on_holiday": "next"}, "weekly", False),
        ({"every": "week", "weekday": "mon", "time": "02:30", "on_holiday": "previous"}, "weekly", False),
        ({"cron": ["30 2 * * 1-5", "0 9 * * 0,6"], "on_holiday": "run"}, "daily", False),
    ],
    ids=lambda value: str(value.get("every", "cron")) if isinstance(value, dict) else str(value),
)
def test_in_a_year_each_partition_that_is_due_is_requested_exactly_once(
    tmp_path: pytest.TempPathFactory, spec: dict[str, object], partition: str, missing: bool
) -> None:
    """A loop over the instants at which Dagster would ask, of a year with two changes of the clocks and holidays."""
    schedule = {**spec, "timezone": "Europe/Berlin", "calendar": "berlin"}
    calendars = {"berlin": {"country": "DE", "subdivision": "BE"}}
    entry = {"schedule": schedule, "partition": partition, "start": "2026-01-01"}
    loaded = project(tmp_path, {"e": entry}, calendars=calendars)  # type: ignore[arg-type]
    (timing,) = timings(loaded.specs.exports.values())
    (definition,) = (d for d in build_definitions(loaded).get_repository_def().schedule_defs if d.name == timing.name)
    begin, end = datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    calendar = timing.calendar
    asked = []
    for tick in dagsters(definition, begin, end):
        plan = asked_at(timing, tick)
        if plan.partition is not None:
            asked.append(plan.partition)
            assert window_of(partition, plan.partition, "Europe/Berlin").end.timestamp() <= tick.timestamp()
            assert spec.get("on_holiday") == "run" or not (calendar and calendar.day_off(tick.date()))
    expected = set(keys_between(partition, asked[0], asked[-1], "Europe/Berlin"))
    once = list(dict.fromkeys(asked)) if isinstance(spec.get("time"), list) else asked
    assert len(once) == len(set(once)), "requested twice"
    assert asked == sorted(asked)
    assert (set(asked) != expected) == missing
