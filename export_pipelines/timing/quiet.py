"""Whether a timing ticks within some minutes; asked of every timing every few seconds, nearly always in vain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from export_pipelines.spec.schedules import CalendarSpec, ScheduleSpec
from export_pipelines.spec.workdays import Calendar
from export_pipelines.timing.fires import fires
from export_pipelines.timing.ticks import Timing

_HOUR = timedelta(hours=1)
_LONGEST = timedelta(hours=2)


def is_quiet(timing: Timing, after: datetime, until: datetime) -> bool:
    """Whether there is no tick after `after` and up to `until` (both aware). False for spans that are long."""
    if until - after > _LONGEST:
        return False
    hour = after.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour <= until:
        ticks = _ticks(timing.schedule, timing.exports[0].calendar, timing.partitioning.kind, hour)
        if any(after < tick <= until for tick in ticks):
            return False
        hour += _HOUR
    return True


@lru_cache(maxsize=10_000)
def _ticks(schedule: ScheduleSpec, calendar: CalendarSpec | None, kind: str, hour: datetime) -> tuple[datetime, ...]:
    """The ticks in UTC of the hour that begins then; timings that are equal share the answer."""
    found = []
    days = Calendar(calendar) if calendar else None
    for fire in fires(schedule, days, hour - timedelta(microseconds=1), partition=kind):
        if fire.instant.timestamp() >= (hour + _HOUR).timestamp():
            break
        found.append(fire.instant.astimezone(UTC))
    return tuple(found)
