"""The longest time between two runs of a schedule."""

from datetime import UTC, datetime, timedelta

import pytest

from export_pipelines.spec.schedules import CalendarSpec, ScheduleSpec
from export_pipelines.timing.gaps import largest_gap

OFFICE = CalendarSpec()
GERMANY = CalendarSpec(country="DE")
NEVER = CalendarSpec(weekend=frozenset({"mon", "tue", "wed", "thu", "fri", "sat", "sun"}))
NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "timezone", "calendar", "gap"),
    [
        ("0 2 * * *", "UTC", None, timedelta(days=1)),
        ("0 2 * * 1-5", "UTC", None, timedelta(days=3)),
        ("0 2 * * *", "UTC", OFFICE, timedelta(days=3)),
        ("0 4 1 * *", "UTC", None, timedelta(days=31)),
        ("*/5 * * * *", "UTC", None, timedelta(minutes=5)),
        ("*/5 * * * *", "UTC", OFFICE, timedelta(days=2, minutes=5)),
        ("0 8,18 * * *", "UTC", OFFICE, timedelta(days=2, hours=14)),
        ("0 0 29 2 *", "UTC", None, timedelta(days=4 * 365 + 1)),
        # Good Friday to Easter Monday; the clocks go forward on the Sunday before
        ("0 2 * * *", "Europe/Berlin", GERMANY, timedelta(days=4, hours=23)),
        ("0 2 * * *", "Europe/Berlin", NEVER, None),
        ("* * * * *", "Europe/Berlin", NEVER, None),
    ],
)
def test_the_largest_gap(cron: str, timezone: str, calendar: CalendarSpec | None, gap: timedelta | None) -> None:
    assert largest_gap(ScheduleSpec(cron=(cron,), timezone=timezone), calendar, after=NOW) == gap


def test_the_day_with_25_hours_counts_in_real_time() -> None:
    before = datetime(2026, 10, 20, tzinfo=UTC)
    assert largest_gap(ScheduleSpec(cron=("0 12 * * *",), timezone="Europe/Berlin"), None, after=before) == timedelta(
        hours=25
    )


def test_ticks_on_days_off_count_if_they_run() -> None:
    schedule = ScheduleSpec(cron=("0 2 * * *",), on_holiday="run")
    assert largest_gap(schedule, OFFICE, after=NOW) == timedelta(days=1)
