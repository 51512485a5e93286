"""What is likely not meant: double ticks, crowds, rare times, changes of the clocks, schedules without exports."""

from __future__ import annotations

from calendar import month_name, monthrange
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from export_pipelines.spec.clock import instant
from export_pipelines.spec.cron import parse_cron
from export_pipelines.spec.nominal import times_of_day
from export_pipelines.spec.schedules import ScheduleSpec
from export_pipelines.spec.workdays import Calendar
from export_pipelines.text import counted
from export_pipelines.timing.changes import Change, changes
from export_pipelines.timing.crowds import crowds
from export_pipelines.timing.findings import Conflict
from export_pipelines.timing.fires import fires
from export_pipelines.timing.precedence import in_vain
from export_pipelines.timing.ticks import Timing
from export_pipelines.timing.upcoming import upcoming

_YEAR = timedelta(days=366)
_TICKS = 400
_COMMON_YEAR = 2026


def conflicts(
    timings: Sequence[Timing], schedules: Mapping[str, ScheduleSpec], now: datetime, *, crowd: int
) -> Iterator[Conflict]:
    """The findings, by kind. `crowd` exports may be due within five minutes on one connection."""
    used = {timing.schedule_name: timing for timing in timings}
    for name, timing in used.items():
        yield from _twice(name, timing.schedule, now)
    for timing in timings:
        yield from _repeated(timing, now)
    yield from in_vain(timings, now)
    yield from crowds(timings, now, most=crowd)
    for name, schedule in sorted(schedules.items()):
        yield from _rare(name, schedule)
        yield from _never(name, schedule, used.get(name), now)
        yield from _clock(name, schedule, now)
    for name in sorted({*schedules} - {*used}):
        yield Conflict("unused", [name], f"{name}: no export uses it", "Name it in an export, or delete it")


def _twice(name: str, schedule: ScheduleSpec, now: datetime) -> Iterator[Conflict]:
    """Two crons of one list that tick at the same time."""
    crons = schedule.cron or ()
    for position, first in enumerate(crons):
        for second in crons[position + 1 :]:
            alone = [schedule.model_copy(update={"cron": (cron,)}) for cron in (first, second)]
            both = _common(alone[0], alone[1], now)
            if both:
                text = f"{name}: `{first}` and `{second}` both tick at {both[0]:%Y-%m-%d %H:%M %Z}"
                often = f", and {len(both) - 1:,} more times within a year" if both[1:] else ""
                advice = "It is one tick, so nothing is made twice; still, one of them says too much"
                yield Conflict("twice", [name], text + often, advice, at=both[0])


def _common(first: ScheduleSpec, second: ScheduleSpec, now: datetime) -> list[datetime]:
    ticks = [
        {fire.instant.timestamp(): fire.instant for fire in takewhile(lambda f: f.instant < now + _YEAR, found)}
        for found in (fires(first, None, now), fires(second, None, now))
    ]
    return [ticks[0][key] for key in sorted(ticks[0].keys() & ticks[1].keys())]


def _repeated(timing: Timing, now: datetime) -> Iterator[Conflict]:
    """Ticks that ask for a partition that an earlier one has asked for."""
    near = takewhile(lambda tick: tick.tick < now + _YEAR, islice(upcoming(timing, now), _TICKS))
    asked = [tick for tick in near if tick.partition is not None]
    often = Counter(tick.partition for tick in asked)
    most = max(often.values(), default=0)
    if most > 1:
        tick = next(tick for tick in asked if often[tick.partition] == most)
        kind = timing.partitioning.kind
        message = f"{timing.name}: {most} ticks ask for the same {kind} partition, for example {tick.partition}"
        advice = "Each makes the files anew. Tick once for each partition, or choose shorter partitions"
        names = [export.name for export in timing.exports]
        yield Conflict("repeated", [timing.schedule_name], message, advice, names, tick.tick)


def _rare(name: str, schedule: ScheduleSpec) -> Iterator[Conflict]:
    """Crons on days that some months do not have."""
    for expression in schedule.cron or ():
        cron = parse_cron(expression)
        if cron.days is None or cron.last_day or cron.weekdays is not None:
            continue
        short = [m for m in sorted(cron.months) if min(cron.days) > monthrange(_COMMON_YEAR, m)[1]]
        if not short:
            continue
        if len(short) == len(cron.months):
            message = f"{name}: `{expression}` ticks in leap years only"
            yield Conflict("rare", [name], message, "For every February, write 28, or `L` for its last day")
            continue
        message = f"{name}: `{expression}` does not tick in {_months(short)}, too short for day {min(cron.days)}"
        yield Conflict(
            "rare", [name], message, "For the last day of every month, write `L`, or `every: month`, `day: last`"
        )


def _months(numbers: Sequence[int]) -> str:
    *head, last = [month_name[number] for number in numbers]
    return f"{', '.join(head)} and {last}" if head else last


def _never(name: str, schedule: ScheduleSpec, timing: Timing | None, now: datetime) -> Iterator[Conflict]:
    """Schedules that have ended, and those of which every tick for years falls on days off."""
    spec = timing.exports[0].calendar if timing else None
    ticks = list(islice(fires(schedule, Calendar(spec) if spec else None, now), _TICKS))
    if not ticks:
        ended = f"ended on {schedule.end}" if schedule.end else "lies in the past"
        message = f"{name}: {ended}" if schedule.at or schedule.end else f"{name}: never ticks"
        yield Conflict("never", [name], message, "Delete it, or give it dates to come")
    elif all(fire.skipped for fire in ticks):
        message = f"{name}: the next {counted(len(ticks), 'tick')} are all skipped: {ticks[0].skipped}"
        yield Conflict("never", [name], message, "Choose other days, or `on_holiday: next`", at=ticks[0].instant)


def _clock(name: str, schedule: ScheduleSpec, now: datetime) -> Iterator[Conflict]:
    """Times of day that the next two changes of the clocks skip or repeat, on days with such ticks or not."""
    coming = list(islice(changes(schedule.timezone, now, now + 2 * _YEAR), 2))
    times = times_of_day(schedule).fixed
    touched = [(change, moment) for change in coming for moment in times if _touches(change, moment)]
    if not touched:
        return
    moments = sorted({moment for _, moment in touched})
    told = [_told(change, [moment for other, moment in touched if other is change], schedule) for change in coming]
    shown = ", ".join(f"{moment:%H:%M}" for moment in moments)
    message = f"{name}: {shown} in {schedule.timezone} is {'; '.join(told)}"
    first = min(change.span[0].time() for change, _ in touched)
    advice = f"Nothing is lost. To be rid of it, tick before {first:%H:%M} or from {_last(touched):%H:%M} on"
    yield Conflict("clock", [name], message, advice, at=touched[0][0].at)


def _touches(change: Change, moment: time) -> bool:
    begin, end = change.span
    return begin <= datetime.combine(begin.date(), moment) < end or begin <= datetime.combine(end.date(), moment) < end


def _last(touched: Iterable[tuple[Change, time]]) -> time:
    return max(change.span[1] for change, _ in touched).time()


def _told(change: Change, moments: Sequence[time], schedule: ScheduleSpec) -> str:
    day = change.span[0].date()
    if not moments:
        return f"not on {day}"
    if not change.skips:
        return f"repeated on {day}, when it ticks the second time"
    jump = instant(datetime.combine(day, moments[0]), ZoneInfo(schedule.timezone))
    return f"skipped by the clocks on {day}, when it ticks at {jump:%H:%M}"
