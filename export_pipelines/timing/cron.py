"""When cron expressions tick."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from export_pipelines.spec.schedules import ScheduleSpec
from export_pipelines.timing.fires import fires


def next_ticks(expression: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Ticks strictly after `after` (aware), ascending, aware in `timezone`; endless."""
    schedule = ScheduleSpec(cron=(expression,), timezone=timezone)
    return (fire.instant for fire in fires(schedule, None, after))
