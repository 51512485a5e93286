"""How close the ticks of a schedule may come to one another."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice, pairwise

from export_pipelines.spec.nominal import DayTimes, nominal_days, times_of_day
from export_pipelines.spec.schedules import ScheduleSpec

_TICKS = 400
_FIRST = date(2026, 1, 1)
"""A fixed day, so that whether a schedule is valid does not depend on when it is read."""
_YEARS = timedelta(days=30 * 366)
_MINUTES_A_DAY = 24 * 60


def too_close(schedule: ScheduleSpec, minutes: float) -> tuple[datetime, datetime] | None:
    """The first two ticks (naive, on the schedule's clock) that are closer than so many minutes, or None.

    Of 400 ticks of all crons together. That clocks are changed, and that holidays move ticks, does not count: nobody
    wrote that.
    """
    if _proves(_minutes_of_day(times_of_day(schedule)), minutes):
        return None
    return _closer(schedule, minutes)


@lru_cache(maxsize=1024)
def _closer(schedule: ScheduleSpec, minutes: float) -> tuple[datetime, datetime] | None:
    for early, late in pairwise(islice(_nominal(schedule), _TICKS)):
        if late - early < timedelta(minutes=minutes):
            return early, late
    return None


def _proves(times: list[int], minutes: float) -> bool:
    """Whether the times of day alone, on whatever days, are far enough from one another."""
    around = [*times, times[0] + _MINUTES_A_DAY]
    return min(late - early for early, late in pairwise(around)) >= minutes


def _minutes_of_day(times: DayTimes) -> list[int]:
    fixed = {moment.hour * 60 + moment.minute for moment in times.fixed}
    return sorted(fixed | {hour * 60 + minute for minute in times.minutes for hour in range(24)})


def _nominal(schedule: ScheduleSpec) -> Iterator[datetime]:
    first = schedule.start or (schedule.at[0].date() if schedule.at else _FIRST)
    for day, times in nominal_days(schedule, first):
        if day - first > _YEARS:
            return
        for minute in _minutes_of_day(times):
            yield datetime.combine(day, time(minute // 60, minute % 60))
