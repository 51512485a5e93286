"""Kinds of timing in several zones, and how to compare what the package and the oracle make of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, takewhile
from typing import Any

from export_pipelines.spec.schedules import CalendarSpec, ScheduleSpec
from export_pipelines.spec.workdays import Calendar
from export_pipelines.timing.fires import fires
from export_pipelines.timing.partitions import last_complete, window_of
from export_pipelines_tests import timing_oracle as oracle

MINUTES = frozenset({0, 5, 30})
"""The minutes at which ticks and windows of these timings begin."""


@dataclass(frozen=True)
class Row:
    """One timing: what the spec says, the kind of partitions, and how the oracle finds its ticks in a zone."""

    name: str
    spec: dict[str, Any]
    partition: str
    ticks: Callable[[str], Callable[[list[oracle.Shown]], list[datetime]]]


def _any_day(_day: date) -> bool:
    return True


def _first_of_quarter(day: date) -> bool:
    return day.day == 1 and day.month % 3 == 1


def _end_of_month(day: date) -> bool:
    return day.day == 31 or (day + timedelta(days=1)).day == 1


TIMINGS = [
    Row("hourly", {"cron": "5 * * * *"}, "hourly", lambda zone: oracle.hourly_at(5)),
    Row("daily", {"cron": "30 2 * * *"}, "daily", lambda zone: oracle.daily_at(2, 30, _any_day)),
    Row(
        "weekly",
        {"every": "week", "weekday": "sun", "time": "00:30"},
        "weekly",
        lambda zone: oracle.daily_at(0, 30, lambda day: day.isoweekday() == 7),
    ),
    Row(
        "monthly",
        {"every": "month", "day": 31, "time": "02:30"},
        "monthly",
        lambda zone: oracle.daily_at(2, 30, _end_of_month),
    ),
    Row(
        "quarterly",
        {"every": "quarter", "day": 1, "time": "02:30"},
        "quarterly",
        lambda zone: oracle.daily_at(2, 30, _first_of_quarter),
    ),
    Row(
        "yearly",
        {"cron": "30 0 1 1 *"},
        "yearly",
        lambda zone: oracle.daily_at(0, 30, lambda day: (day.month, day.day) == (1, 1)),
    ),
    Row(
        "workdays",
        {"every": "working day", "time": "23:30", "calendar": "national"},
        "daily",
        lambda zone: oracle.daily_at(23, 30, lambda day: oracle.is_workday(zone, day)),
    ),
    Row(
        "quarter",
        {"every": "quarter", "working_day": "last", "time": "02:00", "calendar": "national"},
        "monthly",
        lambda zone: oracle.daily_at(2, 0, oracle.is_last_workday_of_quarter(zone)),
    ),
]
"""The times of day are those at which clocks are changed, somewhere."""

YEARS = {zone: (2018, 2020) if zone == "America/Sao_Paulo" else (2025, 2027) for zone in oracle.COUNTRIES}
"""Sao Paulo changed its clocks at midnight, for the last time in 2018 and 2019."""


def schedule_of(row: Row, zone: str) -> ScheduleSpec:
    """The spec of a row in a zone."""
    return ScheduleSpec.model_validate({**row.spec, "timezone": zone})


def calendar_of(row: Row, zone: str) -> Calendar | None:
    """The calendar of the zone's country, for a row that has one."""
    return Calendar(CalendarSpec(country=oracle.COUNTRIES[zone])) if "calendar" in row.spec else None


def partition_of(row: Row, zone: str) -> str:
    """The kind of partitions. Hours have no windows on Lord Howe, whose clock is changed by half an hour."""
    return "daily" if zone == "Australia/Lord_Howe" and row.partition == "hourly" else row.partition


def compare(row: Row, zone: str, minutes: list[oracle.Shown]) -> tuple[int, int]:
    """Compare ticks and partitions over the walk. Returns how many there were; raises AssertionError."""
    spec, calendar, kind = schedule_of(row, zone), calendar_of(row, zone), partition_of(row, zone)
    begin, end = minutes[0].at, minutes[-1].at
    expected = row.ticks(zone)(minutes)
    ours = list(takewhile(lambda fire: fire.instant <= end, fires(spec, calendar, begin - timedelta(seconds=1))))
    running = [fire.instant.astimezone(UTC) for fire in ours if not fire.skipped]
    assert running == expected, first_difference(running, expected)
    asked = list(_asked(kind, zone, minutes, running))
    if row.name == row.partition == kind:
        assert all(early[1] == late[0] for early, late in pairwise(asked)), "gaps or overlaps"
        assert len(set(asked)) == len(asked)
    return len(running), len(asked)


def _asked(
    kind: str, zone: str, minutes: list[oracle.Shown], ticks: list[datetime]
) -> Iterator[tuple[datetime, datetime]]:
    """The windows that the ticks ask for, which must be those of the oracle."""
    known = oracle.windows(kind, minutes)
    assert all(early[1] == late[0] for early, late in pairwise(known))
    for tick in ticks:
        expected = oracle.last_complete(known, tick)
        if expected is not None:
            ours = window_of(kind, last_complete(kind, tick, zone), zone).utc()
            assert ours == expected, f"{tick}: {ours} instead of {expected}"
            yield ours


def first_difference(ours: list[datetime], theirs: list[datetime]) -> str:
    """Where two lists of ticks part."""
    for mine, other in zip(ours, theirs, strict=False):
        if mine != other:
            return f"{mine} instead of {other}"
    return f"{len(ours)} instead of {len(theirs)} ticks"
