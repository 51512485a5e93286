"""The longest time between two runs of a schedule."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

from export_pipelines.spec.schedules import CalendarSpec, ScheduleSpec
from export_pipelines.timing.calendars import Calendar
from export_pipelines.timing.cron import next_ticks, previous_tick

_TICKS = 100
_HORIZON = timedelta(days=9 * 366)  # two leap days are at most eight years apart
_DAYS = 370


def largest_gap(schedule: ScheduleSpec, calendar: CalendarSpec | None, *, after: datetime) -> timedelta | None:
    """The longest time between two ticks after `after` (aware) that run something.

    Looks at the next hundred ticks and, where a calendar skips some, at all days off of a year. None if fewer than two
    of these ticks run something.
    """
    days = Calendar(calendar) if calendar and schedule.on_holiday == "skip" else None
    zone = ZoneInfo(schedule.timezone)
    ticks = islice(next_ticks(schedule.cron, schedule.timezone, after), _TICKS)
    near = takewhile(lambda tick: tick - after < _HORIZON, ticks)
    running = [tick for tick in near if not (days and days.day_off(tick.date()))]
    gaps = [_between(*pair) for pair in pairwise(running)]
    if days:
        first = after.astimezone(zone).date() + timedelta(days=1)
        workdays = [day for day in (first + timedelta(days=n) for n in range(_DAYS)) if not days.day_off(day)]
        ends = list(_first_and_last(schedule, workdays))
        gaps += [_between(last, following) for (_, last), (following, _) in pairwise(ends)]
    return max(gaps, default=None)


def _first_and_last(schedule: ScheduleSpec, days: list[date]) -> Iterator[tuple[datetime, datetime]]:
    """The first and the last tick of each day that has any."""
    zone = ZoneInfo(schedule.timezone)
    for day in days:
        midnight = datetime.combine(day, time(), zone)
        first = next(next_ticks(schedule.cron, schedule.timezone, midnight - timedelta(microseconds=1)))
        if first.date() == day:
            following = datetime.combine(day + timedelta(days=1), time(), zone)
            yield first, previous_tick(schedule.cron, schedule.timezone, following)


def _between(early: datetime, late: datetime) -> timedelta:
    """The time that passes; the difference of local times would be what clocks show."""
    return late.astimezone(UTC) - early.astimezone(UTC)
