"""What schedules and partitions should do, calculated by walking along the clock: it shares no code with the package.

The walk goes through the minutes of UTC, and asks `zoneinfo` what the clock shows: every minute, or, where clocks are
not changed within the hour, some minutes of it only.
"""

from __future__ import annotations

import calendar
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import holidays

MINUTE = timedelta(minutes=1)
COUNTRIES = {
    "Europe/Berlin": "DE",
    "Europe/London": "GB",
    "America/New_York": "US",
    "America/Sao_Paulo": "BR",
    "Australia/Lord_Howe": "AU",
    "Asia/Kolkata": "IN",
    "UTC": "FR",
}
"""Zones of the tables, and the countries whose holidays their calendars have."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A minute: its instant, and what the clock shows (naive)."""

    at: datetime
    local: datetime


def walk(zone: str, first: date, last: date, *, only: frozenset[int] | None = None) -> list[Shown]:
    """The minutes from the beginning of `first` to the end of `last` on that zone's clock.

    All of them, or in hours without a change `only` those at which the clock shows these minutes.
    """
    found, info = [], ZoneInfo(zone)
    moment = datetime(first.year, first.month, first.day, tzinfo=UTC) - timedelta(days=1)
    end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=2)
    while moment < end:
        shown = _hour(moment, info, only)
        found += [Shown(at, local) for at, local in shown if first <= local.date() <= last]
        moment += timedelta(hours=1)
    return found


def _hour(moment: datetime, info: ZoneInfo, only: frozenset[int] | None) -> Iterator[tuple[datetime, datetime]]:
    begin, end = (t.astimezone(info).replace(tzinfo=None) for t in (moment, moment + timedelta(minutes=59)))
    if only is None or end - begin != timedelta(minutes=59):
        numbers = range(60)
    else:
        numbers = sorted((minute - begin.minute) % 60 for minute in only)
    for number in numbers:
        at = moment + number * MINUTE
        yield at, at.astimezone(info).replace(tzinfo=None)


@cache
def is_workday(zone: str, day: date) -> bool:
    """Whether people work in the zone's country on that day: not on Saturdays, Sundays and holidays."""
    return day.weekday() < 5 and day not in _holidays(zone, day.year)


@cache
def _holidays(zone: str, year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays(COUNTRIES[zone], years=year))


def hourly_at(minute: int) -> Callable[[list[Shown]], list[datetime]]:
    """Ticks whenever the clock shows that minute."""
    return lambda minutes: [shown.at for shown in minutes if shown.local.minute == minute]


def daily_at(hour: int, minute: int, wanted: Callable[[date], bool]) -> Callable[[list[Shown]], list[datetime]]:
    """Ticks once on each day that is wanted: when the clock shows the time the last time, or jumps over it."""

    def ticks(minutes: list[Shown]) -> list[datetime]:
        found: dict[date, datetime] = {}
        for earlier, later in pairwise(minutes):
            if (later.local.hour, later.local.minute) == (hour, minute):
                found[later.local.date()] = later.at
            jumped = (later.local - earlier.local) - (later.at - earlier.at)
            if jumped > timedelta():
                meant = later.local.replace(hour=hour, minute=minute)
                if later.local - jumped <= meant < later.local:
                    found.setdefault(later.local.date(), later.at)
        return [at for day, at in sorted(found.items()) if wanted(day)]

    return ticks


def is_last_workday_of_quarter(zone: str) -> Callable[[date], bool]:
    """Whether no working day follows in the quarter of a day that is one."""

    def wanted(day: date) -> bool:
        if not is_workday(zone, day):
            return False
        month = (day.month - 1) // 3 * 3 + 3
        last = date(day.year, month, calendar.monthrange(day.year, month)[1])
        following = (day + timedelta(days=n) for n in range(1, (last - day).days + 1))
        return not any(is_workday(zone, other) for other in following)

    return wanted


def label(kind: str, local: datetime) -> tuple[object, ...]:
    """What all minutes of one window have in common, as far as the clock shows it."""
    day = local.date()
    if kind == "weekly":
        return (day - timedelta(days=day.weekday()),)
    if kind == "monthly":
        return (day.replace(day=1),)
    if kind == "quarterly":
        return (day.year, (day.month + 2) // 3)
    if kind == "yearly":
        return (day.year,)
    return (day,) if kind == "daily" else (day, local.hour)


def windows(kind: str, minutes: list[Shown]) -> list[tuple[datetime, datetime]]:
    """The windows that lie in the walk as a whole, as instants; one begins wherever the label changes.

    An hour that the clock shows twice is two windows: the minutes run backwards there.
    """
    starts = [
        later.at
        for earlier, later in pairwise(minutes)
        if label(kind, earlier.local) != label(kind, later.local) and not _backwards(kind, earlier, later)
    ]
    if kind == "hourly":
        repeated = [later.at for earlier, later in pairwise(minutes) if later.local < earlier.local]
        starts = sorted({*starts, *repeated})
    return list(pairwise(starts))


def _backwards(kind: str, earlier: Shown, later: Shown) -> bool:
    """Where clocks go back over midnight, the day before goes on and no new window begins."""
    return kind != "hourly" and later.local < earlier.local


def last_complete(ended: list[tuple[datetime, datetime]], tick: datetime) -> tuple[datetime, datetime] | None:
    """The last of the windows (ascending) that has ended at the tick, or None."""
    position = bisect_right(ended, tick, key=lambda window: window[1])
    return ended[position - 1] if position else None
