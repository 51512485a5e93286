"""Schedules and calendars: when exports run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import ConfigDict, Discriminator, Field, Tag, WithJsonSchema, field_validator, model_validator

from export_pipelines.spec.base import NAME_PATTERN, SpecModel
from export_pipelines.spec.clock import exists, instant
from export_pipelines.spec.cron import check_cron
from export_pipelines.spec.repeated import Crons, Day, LocalTimes, Times, Weekday, Weekdays, Workday

__all__ = [
    "PRESETS",
    "TAKEN",
    "CalendarSpec",
    "PartitionKind",
    "ScheduleRef",
    "ScheduleSpec",
    "Weekday",
    "check_timezone",
]

PartitionKind = Literal["minutely", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly"]
Period = Literal["hour", "day", "week", "month", "quarter", "working day"]

PRESETS = {"hourly": "5 * * * *", "daily": "0 2 * * *", "weekly": "0 3 * * 1", "monthly": "0 4 1 * *"}
"""Names of common timings -> cron, in UTC."""

TAKEN = frozenset(
    {"catch_up", "deadlines", "dead_runs", "notifications", "observer", "pool_limits", "retention", "verify"}
)
"""Names of the project's own sensors and schedules: Dagster has one namespace for all of them."""

_KEYS: dict[str, tuple[str, ...]] = {
    "hour": ("minute",),
    "day": ("time",),
    "week": ("weekday", "time"),
    "month": ("day", "working_day", "time"),
    "quarter": ("day", "working_day", "time"),
    "working day": ("time",),
}
"""Period of `every` -> what says when in it."""

