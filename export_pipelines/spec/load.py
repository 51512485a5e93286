"""From spec files to resolved exports, and every problem on the way.

Nothing is raised for what the files say. Each entry is judged alone: an entry with a mistake, and whatever names it,
is left out, and everything else works. The CLI's `check` calls `require_valid` and shows all problems at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from export_pipelines.errors import SpecError
from export_pipelines.settings import Settings
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.entries import SECTIONS, Entry, Reading, read_entries
from export_pipelines.spec.exports import ExportSpec
from export_pipelines.spec.link import (
    Links,
    check_archive,
    check_calendar,
    check_export,
    check_notify,
    check_schedule,
    inline_name,
)
from export_pipelines.spec.notify import NotifySpec
from export_pipelines.spec.problems import Problem
from export_pipelines.spec.recipients import RecipientSpec
from export_pipelines.spec.resolved import ResolvedExport, spec_sha256
from export_pipelines.spec.retention import DEFAULT, ArchiveSpec, RetentionSpec, combined
from export_pipelines.spec.schedules import CalendarSpec, ScheduleSpec
from export_pipelines.spec.stores import StoreSpec
from export_pipelines.spec.upstream import check_after

__all__ = ["Problem", "SpecSet", "load_specs"]


@dataclass(frozen=True)
class SpecSet:
    """All spec files merged: what is valid and complete, and what is wrong with the rest.

    `schedules` holds the defined ones, the presets in use and the timings written in place. `quarantined` maps the name
    of an export that was left out to the problems that keep it out, also those of what it depends on. `files` are the
    files that were found, in the order in which they were read; none is no problem.

    Whoever names a recipient in `notify`, here or in an export, may name one that `recipients` does not hold: a
    recipient with a mistake is left out, and what names it stays, because notifications never change a result.
    """

    connections: Mapping[str, ConnectionSpec] = field(default_factory=dict)
    stores: Mapping[str, StoreSpec] = field(default_factory=dict)
    calendars: Mapping[str, CalendarSpec] = field(default_factory=dict)
    schedules: Mapping[str, ScheduleSpec] = field(default_factory=dict)
    recipients: Mapping[str, RecipientSpec] = field(default_factory=dict)
    notify: Mapping[str, NotifySpec] = field(default_factory=dict)
    retention: Mapping[str, RetentionSpec] = field(default_factory=dict)
    exports: Mapping[str, ResolvedExport] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    quarantined: Mapping[str, Sequence[Problem]] = field(default_factory=dict)
    files: Sequence[str] = ()

    def require_valid(self) -> SpecSet:
        """The same. Raises SpecError with all problems, one a line, if there is one."""
        if self.problems:
            raise SpecError("\n".join(str(problem) for problem in self.problems))
        return self


def load_specs(directory: Path | Sequence[Path], *, settings: Settings) -> SpecSet:
    """The specs in all `*.yaml` and `*.yml` files of the directory or directories, or in a single file.

    Raises ConfigurationError if EXPORT_MAX_RECORDS, EXPORT_RETENTION_DAYS or EXPORT_MIN_INTERVAL_MINUTES is not a
    positive number, or EXPORT_ARCHIVE_PATH not a directory of its own; never for what the files say.
    """
    reading = read_entries([directory] if isinstance(directory, Path) else list(directory))
    _report_names_defined_twice(reading.entries)
    links, spoilers = _link(reading, settings)
    exports, schedules = _resolve(links, settings)
    return SpecSet(
        connections=links.known("connections"),
        stores=links.known("stores"),
        calendars=links.known("calendars"),
        schedules={**links.good.get("schedules", {}), **schedules},
        recipients=links.known("recipients"),
        notify=links.known("notify"),
        retention=links.good.get("retention", {}),
        exports=exports,
        problems=_sorted(reading),
        quarantined=spoilers,
        files=tuple(reading.files),
    )


def _report_names_defined_twice(entries: Sequence[Entry]) -> None:
    """Neither definition of a name can be trusted, so both are left out."""
    first: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        other = first.setdefault((entry.section, entry.name), entry)
        if other is not entry:
            place = f"line {other.pair.line}" if other.file == entry.file else f"{other.file}:{other.pair.line}"
            entry.report((), f"is defined already on {place}; neither is used until one is renamed or removed")


def _link(reading: Reading, settings: Settings) -> tuple[Links, dict[str, list[Problem]]]:
    """Everything that can be named, and the exports that cannot be used, each with the problems that spoil it."""
    archives = settings.archive_path is not None
    links = Links(reading.unread, archives=archives, min_interval_minutes=settings.min_interval_minutes)
    sections = {section: [e for e in reading.entries if e.section == section] for section in SECTIONS}
    links.settle(sections["connections"])
    links.settle(sections["stores"])
    for entry in sections["calendars"]:
        check_calendar(entry)
    links.settle(sections["calendars"])
    links.settle(sections["schedules"], {e.name: check_schedule(e, links) for e in sections["schedules"]})
    links.settle(sections["recipients"])
    for entry in sections["notify"]:
        check_notify(entry, links)
    links.settle(sections["notify"])
    for entry in sections["retention"]:
        spoiled = check_archive(entry, links)
        links.settle([entry], {entry.name: spoiled})
    spoilers = {e.name: check_export(e, links) for e in sections["exports"]}
    check_after(sections["exports"], links.known("schedules"), reading.unread)
    links.settle(sections["exports"], spoilers)
    return links, links.bad.get("exports", {})


def _resolve(links: Links, settings: Settings) -> tuple[dict[str, ResolvedExport], dict[str, ScheduleSpec]]:
    """The exports that can run, and the schedules that they use."""
    exports, used = {}, dict[str, ScheduleSpec]()
    for name, spec in links.good.get("exports", {}).items():
        export = _resolved(name, spec, links, settings)
        exports[name] = export
        if export.schedule_name is not None and export.schedule is not None:
            used[export.schedule_name] = export.schedule
    return exports, used


def _resolved(name: str, spec: ExportSpec, links: Links, settings: Settings) -> ResolvedExport:
    schedule_name, schedule = None, None
    if isinstance(spec.schedule, ScheduleSpec):
        schedule_name, schedule = inline_name(name), spec.schedule
    elif spec.schedule is not None:
        schedule_name, schedule = spec.schedule, links.known("schedules")[spec.schedule]
    timezone = schedule.timezone if schedule else "UTC"
    calendar = schedule.calendar if schedule else None
    return ResolvedExport(
        name=name,
        spec=spec,
        connection=links.known("connections")[spec.source],
        store=links.known("stores")[spec.store],
        schedule_name=schedule_name,
        schedule=schedule,
        calendar=links.known("calendars")[calendar] if calendar else None,
        timezone=timezone,
        max_rows=settings.max_records if spec.max_rows is None else spec.max_rows,
        spec_sha256=spec_sha256(name, spec, timezone),
        retention=_retention(spec, links, settings),
    )


def _retention(spec: ExportSpec, links: Links, settings: Settings) -> RetentionSpec | None:
    """The export's policy. None if the policy `default`, which has a say in all, has a mistake or may not be read."""
    policies = links.good.get("retention", {})
    default = policies.get(DEFAULT)
    if default is None:
        if links.unread or DEFAULT in links.bad.get("retention", {}):
            return None
        default = RetentionSpec(keep_days=settings.retention_days)
    if default.archive is None and links.archives:
        default = default.model_copy(update={"archive": ArchiveSpec()})
    own = spec.retention
    if own is None or own == DEFAULT:
        return default
    return combined(policies[own] if isinstance(own, str) else own, default)


def _sorted(reading: Reading) -> list[Problem]:
    """All problems in the order of the files and lines, each once."""
    everything = [*reading.problems, *(problem for entry in reading.entries for problem in entry.problems)]
    order = {file: position for position, file in enumerate(reading.files)}
    return sorted(set(everything), key=lambda p: (order.get(p.file, -1), p.line, p.path, p.message))
