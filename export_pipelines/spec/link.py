"""Links between entries: the connection, store, schedule, calendar and recipients that others name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, get_args
from zoneinfo import ZoneInfo

from export_pipelines.spec.countries import check_country
from export_pipelines.spec.entries import Entry
from export_pipelines.spec.problems import Problem, SpecPath, advice, hides_secret
from export_pipelines.spec.queries import check_queries
from export_pipelines.spec.recipients import Level
from export_pipelines.spec.references import has_reference
from export_pipelines.spec.retention import ARCHIVE, DEFAULT, RetentionSpec
from export_pipelines.spec.schedules import PRESETS, TAKEN, ScheduleSpec, check_timezone
from export_pipelines.spec.stores import LocalStoreSpec
from export_pipelines.spec.surroundings import check_days, check_interval, check_partitions

LOCAL_STORE = LocalStoreSpec(root="${env:EXPORT_STORAGE_PATH}")
"""The store `local`, unless the specs define another one."""

ARCHIVE_STORE = LocalStoreSpec(root="${env:EXPORT_ARCHIVE_PATH}")
"""The store `archive`, if that variable is set and the specs define no other one."""


@dataclass
class Links:
    """What can be named. `good` and `bad` map section -> name -> value, and -> the problems that spoil it.

    `archives` tells whether EXPORT_ARCHIVE_PATH is set. `min_interval_minutes` is what ticks must be apart.
    """

    unread: list[Problem]
    archives: bool = False
    min_interval_minutes: float = 60
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    good: dict[str, dict[str, Any]] = field(default_factory=dict)
    bad: dict[str, dict[str, list[Problem]]] = field(default_factory=dict)

    def settle(self, entries: Iterable[Entry], spoiled: Mapping[str, list[Problem]] | None = None) -> None:
        """Take over the entries of one section. Good is what has no problems of its own and names nothing `spoiled`."""
        for entry in entries:
            problems = [*entry.problems, *(spoiled or {}).get(entry.name, [])]
            if problems:
                known = self.bad.setdefault(entry.section, {}).setdefault(entry.name, [])
                known.extend(problem for problem in problems if problem not in known)
            else:
                self.good.setdefault(entry.section, {})[entry.name] = entry.value
        for section, names in self.bad.items():
            for name in names:
                self.good.get(section, {}).pop(name, None)  # the other definition of the name

    def known(self, section: str) -> dict[str, Any]:
        """The good ones of a section, with what exists without being defined."""
        built_in: dict[str, Any] = {}
        if section == "stores":
            built_in = {"local": LOCAL_STORE} | ({ARCHIVE: ARCHIVE_STORE} if self.archives else {})
        if section == "retention":
            built_in = {DEFAULT: RetentionSpec()}
        if section == "schedules":
            built_in = {name: preset(name) for name in PRESETS}
        spoiled = self.bad.get(section, {})
        return {**{k: v for k, v in built_in.items() if k not in spoiled}, **self.good.get(section, {})}

    def follow(self, entry: Entry, path: SpecPath, *, section: str, name: object) -> list[Problem]:
        """The problems of what the entry names at the path. If it is unknown, the entry gets a problem instead."""
        if not isinstance(name, str) or name in self.known(section):
            return []
        if name in self.bad.get(section, {}):
            return list(self.bad[section][name])
        names = sorted({*self.known(section), *self.bad.get(section, {})})
        hint = advice(name, names, others="none is defined")
        if self.unread and not hint.startswith("did"):
            return list(self.unread)
        shown = "" if hides_secret(name) else f" {name!r}"
        noun = "retention policy" if section == "retention" else section.removesuffix("s")
        entry.report(path, f"unknown {noun}{shown}; {hint}")
        return []


@cache
def preset(name: str) -> ScheduleSpec:
    """The timing of a preset."""
    return ScheduleSpec(cron=(PRESETS[name],), description=f"Preset {name}")


def check_schedule(entry: Entry, links: Links) -> list[Problem]:
    """Check what the schedule names. Returns the problems of others that spoil it."""
    if entry.name in TAKEN:
        entry.report((), "is the name of a schedule or sensor that exists already; choose another one")
    raw = entry.raw if isinstance(entry.raw, dict) else {}
    _check_ticks(entry, entry.value, links)
    return links.follow(entry, ("calendar",), section="calendars", name=raw.get("calendar"))


def _check_ticks(entry: Entry, schedule: object, links: Links, path: SpecPath = ()) -> None:
    """Check when a valid schedule ticks."""
    if isinstance(schedule, ScheduleSpec):
        check_interval(entry, schedule, path=path, minutes=links.min_interval_minutes)
        check_days(entry, schedule, path=path, calendar=links.known("calendars").get(schedule.calendar or ""))


def check_calendar(entry: Entry) -> None:
    """Check that the holidays of the country and subdivision are known."""
    raw = entry.raw if isinstance(entry.raw, dict) else {}
    country, subdivision = raw.get("country"), raw.get("subdivision")
    if isinstance(country, str) and isinstance(subdivision, str | None):
        if wrong := check_country(country, subdivision):
            entry.report(wrong[:1], wrong[1])
    elif subdivision is not None and country is None:
        entry.report(("subdivision",), "needs `country`")


def check_notify(entry: Entry, links: Links, path: SpecPath = ()) -> None:
    """Check that the recipients are defined that the entry names at the path. One with mistakes spoils nobody."""
    raw = entry.raw
    for step in path:
        raw = raw.get(step) if isinstance(raw, dict) else None
    for where, name in _recipients(raw):
        if isinstance(name, str) and "@" not in name and not has_reference(name):
            links.follow(entry, (*path, *where), section="recipients", name=name)


def _recipients(raw: Any) -> Iterator[tuple[SpecPath, object]]:
    """What `notify` names, each with its path."""
    raw = raw if isinstance(raw, dict) else {}
    escalation = raw.get("escalation")
    lists: dict[SpecPath, Any] = {(level,): raw.get(level) for level in get_args(Level)}
    lists["escalation", "to"] = escalation.get("to") if isinstance(escalation, dict) else None
    for path, names in lists.items():
        yield from (((*path, position), name) for position, name in enumerate(names if isinstance(names, list) else ()))


def check_archive(entry: Entry, links: Links, path: SpecPath = ()) -> list[Problem]:
    """Check the store that the policy at the path archives to. Returns the problems of others that spoil it."""
    policy = entry.raw.get(path[0]) if path and isinstance(entry.raw, dict) else entry.raw
    archive = policy.get("archive") if isinstance(policy, dict) else None
    if not isinstance(archive, dict):
        return []
    return links.follow(entry, (*path, "archive", "store"), section="stores", name=archive.get("store", ARCHIVE))


def check_export(entry: Entry, links: Links) -> list[Problem]:
    """Check what the export names, and its queries. Returns the problems of others that spoil it."""
    raw = entry.raw if isinstance(entry.raw, dict) else {}
    spoilers = links.follow(entry, ("source",), section="connections", name=raw.get("source"))
    spoilers += links.follow(entry, ("store",), section="stores", name=raw.get("store", "local"))
    schedule = raw.get("schedule")
    if isinstance(schedule, dict):
        spoilers += links.follow(entry, ("schedule", "calendar"), section="calendars", name=schedule.get("calendar"))
        _check_ticks(entry, getattr(entry.value, "schedule", None), links, ("schedule",))
        if (name := inline_name(entry.name)) in {**links.known("schedules"), **links.bad.get("schedules", {})}:
            message = f"would be called {name!r}, like one of the schedules; rename that one, or name it here"
            entry.report(("schedule",), message)
    else:
        spoilers += links.follow(entry, ("schedule",), section="schedules", name=schedule)
    _check_hours(entry, raw, links)
    check_partitions(entry, raw, now=links.now)
    spoilers += links.follow(entry, ("retention",), section="retention", name=raw.get("retention"))
    spoilers += check_archive(entry, links, ("retention",))
    check_queries(entry)
    check_notify(entry, links, ("notify",))
    return spoilers


def inline_name(export: str) -> str:
    """The schedule name of a timing that is written in place."""
    return f"{export}_schedule"


def _check_hours(entry: Entry, raw: dict[str, Any], links: Links) -> None:
    """Hourly windows need a clock that is changed by whole hours."""
    reference = raw.get("schedule")
    named = links.known("schedules").get(reference) if isinstance(reference, str) else None
    timezone = reference.get("timezone", "UTC") if isinstance(reference, dict) else getattr(named, "timezone", "UTC")
    if raw.get("partition") == "hourly" and isinstance(timezone, str) and _shifts_by_part_of_an_hour(timezone):
        message = f"hourly windows do not exist in {timezone}, whose clock is changed by half an hour; use UTC"
        entry.report(("partition",), message)


@cache
def _shifts_by_part_of_an_hour(timezone: str) -> bool:
    try:
        zone = ZoneInfo(check_timezone(timezone))
    except ValueError:
        return False
    offsets = {datetime(2026, month, 1, tzinfo=UTC).astimezone(zone).utcoffset() for month in range(1, 13)}
    return len({offset.total_seconds() % 3600 for offset in offsets if offset is not None}) > 1
