"""The next ticks of a timing and what each will ask for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from export_pipelines.timing.calendars import Calendar
from export_pipelines.timing.cron import next_ticks
from export_pipelines.timing.ticks import Timing, batches


@dataclass(frozen=True)
class Upcoming:
    """One tick to come."""

    tick: datetime
    """Aware, in the schedule's timezone."""

    partition: str | None
    """The partition that will be produced, or None if the tick is skipped."""

    skipped: str
    """Why the tick produces nothing, or ""."""

    day_off: str
    """What makes the tick's local date a day off in the schedule's calendar, or ""; it may run in spite of that."""


def upcoming(timing: Timing, after: datetime) -> Iterator[Upcoming]:
    """The ticks strictly after `after` (aware), ascending, endless."""
    spec = timing.exports[0].calendar
    calendar = Calendar(spec) if spec else None
    timezone = ZoneInfo(timing.schedule.timezone)
    for tick in next_ticks(timing.schedule.cron, timing.schedule.timezone, after):
        planned = batches(timing, tick, calendar=calendar)
        day_off = calendar.day_off(tick.astimezone(timezone).date()) if calendar else ""
        if isinstance(planned, str):
            yield Upcoming(tick, None, planned, day_off)
        else:
            yield Upcoming(tick, planned[0].partition, "", day_off)
