"""Schedules and calendars: when exports run."""

from __future__ import annotations

from datetime import date
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import Discriminator, Field, Tag, WithJsonSchema, field_validator

from export_pipelines.spec.base import NAME_PATTERN, SpecModel
from export_pipelines.spec.cron import check_cron

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
PartitionKind = Literal["hourly", "daily", "weekly", "monthly"]

PRESETS = {"hourly": "5 * * * *", "daily": "0 2 * * *", "weekly": "0 3 * * 1", "monthly": "0 4 1 * *"}
"""Names of common timings -> cron, in UTC."""

TAKEN = frozenset({"deadlines", "dead_runs", "notifications", "observer", "pool_limits", "retention", "verify"})
"""Names of the project's own sensors and schedules: Dagster has one namespace for all of them."""


class CalendarSpec(SpecModel):
    """Working days: a weekend, the holidays of a country, and days of one's own."""

    country: str | None = Field(None, description="ISO 3166 country code of the holidays.", examples=["DE"])
    subdivision: str | None = Field(None, description="State or region code.", examples=["BE"])
    weekend: frozenset[Weekday] = Field(
        frozenset({"sat", "sun"}), description="Days of the week without work.", examples=[["fri", "sat"]]
    )
    extra_holidays: frozenset[date] = Field(
        frozenset(), description="Further days without work.", examples=[["2026-12-24"]]
    )
    extra_workdays: frozenset[date] = Field(
        frozenset(), description="Days of work in spite of weekend or holiday.", examples=[["2026-12-27"]]
    )


def check_timezone(name: str) -> str:
    """The name, if it is an IANA timezone. Raises ValueError with the nearest known one otherwise."""
    if name not in _timezones():
        near = get_close_matches(name, _timezones(), n=1)
        advice = f"did you mean {near[0]!r}?" if near else "use an IANA name such as Europe/Berlin"
        raise ValueError(f"unknown timezone {name!r}; {advice}")
    return name


@cache
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


class ScheduleSpec(SpecModel):
    """A named timing that any number of exports share; becomes one Dagster schedule and job."""

    cron: str = Field(description="Cron expression of five fields, in `timezone`.", examples=["0 2 * * *"])
    timezone: str = Field("UTC", description="IANA timezone of ticks and partitions.", examples=["Europe/Berlin"])
    calendar: str | None = Field(None, description="Calendar that says which days are worked.", examples=["de-bank"])
    on_holiday: Literal["skip", "run"] = Field(
        "skip", description="What a tick on a day without work does.", examples=["run"]
    )
    deadline_minutes: float | None = Field(
        None,
        gt=0,
        description="Minutes after a tick by which its partition must be published; afterwards the export is late.",
        examples=[90],
    )
    batch_size: int = Field(50, ge=1, le=1000, description="Exports per run, at most.", examples=[20])
    description: str = Field("", description="Shown in the Dagster UI.", examples=["Every night before the bank opens"])

    @field_validator("cron")
    @classmethod
    def _valid_cron(cls, value: str) -> str:
        return check_cron(value)

    @field_validator("timezone")
    @classmethod
    def _valid_timezone(cls, value: str) -> str:
        return check_timezone(value)


_NAME_SCHEMA = {"anyOf": [{"enum": list(PRESETS)}, {"type": "string", "pattern": NAME_PATTERN}]}


def _kind_of_reference(value: object) -> str:
    return "name" if isinstance(value, str) else "timing"


ScheduleRef = Annotated[
    Annotated[ScheduleSpec, Tag("timing")] | Annotated[str, Tag("name"), WithJsonSchema(_NAME_SCHEMA)],
    Discriminator(_kind_of_reference),
]
"""The name of a schedule, a preset (hourly, daily, weekly, monthly), or a timing written in place."""
