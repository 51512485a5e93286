"""A schedule as the cron expressions at which Dagster asks what is due."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, time

from export_pipelines.spec.cron import Cron, parse_cron
from export_pipelines.spec.nominal import times_of_day
from export_pipelines.spec.schedules import ScheduleSpec
from export_pipelines.timing.changes import Change, known_changes, shifts_by_part_of_an_hour, unusual

_CRON_DAYS = {"mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6, "sun": 0}
_QUARTER_ENDS = "3,6,9,12"
_QUARTER_BEGINS = "1,4,7,10"
_HALVES = ("1-6", "7-12")


def crons(schedule: ScheduleSpec) -> list[str]:
    """Cron expressions, in the schedule's timezone, whose ticks in Dagster hold every tick of the schedule.

    They may hold more: what no expression can say, such as the last working day, is asked for every day, and
    `timing.upcoming.asked_at` gives the reason why nothing is due.
    """
    times = times_of_day(schedule)
    found = list(dict.fromkeys(_plain(schedule)))
    if len(found) > 1 and times.minutes:
        return _as_one(schedule)
    if any(_touches(change, moment) for change in unusual(schedule.timezone) for moment in times.fixed):
        return _as_one(schedule)
    return found


def _as_one(schedule: ScheduleSpec) -> list[str]:
    """All minutes at which it may tick, in every hour, as one expression.

    Dagster's ticks of every hour are right whatever clocks do. It puts those of several expressions in the order of
    what clocks show, so that in an hour that is repeated some would come out of order, or be lost.
    """
    times = times_of_day(schedule)
    after_jumps = {
        change.after.minute
        for change in known_changes(schedule.timezone)
        if change.skips and any(_touches(change, moment) for moment in times.fixed)
    }
    minutes = sorted({*times.minutes, *(moment.minute for moment in times.fixed), *after_jumps})
    return list(_hourly_in_halves(f"{','.join(map(str, minutes))} * * * *", schedule.timezone))


def _plain(schedule: ScheduleSpec) -> Iterator[str]:
    times = times_of_day(schedule)
    if schedule.cron:
        for expression in schedule.cron:
            yield from _hourly_in_halves(expression, schedule.timezone)
    elif schedule.every == "hour":
        yield from _hourly_in_halves(f"{schedule.minute or 0} * * * *", schedule.timezone)
    else:
        yield from (_at(moment, days) for days in _days(schedule) for moment in _of(schedule, days, times.fixed))
    if schedule.on_holiday in ("next", "previous"):
        yield from (_at(moment, "* * *") for moment in times.fixed)
        for minute in times.minutes:
            yield from _hourly_in_halves(f"{minute} * * * *", schedule.timezone)


def _of(schedule: ScheduleSpec, days: str, times: Iterable[time]) -> list[time]:
    """The times of these days: each date of `at` has its own."""
    if not schedule.at:
        return list(times)
    return [moment.time() for moment in schedule.at if _date(moment) == days]


def _days(schedule: ScheduleSpec) -> list[str]:
    """Day, month and weekday of expressions."""
    if schedule.at:
        return list(dict.fromkeys(_date(moment) for moment in schedule.at))
    if schedule.every == "week":
        return [f"* * {','.join(str(_CRON_DAYS[day]) for day in schedule.weekday or ())}"]
    if schedule.day is None:
        return ["* * *"]
    quarterly = schedule.every == "quarter"
    if schedule.day == "last":
        return [f"L {_QUARTER_ENDS if quarterly else '*'} *"]
    days = str(schedule.day) if schedule.day <= 28 else f"28-{schedule.day}"  # shorter months have their last day
    return [f"{days} {_QUARTER_BEGINS if quarterly else '*'} *"]


def _date(moment: date) -> str:
    return f"{moment.day} {moment.month} *"


def _at(moment: time, days: str) -> str:
    return f"{moment.minute} {moment.hour} {days}"


def _hourly_in_halves(expression: str, timezone: str) -> Iterator[str]:
    """The expression; an hourly one in two halves of a year where a change of the clocks moves minutes.

    Dagster counts ticks of whole years from hour to hour in real time, so they would move with the clocks.
    """
    cron = parse_cron(expression)
    if not _is_every_hour(cron) or not shifts_by_part_of_an_hour(timezone):
        yield expression
        return
    yield from (f"{','.join(map(str, cron.minutes))} * * {months} *" for months in _HALVES)


def _is_every_hour(cron: Cron) -> bool:
    return cron.hourly and cron.days is None and cron.weekdays is None and not cron.nth and len(cron.months) == 12


def _touches(change: Change, moment: time) -> bool:
    """Whether the time of day is skipped or repeated by the change, which takes less than a day."""
    begin, end = change.span
    if begin.date() == end.date():
        return begin.time() <= moment < end.time()
    return moment >= begin.time() or moment < end.time()
