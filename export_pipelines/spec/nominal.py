"""Nominal times: the days and times of day that a schedule means on its own clock, before holidays move any of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time, timedelta

from export_pipelines.spec.cron import Cron, parse_cron
from export_pipelines.spec.repeated import WEEK
from export_pipelines.spec.schedules import ScheduleSpec
from export_pipelines.spec.workdays import WEEKDAYS, Calendar

_HORIZON = 9 * 366
"""Days without any tick after which there is none: two leap days are at most eight years apart."""

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class DayTimes:
    """The times of one day: `fixed` times of day, and `minutes` past every hour that the day really has."""

    fixed: tuple[time, ...] = ()
    minutes: tuple[int, ...] = ()


def nominal_days(
    schedule: ScheduleSpec, first: date, *, calendar: Calendar | None = None
) -> Iterator[tuple[date, DayTimes]]:
    """The days from `first` on with ticks, ascending, within `start` and `end`; endless only where the schedule is.

    The calendar says which days are working days; without one these are Monday to Friday. Holidays on which ticks of
    days, weeks, months or crons fall are included, and so are those of `every: working day`, but not its weekends.
    """
    first = max(first, schedule.start or first)
    for day, times in _all_days(schedule, first, calendar or WEEKDAYS):
        if schedule.end and day > schedule.end:
            return
        yield day, times


def _all_days(schedule: ScheduleSpec, first: date, calendar: Calendar) -> Iterator[tuple[date, DayTimes]]:
    if schedule.cron:
        return _cron_days([parse_cron(expression) for expression in schedule.cron], first)
    if schedule.at:
        return _given_days(schedule, first)
    times = times_of_day(schedule)
    return ((day, times) for day in _every(schedule, first, calendar))


def times_of_day(schedule: ScheduleSpec) -> DayTimes:
    """All times of day at which it may tick, whatever the day."""
    if schedule.cron:
        return _union([parse_cron(expression) for expression in schedule.cron])
    if schedule.at:
        return DayTimes(fixed=tuple(sorted({moment.time() for moment in schedule.at})))
    if schedule.every == "hour":
        return DayTimes(minutes=(schedule.minute or 0,))
    return DayTimes(fixed=schedule.time or ())


def _cron_days(crons: list[Cron], first: date) -> Iterator[tuple[date, DayTimes]]:
    known: dict[tuple[bool, ...], DayTimes] = {}
    idle = 0
    for day in _days(first):
        chosen = tuple(cron.falls_on(day) for cron in crons)
        if any(chosen):
            idle = 0
            if chosen not in known:
                known[chosen] = _union([cron for cron, ticks in zip(crons, chosen, strict=True) if ticks])
            yield day, known[chosen]
        elif (idle := idle + 1) > _HORIZON:
            return


def _union(crons: list[Cron]) -> DayTimes:
    fixed = {moment for cron in crons if not cron.hourly for moment in cron.times}
    minutes = {minute for cron in crons if cron.hourly for minute in cron.minutes}
    return DayTimes(tuple(sorted(fixed)), tuple(sorted(minutes)))


def _given_days(schedule: ScheduleSpec, first: date) -> Iterator[tuple[date, DayTimes]]:
    days: dict[date, list[time]] = {}
    for moment in schedule.at or ():
        days.setdefault(moment.date(), []).append(moment.time())
    for day, times in sorted(days.items()):
        if day >= first:
            yield day, DayTimes(fixed=tuple(times))


def _every(schedule: ScheduleSpec, first: date, calendar: Calendar) -> Iterator[date]:
    if schedule.every in ("month", "quarter"):
        periods = _periods(first, 1 if schedule.every == "month" else 3)
        chosen = (_chosen(schedule, begin, last, calendar) for begin, last in periods)
        return (day for day in chosen if day is not None and day >= first)
    if schedule.every == "working day":
        return _unless_idle(day if not calendar.is_weekend(day) else None for day in _days(first))
    if schedule.every == "week":
        return (day for day in _days(first) if WEEK[day.weekday()] in (schedule.weekday or ()))
    return _days(first)


def _days(first: date) -> Iterator[date]:
    """Days up to the last one that a date can be, less a margin for clocks."""
    return (date.fromordinal(number) for number in range(first.toordinal(), date.max.toordinal() - 400))


def _unless_idle(days: Iterator[date | None]) -> Iterator[date]:
    """Those that are none of None, until there were only Nones for years."""
    idle = 0
    for day in days:
        idle = 0 if day else idle + 1
        if day:
            yield day
        elif idle > _HORIZON:
            return


def _periods(first: date, months: int) -> Iterator[tuple[date, date]]:
    """First and last day of each period of so many months, from the one that holds `first`."""
    number = (first.year * 12 + first.month - 1) // months
    while number * months // 12 < date.max.year - 2:
        begin, following = (date((n * months) // 12, (n * months) % 12 + 1, 1) for n in (number, number + 1))
        yield begin, following - _DAY
        number += 1


def _chosen(schedule: ScheduleSpec, begin: date, last: date, calendar: Calendar) -> date | None:
    """The day of the period on which it ticks; None if the period has no working day."""
    if schedule.working_day is not None:
        return _workday(-1 if schedule.working_day == "last" else schedule.working_day, begin, last, calendar)
    if schedule.day == "last":
        return last
    end_of_month = (begin.replace(day=28) + timedelta(days=4)).replace(day=1) - _DAY
    return min(begin + timedelta(days=(schedule.day or 1) - 1), end_of_month)


def _workday(number: int, begin: date, last: date, calendar: Calendar) -> date | None:
    """The n-th working day, or counted from the end if negative; the farthest one where there are fewer."""
    span = range((last - begin).days + 1)
    ordered = (begin + timedelta(days=n) if number > 0 else last - timedelta(days=n) for n in span)
    found = None
    for count, day in enumerate((day for day in ordered if not calendar.day_off(day)), 1):
        found = day
        if count == abs(number):
            break
    return found
