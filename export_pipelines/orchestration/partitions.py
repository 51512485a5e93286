"""Partitionings as Dagster's partition definitions."""

from __future__ import annotations

from functools import cache

import dagster as dg

from export_pipelines.timing.partitions import FORMATS
from export_pipelines.timing.ticks import Partitioning

_MONDAY = 1
_CRONS = {"minutely": "* * * * *", "quarterly": "0 0 1 1,4,7,10 *", "yearly": "0 0 1 1 *"}
"""Kinds for which Dagster has no class of its own."""


@cache
def partitions_def(partitioning: Partitioning) -> dg.TimeWindowPartitionsDefinition:
    """The definition whose keys and windows are those of `timing.partitions`."""
    start, timezone = partitioning.start.isoformat(), partitioning.timezone
    if cron := _CRONS.get(partitioning.kind):
        fmt = FORMATS[partitioning.kind]
        return dg.TimeWindowPartitionsDefinition(
            cron_schedule=cron, start=partitioning.start.strftime(fmt), fmt=fmt, timezone=timezone
        )
    if partitioning.kind == "hourly":
        return dg.HourlyPartitionsDefinition(start_date=f"{start}-00:00", timezone=timezone)
    if partitioning.kind == "weekly":
        return dg.WeeklyPartitionsDefinition(start_date=start, timezone=timezone, day_offset=_MONDAY)
    if partitioning.kind == "monthly":
        return dg.MonthlyPartitionsDefinition(start_date=start, timezone=timezone)
    return dg.DailyPartitionsDefinition(start_date=start, timezone=timezone)
