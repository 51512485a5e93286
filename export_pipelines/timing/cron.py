"""Cron expressions: which are valid, and when they tick."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from croniter import CroniterError, croniter

_FIELDS = ("minute (0-59)", "hour (0-23)", "day (1-31)", "month (1-12)", "weekday (0-7 or sun-sat)")
_UNSTABLE = re.compile(r"(?<![a-z])[hr](?![a-z])|\d+w|w\d+", re.IGNORECASE)
"""croniter draws `H` and `R` anew each time, and Dagster does not know `15W`."""


def check_cron(expression: str) -> str:
    """The expression, if Dagster accepts it: five fields, or `@hourly` and its like. Raises ValueError."""
    text = " ".join(expression.split())
    fields = text.split()
    if not text.startswith("@") and len(fields) != 5:
        raise ValueError(f"cron {expression!r} has {len(fields)} fields; write minute hour day month weekday")
    try:
        if _UNSTABLE.search(text):
            raise CroniterError("H, R and W are not known")
        next(_ticks(text, datetime(2026, 1, 1, tzinfo=UTC)))
    except CroniterError:
        raise ValueError(f"cron {expression!r}: {_mistake(fields)}") from None
    return text


def _mistake(fields: list[str]) -> str:
    """What is wrong with the fields of an expression that croniter refused."""
    if fields[0].startswith("@"):
        return "write five fields, or one of @hourly, @daily, @weekly, @monthly, @yearly"
    for position, field in enumerate(fields):
        alone = [field if n == position else "*" for n in range(5)]
        if _UNSTABLE.search(field) or not croniter.is_valid(" ".join(alone)):
            return f"{field!r} is not a valid {_FIELDS[position]}"
    return "no such day ever comes"


def _ticks(expression: str, start: datetime) -> Iterator[datetime]:
    ticks = croniter(expression, start, max_years_between_matches=8)
    while True:
        yield ticks.get_next(datetime)


def next_ticks(expression: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Ticks strictly after `after` (aware), ascending, aware in `timezone`; endless.

    A time that daylight saving repeats ticks once, at the second one, as in Dagster; crons of every hour tick at both.
    """
    ticks = _ticks(expression, after.astimezone(ZoneInfo(timezone)))
    hourly = _is_hourly(expression)
    return (tick for tick in ticks if hourly or not _repeated_later(tick))


def _is_hourly(expression: str) -> bool:
    """Whether it ticks in every hour, however that is written: `*`, `0-23`, `@hourly`."""
    return bool(croniter.expand(expression)[0][1] == ["*"])


def _repeated_later(tick: datetime) -> bool:
    """Whether the clock shows this time a second time afterwards."""
    return tick.fold == 0 and tick.replace(fold=1).utcoffset() != tick.utcoffset()


def previous_tick(expression: str, timezone: str, before: datetime) -> datetime:
    """The last tick strictly before `before` (aware), aware in `timezone`."""
    hourly = _is_hourly(expression)
    ticks = croniter(expression, before.astimezone(ZoneInfo(timezone)), max_years_between_matches=8)
    while True:
        tick: datetime = ticks.get_prev(datetime)
        if hourly or not _repeated_later(tick):
            return tick
