"""Quiet hours: until when a notification waits."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from export_pipelines.spec.recipients import Level, QuietHours


def after_quiet_hours(hours: QuietHours | None, level: Level, instant: datetime) -> datetime:
    """The instant (aware), or the end of the quiet hours in which it lies."""
    if hours is None or level not in hours.levels:
        return instant
    local = instant.astimezone(ZoneInfo(hours.timezone))
    clock = local.time()
    overnight = hours.start > hours.end
    if not (hours.start <= clock or clock < hours.end if overnight else hours.start <= clock < hours.end):
        return instant
    day = local.date() + timedelta(days=1 if overnight and clock >= hours.start else 0)
    return datetime.combine(day, hours.end, local.tzinfo)
