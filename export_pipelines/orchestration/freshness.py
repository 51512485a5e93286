"""When Dagster shows an export as overdue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import dagster as dg

from export_pipelines.spec.resolved import ResolvedExport
from export_pipelines.spec.schedules import CalendarSpec, ScheduleSpec
from export_pipelines.timing.gaps import largest_gap


def freshness_policy(export: ResolvedExport) -> dg.FreshnessPolicy | None:
    """Overdue is what was not published for the longest pause of its schedule and its deadline.

    None for exports without a deadline, for those with `on_empty: skip` or `only_if`, which may well publish nothing,
    and for those whose schedule comes to an end.
    """
    schedule = export.schedule
    if schedule is None or schedule.deadline_minutes is None:
        return None
    if export.spec.on_empty == "skip" or export.spec.only_if is not None:
        return None
    gap = _gap(schedule, export.calendar, export.spec.partition)
    if gap is None:
        return None
    return dg.FreshnessPolicy.time_window(fail_window=gap + timedelta(minutes=schedule.deadline_minutes))


@cache
def _gap(schedule: ScheduleSpec, calendar: CalendarSpec | None, partition: str) -> timedelta | None:
    """Exports that share a schedule share the answer, which changes little while a process lives."""
    return largest_gap(schedule, calendar, after=datetime.now(UTC), partition=partition)
