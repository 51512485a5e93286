"""When schedules tick. There is no other place that knows: ticks, previews, gaps and deadlines all ask here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, pairwise
from zoneinfo import ZoneInfo

from export_pipelines.spec.clock import instant, shown
from export_pipelines.spec.nominal import DayTimes, nominal_days
from export_pipelines.spec.schedules import ScheduleSpec
from export_pipelines.spec.workdays import FARTHEST, Calendar
from export_pipelines.timing.partitions import first_day

_DAY = timedelta(days=1)
_SPANS = (4, 40, 400, 10 * 366)
"""Days to look back for earlier ticks: first a few, then more."""


@dataclass(frozen=True)
class Fire:
    """One tick; both times are aware, in the schedule's timezone."""

    instant: datetime
    nominal: datetime
    """Where it would be without holidays; equal to `instant` unless one has moved it."""

    skipped: str = ""
    """Why it does nothing, or ""."""

    @property
    def moved(self) -> bool:
        """Whether a holiday has moved it."""
        return self.instant.date() != self.nominal.date() and self.instant.timestamp() != self.nominal.timestamp()


@dataclass(frozen=True)
class FireDay:
    """The ticks of one day. `times` are those that were meant on the day `nominal`."""

    day: date
    skipped: str
    meant: tuple[tuple[date, DayTimes], ...]
    zone: ZoneInfo = field(repr=False)

    def fires(self) -> list[Fire]:
        """The ticks, ascending; several that fall on one instant are one: that of the day itself, or the latest."""
        found: dict[float, Fire] = {}
        for nominal, times in sorted(self.meant, key=lambda entry: (entry[0] == self.day, entry[0])):
            for moment in instants(self.day, times, self.zone):
                found[moment.timestamp()] = Fire(moment, self._nominal(moment, nominal), self.skipped)
        return [fire for _, fire in sorted(found.items())]

    def _nominal(self, moment: datetime, day: date) -> datetime:
        local = datetime.combine(day, moment.time())
        return moment if day == self.day else instant(local, self.zone)


def instants(day: date, times: DayTimes, zone: ZoneInfo) -> Iterator[datetime]:
    """The instants (aware, in the zone) of a day's times.

    A fixed time that clocks skip is the moment after the change, and one that they repeat the second one, as in
    Dagster. Hourly ones come in every hour that the day really has: in both of two equal ones, in none that is skipped.
    """
    for moment in times.fixed:
        yield instant(datetime.combine(day, moment), zone)
    for hour in range(24) if times.minutes else ():
        for minute in times.minutes:
            yield from shown(datetime.combine(day, time(hour, minute)), zone)


def fires(schedule: ScheduleSpec, calendar: Calendar | None, after: datetime, *, partition: str = "") -> Iterator[Fire]:
    """The ticks strictly after `after` (aware), ascending; endless only where the schedule is.

    `partition` is the kind of partitions that are asked for: `on_holiday: previous` moves no tick to a day on which its
    partition is not complete, but to the next working day.
    """
    last = after.timestamp()
    for day in fire_days(schedule, calendar, after, partition=partition):
        for fire in day.fires():
            if fire.instant.timestamp() > last:
                last = fire.instant.timestamp()
                yield fire


def fire_days(
    schedule: ScheduleSpec, calendar: Calendar | None, after: datetime, *, partition: str = ""
) -> Iterator[FireDay]:
    """The days with ticks, from that of `after` (aware) on or some days earlier; ascending."""
    zone = ZoneInfo(schedule.timezone)
    first = after.astimezone(zone).date() - _DAY
    while calendar and _moves(schedule) and calendar.day_off(first - _DAY) and (after.date() - first).days < FARTHEST:
        first -= _DAY  # what these days have moved may fall on the first one
    placed = (
        (*_place(schedule, calendar, day, partition), day, times)
        for day, times in nominal_days(schedule, first, calendar=calendar)
    )
    for (day, skipped), group in groupby(placed, key=lambda entry: entry[:2]):
        meant = tuple((nominal, times) for _, _, nominal, times in group)
        yield from _superseded(meant, day, calendar, zone)
        yield FireDay(day, skipped, meant, zone)


def _superseded(
    meant: tuple[tuple[date, DayTimes], ...], day: date, calendar: Calendar | None, zone: ZoneInfo
) -> Iterator[FireDay]:
    """Ticks that would be moved to the day and fall together there with later ones, which stand for them."""
    for (early, times), (_, others) in pairwise(meant):
        same = DayTimes(
            tuple(moment for moment in times.fixed if moment in others.fixed),
            tuple(minute for minute in times.minutes if minute in others.minutes),
        )
        if early < day and (same.fixed or same.minutes):
            reason = calendar.day_off(early) if calendar else ""
            skipped = f"{early} is no working day: {reason}; the tick of {day} stands for it"
            yield FireDay(early, skipped, ((early, same),), zone)


def fire_at(schedule: ScheduleSpec, calendar: Calendar | None, tick: datetime, *, partition: str = "") -> Fire | None:
    """The tick at exactly that instant (aware), or None if there is none."""
    before = tick.astimezone(UTC) - timedelta(seconds=1)  # a local time minus a second may not exist
    fire = next(fires(schedule, calendar, before, partition=partition), None)
    return fire if fire and fire.instant.timestamp() == tick.timestamp() else None


def fires_before(
    schedule: ScheduleSpec, calendar: Calendar | None, before: datetime, *, partition: str = ""
) -> Iterator[Fire]:
    """The ticks strictly before `before` (aware) of the last ten years, descending."""
    end = before.astimezone(UTC)
    for days in _SPANS:
        begin = before.astimezone(UTC) - timedelta(days=days)
        found = []
        for fire in fires(schedule, calendar, begin - timedelta(seconds=1), partition=partition):
            if fire.instant.timestamp() >= end.timestamp():
                break
            found.append(fire)
        yield from reversed(found)
        end = begin


def why_not(schedule: ScheduleSpec, calendar: Calendar | None, tick: datetime) -> str:
    """Why nothing is due at an instant (aware) that is no tick of the schedule."""
    day = tick.astimezone(ZoneInfo(schedule.timezone)).date()
    if schedule.start and day < schedule.start:
        return f"the schedule begins on {schedule.start}"
    if schedule.end and day > schedule.end:
        return f"the schedule ended on {schedule.end}"
    if reason := calendar.day_off(day) if calendar else "":
        return f"{day} is no working day: {reason}" + ("; its tick is moved" if _moves(schedule) else "")
    return f"no tick falls on this time: {schedule.rhythm}"


def _moves(schedule: ScheduleSpec) -> bool:
    return schedule.on_holiday in ("next", "previous")


def _place(schedule: ScheduleSpec, calendar: Calendar | None, day: date, partition: str) -> tuple[date, str]:
    """On which day the ticks of a nominal day come, and why they do nothing, or ""."""
    reason = calendar.day_off(day) if calendar else ""
    if calendar is None or not reason or schedule.on_holiday == "run":
        return day, ""
    if not _moves(schedule):
        return day, f"{day} is no working day: {reason}"
    target = None
    if schedule.on_holiday == "previous":
        target = calendar.nearest(day, -1)
        if target and partition and first_day(partition, day) > target:
            target = None  # the partition that ends in between would not be complete
    target = target or calendar.nearest(day, 1)
    if target is None:
        return day, f"{day} is no working day: {reason}, and none is within {FARTHEST} days"
    return target, ""
