"""The next ticks of a timing, or its last ones, and what each asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from export_pipelines.spec.workdays import Calendar
from export_pipelines.timing.fires import Fire, fire_at, fires, fires_before, why_not
from export_pipelines.timing.ticks import Timing, complete, first_partition, partition_of


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
    calendar = timing.calendar
    for fire in fires(timing.schedule, calendar, after, partition=timing.partitioning.kind):
        yield _asked(timing, fire, calendar)


def past(timing: Timing, before: datetime) -> Iterator[Upcoming]:
    """The ticks strictly before `before` (aware) of the last ten years, descending."""
    calendar = timing.calendar
    for fire in fires_before(timing.schedule, calendar, before, partition=timing.partitioning.kind):
        yield _asked(timing, fire, calendar)


def asked_at(timing: Timing, tick: datetime) -> Upcoming:
    """What is asked for at `tick` (aware): a partition, or why nothing.

    Dagster may ask at more instants than those at which the schedule ticks; at the others nothing is asked for. A tick
    that a holiday has moved asks for what it would have asked for in its place.
    """
    calendar = timing.calendar
    fire = fire_at(timing.schedule, calendar, tick, partition=timing.partitioning.kind)
    if fire is None:
        return Upcoming(tick, None, why_not(timing.schedule, calendar, tick), "")
    return _asked(timing, fire, calendar)


def _asked(timing: Timing, fire: Fire, calendar: Calendar | None) -> Upcoming:
    meant, skipped = partition_of(timing, fire), fire.skipped
    if meant is None and not skipped:
        skipped = f"partition {complete(timing, fire)} lies before the first one, {first_partition(timing)}"
    return Upcoming(
        tick=fire.instant,
        partition=None if skipped else meant,
        skipped=skipped,
        day_off=calendar.day_off(fire.nominal.date()) if calendar else "",
        meant=meant,
        moved_from=fire.nominal if fire.moved else None,
    )
