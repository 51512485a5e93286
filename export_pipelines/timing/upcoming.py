"""The next ticks of a timing, or its last ones, and what each asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from export_pipelines.timing.calendars import Calendar
from export_pipelines.timing.fires import Fire, fires, fires_before
from export_pipelines.timing.ticks import Timing, partition_of, requests


@dataclass(frozen=True)
class Upcoming:
    """One tick and what it asks for."""

    tick: datetime
    """Aware, in the schedule's timezone."""

    partition: str | None
    """The partition that will be produced, or None if the tick is skipped."""

    skipped: str
    """Why the tick produces nothing, or ""."""

    day_off: str
    """What makes the tick's local date a day off in the schedule's calendar, or ""; it may run in spite of that. For a
    tick that was moved, what makes the date a day off from which it was moved."""

    meant: str | None = None
    """The partition of the tick even if it is skipped; None only before the first one."""

    moved_from: datetime | None = None
    """Where the tick would be without the holiday that has moved it; aware, in the schedule's timezone."""


def upcoming(timing: Timing, after: datetime) -> Iterator[Upcoming]:
    """The ticks strictly after `after` (aware), ascending; endless, unless the schedule ends."""
    calendar = _calendar(timing)
    for fire in fires(timing.schedule, calendar, after, partition=timing.partitioning.kind):
        yield _asked(timing, fire, calendar)


def past(timing: Timing, before: datetime) -> Iterator[Upcoming]:
    """The ticks strictly before `before` (aware) of the last ten years, descending."""
    calendar = _calendar(timing)
    for fire in fires_before(timing.schedule, calendar, before, partition=timing.partitioning.kind):
        yield _asked(timing, fire, calendar)


def _calendar(timing: Timing) -> Calendar | None:
    spec = timing.exports[0].calendar
    return Calendar(spec) if spec else None


def _asked(timing: Timing, fire: Fire, calendar: Calendar | None) -> Upcoming:
    planned = requests(timing, fire)
    day_off = calendar.day_off(fire.nominal.date()) if calendar else ""
    return Upcoming(
        tick=fire.instant,
        partition=None if isinstance(planned, str) else planned[0].partition,
        skipped=planned if isinstance(planned, str) else "",
        day_off=day_off,
        meant=partition_of(timing, fire),
        moved_from=fire.nominal if fire.moved else None,
    )
