"""When cron expressions tick."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from croniter import croniter


def _ticks(expression: str, start: datetime) -> Iterator[datetime]:
    ticks = croniter(expression, start, max_years_between_matches=8)
    while True:
        yield ticks.get_next(datetime)


def next_ticks(expression: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Ticks strictly after `after` (aware), ascending, aware in `timezone`; endless.

    A time that daylight saving repeats ticks once, at the second one, as in Dagster; crons of every hour tick at both.
    Where clocks change at midnight (Cairo, Havana), Dagster's tick of that day may be up to an hour earlier.
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
