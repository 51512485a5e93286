"""Schedules against what surrounds them: the least interval, the calendar, how many partitions there would be."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from export_pipelines.spec.entries import Entry
from export_pipelines.spec.intervals import too_close
from export_pipelines.spec.nominal import nominal_days
from export_pipelines.spec.problems import SpecPath
from export_pipelines.spec.schedules import CalendarSpec, ScheduleSpec
from export_pipelines.spec.workdays import Calendar

MOST_PARTITIONS = 100_000
"""Partitions of an asset beyond which Dagster becomes slow."""

_PER_DAY = {
    "minutely": 24 * 60, "hourly": 24, "daily": 1, "weekly": 1 / 7, "monthly": 1 / 31, "quarterly": 1 / 92,
    "yearly": 1 / 366,
}  # fmt: skip


def check_interval(entry: Entry, schedule: ScheduleSpec, *, path: SpecPath, minutes: float) -> None:
    """Report two ticks that are closer than so many minutes."""
    pair = too_close(schedule, minutes)
    if pair is not None:
        early, late = pair
        apart = (late - early).total_seconds() / 60
        shown = f"{late:%H:%M}" if late.date() == early.date() else f"{late:%Y-%m-%d %H:%M}"
        entry.report(
            (*path, _key(schedule)),
            f"ticks at {early:%Y-%m-%d %H:%M} and {shown}, {apart:g} minutes apart; leave {minutes:g} between any two, "
            "or set EXPORT_MIN_INTERVAL_MINUTES",
        )


def check_days(entry: Entry, schedule: ScheduleSpec, *, path: SpecPath, calendar: CalendarSpec | None) -> None:
    """Report dates of `at` on which nothing would run, and a `start` and `end` between which there is no tick."""
    days = Calendar(calendar) if calendar else None
    for moment in schedule.at or () if days and schedule.on_holiday == "skip" else ():
        if reason := days.day_off(moment.date()) if days else "":
            message = f"{moment:%Y-%m-%d %H:%M} is no working day ({reason}), so nothing would run"
            entry.report((*path, "at"), f"{message}; choose another day, or `on_holiday: next`")
    if schedule.start and schedule.end and not any(True for _ in nominal_days(schedule, schedule.start, calendar=days)):
        entry.report((*path, "end"), f"there is no tick from {schedule.start} to {schedule.end}: {schedule.rhythm}")


def check_partitions(entry: Entry, raw: dict[str, Any], *, now: datetime) -> None:
    """Report a `start` that makes more partitions than Dagster handles."""
    kind, start = raw.get("partition", "daily"), getattr(entry.value, "start", None)
    if not isinstance(start, date) or kind not in _PER_DAY:
        return
    number = int((now.date() - start).days * _PER_DAY[kind])
    if number > MOST_PARTITIONS:
        earliest = date.fromordinal(now.date().toordinal() - int(MOST_PARTITIONS / _PER_DAY[kind]) + 1)
        entry.report(
            ("start",),
            f"{start} makes {number:,} {kind} partitions by now, and Dagster allows {MOST_PARTITIONS:,}; "
            f"set `start` to {earliest} or later, or choose longer partitions",
        )


def _key(schedule: ScheduleSpec) -> str:
    if schedule.every:
        return "time" if schedule.time else "every"
    return "cron" if schedule.cron else "at"