_EXAMPLES = {
    "time": '`time: "07:30"`',
    "weekday": "`weekday: mon`",
    "day": "`day: 1` or `working_day: last`",
}
_DETAILS = ("minute", "time", "weekday", "day", "working_day")


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
    """A named timing that any number of exports share; becomes one Dagster schedule and job. It has one of `cron`,
    `every` and `at`. All times are those of clocks in `timezone`."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [key]} for key in ("cron", "every", "at")]})

    cron: Crons | None = Field(
        None,
        description="Cron expression of five fields, or several: it ticks whenever one of them does.",
        examples=["0 2 * * *", ["0 2 * * 1-5", "0 6 * * sat"]],
    )
    every: Period | None = Field(
        None, description="Tick in each of these periods, at the `time` given beside it.", examples=["working day"]
    )
    at: LocalTimes | None = Field(
        None, description="Tick at these dates and times only.", examples=["2026-12-31 18:00"]
    )
    time: Times | None = Field(
        None, description="With `every`: the time of day, or several.", examples=["07:30", ["08:00", "18:00"]]
    )
    minute: int | None = Field(
        None, ge=0, le=59, description="With `every: hour`: minutes past the hour; 0 if not given.", examples=[5]
    )
    weekday: Weekdays | None = Field(
        None, description="With `every: week`: the day of the week, or several.", examples=["mon", ["tue", "fri"]]
    )
    day: Day | None = Field(
        None,
        description="With `every: month` or `quarter`: the day, 1 to 31 of the (first) month, or the `last` one. A "
        "month that is shorter has its last day instead.",
        examples=["last", 15],
    )
    working_day: Workday | None = Field(
        None,
        description="With `every: month` or `quarter`: its n-th working day, or counted from the end: `last`, -2. "
        "Where there are fewer, the last, or first, of them.",
        examples=["last", 3],
    )
    start: date | None = Field(None, description="First day with ticks.", examples=["2026-09-01"])
    end: date | None = Field(None, description="Last day with ticks.", examples=["2036-07-31"])
    timezone: str = Field("UTC", description="IANA timezone of ticks and partitions.", examples=["Europe/Berlin"])
    calendar: str | None = Field(None, description="Calendar that says which days are worked.", examples=["de-bank"])
    on_holiday: Literal["skip", "next", "previous", "run"] = Field(
        "skip",
        description="What a tick on a day without work does: nothing, come at the same time on the nearest working day "
        "after or before, or run all the same. `previous` becomes `next` where its partition would not be complete.",
        examples=["run"],
    )
    misfire: Literal["all", "latest", "skip"] = Field(
        "all",
        description="What becomes of ticks that nobody could make, because Dagster was down: all are made up for, only "
        "the latest, or none.",
        examples=["latest"],
    )
    deadline_minutes: float | None = Field(
        None,
        gt=0,
        description="Minutes after a tick by which its partition must be published; afterwards the export is late.",
        examples=[90],
    )
    batch_size: int = Field(
        250,
        ge=1,
        le=1000,
        description="Exports per run, at most; fewer where they took more than five minutes together last time.",
        examples=[20],
    )
    description: str = Field("", description="Shown in the Dagster UI.", examples=["Every night before the bank opens"])

    @field_validator("cron")
    @classmethod
    def _valid_crons(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if value is None else tuple(dict.fromkeys(check_cron(expression) for expression in value))

    @field_validator("timezone")
    @classmethod
    def _valid_timezone(cls, value: str) -> str:
        return check_timezone(value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for check in (_one_kind, _details, _holidays, _dates):
            if message := check(self):
                raise ValueError(message)
        return self

    @property
    def rhythm(self) -> str:
        """When it ticks, in a few words: the cron expressions, `every month on the last working day at 05:00`."""
        if self.cron:
            return ", ".join(self.cron)
        if self.at:
            return "at " + _listed([f"{moment:%Y-%m-%d %H:%M}" for moment in self.at])
        if self.every == "hour":
            return f"every hour at :{self.minute or 0:02}"
        where = f" on {_place(self)}" if self.every in ("week", "month", "quarter") else ""
        return f"every {self.every}{where} at {_listed([f'{moment:%H:%M}' for moment in self.time or ()])}"


def _listed(texts: Sequence[str]) -> str:
    *head, last = texts
    return f"{', '.join(head)} and {last}" if head else last


def _place(spec: ScheduleSpec) -> str:
    if spec.weekday is not None:
        return _listed(spec.weekday)
    if spec.day is not None:
        return "the last day" if spec.day == "last" else f"day {spec.day}"
    if spec.working_day in ("last", -1):
        return "the last working day"
    return f"working day {spec.working_day}"


def _one_kind(spec: ScheduleSpec) -> str:
    given = [key for key in ("cron", "every", "at") if getattr(spec, key) is not None]
    if not given:
        return 'says nothing about when; give `cron`, `every` or `at`, for example `cron: "0 2 * * *"`'
    return f"{given[1]}: cannot stand beside `{given[0]}`; give one of them" if given[1:] else ""


def _details(spec: ScheduleSpec) -> str:
    """What is wrong with the keys that belong to `every`."""
    given = [key for key in _DETAILS if getattr(spec, key) is not None]
    allowed = _KEYS[spec.every] if spec.every else ()
    for key in given:
        if key not in allowed:
            homes = [f"`every: {period}`" for period, keys in _KEYS.items() if key in keys]
            belongs = f"{key}: belongs to {'`every`' if len(homes) > 2 else _listed(homes)}"
            return belongs + (f", not to `every: {spec.every}`" if spec.every else f", not to `{_kind(spec)}`")
    needed = [key for key in allowed if key not in ("minute", "working_day") and key not in given]
    if "working_day" in given:
        if "day" in given:
            return "working_day: cannot stand beside `day`; give one of them"
        needed = [key for key in needed if key != "day"]
    if needed:
        return f"{needed[0]}: is required with `every: {spec.every}`, for example {_EXAMPLES[needed[0]]}"
    return ""


def _kind(spec: ScheduleSpec) -> str:
    return "cron" if spec.cron else "at"


def _holidays(spec: ScheduleSpec) -> str:
    if spec.on_holiday not in ("next", "previous"):
        return ""
    if spec.every == "working day" or spec.working_day is not None:
        return f"on_holiday: `{spec.on_holiday}` has nothing to move, because working days are no holidays; remove it"
    if spec.calendar is None:
        return f"on_holiday: `{spec.on_holiday}` needs `calendar`, which says what the holidays are"
    return ""


def _dates(spec: ScheduleSpec) -> str:
    if spec.start and spec.end and spec.end < spec.start:
        return f"end: {spec.end} is before `start`, {spec.start}"
    zone = ZoneInfo(spec.timezone)
    for moment in spec.at or ():
        if (spec.start and moment.date() < spec.start) or (spec.end and moment.date() > spec.end):
            return f"at: {moment:%Y-%m-%d %H:%M} does not lie between `start` and `end`"
        if not exists(moment, zone):
            jump = instant(moment, zone)
            return f"at: clocks in {spec.timezone} skip {moment:%Y-%m-%d %H:%M}; after the change it is {jump:%H:%M}"
    return ""


_NAME_SCHEMA = {"anyOf": [{"enum": list(PRESETS)}, {"type": "string", "pattern": NAME_PATTERN}]}


def _kind_of_reference(value: object) -> str:
    return "name" if isinstance(value, str) else "timing"


ScheduleRef = Annotated[
    Annotated[ScheduleSpec, Tag("timing")] | Annotated[str, Tag("name"), WithJsonSchema(_NAME_SCHEMA)],
    Discriminator(_kind_of_reference),
]
"""The name of a schedule, a preset (hourly, daily, weekly, monthly), or a timing written in place."""
