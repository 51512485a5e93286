"""Working days: weekends, the holidays of a country, days of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from export_pipelines.spec.repeated import WEEK
from export_pipelines.spec.schedules import CalendarSpec

FARTHEST = 31
"""Days that a tick is moved at most to find a working day."""


@dataclass(frozen=True)
class Calendar:
    """Tells working days from days off, by the spec of one calendar."""

    spec: CalendarSpec

    def day_off(self, day: date) -> str:
        """Why there is no work on that day, or "" if there is."""
        if day in self.spec.extra_workdays:
            return ""
        if day in self.spec.extra_holidays:
            return "a day off of this calendar"
        if WEEK[day.weekday()] in self.spec.weekend:
            return f"{day:%A}"
        return self.holiday(day)

    def holiday(self, day: date) -> str:
        """The name of the country's holiday on that day, or ""."""
        if self.spec.country is None:
            return ""
        return _holidays(self.spec.country, self.spec.subdivision, day.year).get(day, "")

    def is_weekend(self, day: date) -> bool:
        """Whether the day belongs to the weekend and is not worked."""
        return WEEK[day.weekday()] in self.spec.weekend and day not in self.spec.extra_workdays

    def workdays(self, first: date, last: date) -> Sequence[date]:
        """The working days from `first` to `last`, both included."""
        days = (first + timedelta(days=n) for n in range((last - first).days + 1))
        return [day for day in days if not self.day_off(day)]

    def nearest(self, day: date, step: int) -> date | None:
        """The first working day after the day, or with a step of -1 before it; None if it is farther than a month."""
        for distance in range(1, FARTHEST + 1):
            other = day + timedelta(days=step * distance)
            if not self.day_off(other):
                return other
        return None


@cache
def _holidays(country: str, subdivision: str | None, year: int) -> dict[date, str]:
    """Day -> name of the holiday."""
    import holidays  # costs 0.2 s, and few schedules have a calendar

    return dict(holidays.country_holidays(country, subdiv=subdivision, years=year, language="en_US"))


WEEKDAYS = Calendar(CalendarSpec())
"""Monday to Friday, without holidays: the working days of schedules without a calendar."""
