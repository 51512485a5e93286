"""Working days: weekends, the holidays of a country, days of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import get_args

from export_pipelines.spec.schedules import CalendarSpec, Weekday

_DAYS: tuple[str, ...] = get_args(Weekday)


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
        if _DAYS[day.weekday()] in self.spec.weekend:
            return f"{day:%A}"
        return self._holiday(day)

    def _holiday(self, day: date) -> str:
        if self.spec.country is None:
            return ""
        return _holidays(self.spec.country, self.spec.subdivision, day.year).get(day, "")


@cache
def _holidays(country: str, subdivision: str | None, year: int) -> dict[date, str]:
    """Day -> name of the holiday."""
    import holidays  # costs 0.2 s, and few schedules have a calendar

    return dict(holidays.country_holidays(country, subdiv=subdivision, years=year, language="en_US"))
