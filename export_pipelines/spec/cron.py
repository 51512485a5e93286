"""Cron expressions: which are valid, and on which days and at which times of day they tick."""

from __future__ import annotations

import re
from calendar import month_name, monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, time, timedelta
from functools import cached_property, lru_cache
from typing import Any

from croniter import CroniterError, croniter

_FIELDS = ("minute (0-59)", "hour (0-23)", "day (1-31)", "month (1-12)", "weekday (0-7 or sun-sat)")
_UNSTABLE = re.compile(r"(?<![a-z])[hr](?![a-z])|\d+w|w\d+", re.IGNORECASE)
"""croniter draws `H` and `R` anew each time, and Dagster does not know `15W`."""
_LAST = "l"
_LEAP = 2024
_FIRST, _DAYS = date(2024, 1, 1), 8 * 366  # 29 February may be eight years away


@dataclass(frozen=True)
class Cron:
    """A valid expression, taken apart. Weekdays count from Monday, 0; None is any day."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    hourly: bool
    """Whether it ticks in every hour, however that is written: `*`, `0-23`, `@hourly`."""
    days: frozenset[int] | None
    last_day: bool
    months: frozenset[int]
    weekdays: frozenset[int] | None
    nth: frozenset[tuple[int, int]]
    """Weekday and which one of the month, 1 to 5; 0 is the last one. Replaces `weekdays` where there are any."""

    def falls_on(self, day: date) -> bool:
        """Whether it ticks on that day. Day and weekday, where both are given, are alternatives."""
        if day.month not in self.months:
            return False
        if self.nth:
            return self._is_nth(day)
        if self.days is None:
            return self.weekdays is None or day.weekday() in self.weekdays
        if day.day in self.days or (self.last_day and (day + timedelta(days=1)).day == 1):
            return True
        return self.weekdays is not None and day.weekday() in self.weekdays

    @cached_property
    def times(self) -> tuple[time, ...]:
        """The times of day, ascending."""
        return tuple(time(hour, minute) for hour in self.hours for minute in self.minutes)

    def _is_nth(self, day: date) -> bool:
        place = (day.day - 1) // 7 + 1
        ends = (day + timedelta(days=7)).month != day.month
        return (day.weekday(), place) in self.nth or (ends and (day.weekday(), 0) in self.nth)


@lru_cache(maxsize=4096)
def parse_cron(expression: str) -> Cron:
    """A valid expression, taken apart. Raises CroniterError if it is not valid."""
    expanded: Any = croniter.expand(expression)
    (minutes, hours, days, months, weekdays), nth, *_ = expanded
    return Cron(
        minutes=_numbers(minutes, range(60)),
        hours=_numbers(hours, range(24)),
        hourly=hours == ["*"],
        days=None if days == ["*"] else frozenset(day for day in days if day != _LAST),
        last_day=_LAST in days,
        months=frozenset(_numbers(months, range(1, 13))),
        weekdays=None if weekdays == ["*"] else frozenset((day - 1) % 7 for day in weekdays),
        nth=_nth(nth),
    )


def _numbers(field: list[Any], every: Iterable[int]) -> tuple[int, ...]:
    return tuple(every) if field == ["*"] else tuple(sorted(field))


def _nth(nth: Mapping[int, set[Any]]) -> frozenset[tuple[int, int]]:
    return frozenset(((day - 1) % 7, 0 if n == _LAST else n) for day, places in nth.items() for n in places)


@lru_cache(maxsize=4096)
def check_cron(expression: str) -> str:
    """The expression, if Dagster accepts it: five fields, or `@hourly` and its like. Raises ValueError."""
    text = " ".join(expression.split())
    fields = text.split()
    if not text.startswith("@") and len(fields) != 5:
        raise ValueError(f"cron {expression!r} has {len(fields)} fields; write minute hour day month weekday")
    try:
        if _UNSTABLE.search(text):
            raise CroniterError("H, R and W are not known")
        cron = parse_cron(text)
    except CroniterError:
        raise ValueError(f"cron {expression!r}: {_mistake(fields)}") from None
    if cron.days is not None and cron.nth:
        raise ValueError(f"cron {expression!r}: give a day of the month or a weekday with #, not both")
    if cron.days is not None and not _comes(cron):
        raise ValueError(f"cron {expression!r}: {_too_late(cron)}")
    return text


def _comes(cron: Cron) -> bool:
    """Whether the day of the month ever comes. Dagster demands that also where a weekday is the alternative."""
    by_day = replace(cron, weekdays=None)
    return any(by_day.falls_on(_FIRST + timedelta(days=n)) for n in range(_DAYS))


def _mistake(fields: list[str]) -> str:
    """What is wrong with the fields of an expression that croniter refused."""
    if fields[0].startswith("@"):
        return "write five fields, or one of @hourly, @daily, @weekly, @monthly, @yearly"
    for position, field in enumerate(fields):
        alone = [field if n == position else "*" for n in range(5)]
        if _UNSTABLE.search(field) or not croniter.is_valid(" ".join(alone)):
            return f"{field!r} is not a valid {_FIELDS[position]}"
    return "write minute hour day month weekday"


def _too_late(cron: Cron) -> str:
    """Why none of its days ever comes: `February has 29 days at most`."""
    names = [month_name[month] for month in sorted(cron.months)]
    most = max(monthrange(_LEAP, month)[1] for month in cron.months)
    months = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"no such day ever comes: {months} {'has' if len(names) == 1 else 'have'} {most} days at most"
