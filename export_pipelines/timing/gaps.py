"""The longest time between two runs of a schedule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile

from export_pipelines.spec.nominal import DayTimes
from export_pipelines.spec.schedules import CalendarSpec, ScheduleSpec
from export_pipelines.spec.workdays import Calendar
from export_pipelines.timing.fires import Fire, FireDay, fire_days, fires

_TICKS = 100
_HORIZON = timedelta(days=9 * 366)  # two leap days are at most eight years apart
_YEAR = timedelta(days=370)


def largest_gap(
    schedule: ScheduleSpec, calendar: CalendarSpec | None, *, after: datetime, partition: str = ""
) -> timedelta | None:
    """The longest time between two ticks after `after` (aware) that run something.

    Looks at the next hundred ticks and, where a calendar has a say, at all days of a year. `partition` is the kind of
    partitions asked for. None if fewer than two of these ticks run something, or if the schedule comes to an end: after
    that, the time without a run has no longest.
    """
    if schedule.end or schedule.at:
        return None
    after, days = after.astimezone(UTC), Calendar(calendar) if calendar else None
    ticks = islice(fires(schedule, days, after, partition=partition), _TICKS)
    near = takewhile(lambda fire: fire.instant - after < _HORIZON, ticks)
    gaps = [_between(*pair) for pair in pairwise(fire for fire in near if not fire.skipped)]
    if days:
        year = takewhile(
            lambda day: day.day < (after + _YEAR).date(), fire_days(schedule, days, after, partition=partition)
        )
        running = [_ends(day) for day in year if not day.skipped and day.day > after.date()]
        gaps += [_between(last, following) for (_, last), (following, _) in pairwise(running)]
    return max(gaps, default=None)


def _ends(day: FireDay) -> tuple[Fire, Fire]:
    """The first and the last tick of the day, without the others, of which there may be a thousand."""
    found = FireDay(day.day, day.skipped, tuple((nominal, _extremes(times)) for nominal, times in day.meant), day.zone)
    ticks = found.fires()
    return ticks[0], ticks[-1]


def _extremes(times: DayTimes) -> DayTimes:
    return DayTimes(times.fixed[:1] + times.fixed[-1:], times.minutes[:1] + times.minutes[-1:])


def _between(early: Fire, late: Fire) -> timedelta:
    """The time that passes; the difference of local times would be what clocks show."""
    return late.instant.astimezone(UTC) - early.instant.astimezone(UTC)
