"""What exports wait for, against each other: they exist, have the same partitions, and do not go round in circles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from export_pipelines.spec.entries import Entry
from export_pipelines.spec.exports import ExportSpec
from export_pipelines.spec.problems import Problem, SpecPath, advice
from export_pipelines.spec.schedules import ScheduleSpec

_OURS = "exports/"


def check_after(entries: Sequence[Entry], schedules: Mapping[str, ScheduleSpec], unread: Sequence[Problem]) -> None:
    """Report what is wrong with `after` of the exports, each of them valid by itself so far.

    An export that waits for one with mistakes is none itself: it waits. `unread` are files that may hold names.
    """
    specs = {entry.name: entry.value for entry in entries if isinstance(entry.value, ExportSpec)}
    names = [entry.name for entry in entries]
    waiting = [(entry, spec) for entry in entries if (spec := specs.get(entry.name)) and spec is entry.value]
    for entry, spec in waiting:
        if spec.after is None:
            continue
        if spec.schedule is None:
            message = "needs `schedule`: ticks wait, and what a person or a backfill asks for does not"
            entry.report(("after",), message)
        for path, name in _named(spec):
            if name not in names:
                _report_unknown(entry, path, name, names, unread)
            elif name in specs and (other := _difference(spec, specs[name], schedules)):
                entry.report(path, f"waits for the same partition, and {name} {other}")
        _check_assets(entry, spec, names)
    for entry, spec in waiting:
        if spec.after is not None and (circle := _circle(entry.name, specs)):
            message = "waits for itself" if len(circle) == 2 else f"waits for itself: {' after '.join(circle)}"
            entry.report(("after",), message)


def _named(spec: ExportSpec) -> Iterator[tuple[SpecPath, str]]:
    """The exports that it waits for, each with its path."""
    path: SpecPath = ("after",) if isinstance(spec.after, list) else ("after", "exports")
    for position, name in enumerate(spec.waits_for.exports if spec.waits_for else ()):
        yield (*path, position), name


def _report_unknown(entry: Entry, path: SpecPath, name: str, names: Sequence[str], unread: Sequence[Problem]) -> None:
    others = [other for other in names if other != entry.name]
    hint = advice(name, others, others="none is defined")
    if unread and not hint.startswith("did"):
        return  # it may be in a file that cannot be read
    entry.report(path, f"unknown export {name!r}; {hint}")


def _difference(spec: ExportSpec, other: ExportSpec, schedules: Mapping[str, ScheduleSpec]) -> str:
    """What keeps the two from having the same partitions, or ""."""
    if spec.partition != other.partition:
        return f"has {other.partition} partitions, not {spec.partition} ones"
    mine, theirs = _timezone(spec, schedules), _timezone(other, schedules)
    if mine is None or theirs is None or mine == theirs:
        return ""
    return f"has partitions in {theirs}, not in {mine}" + ("" if other.schedule else ": it has no schedule")


def _timezone(spec: ExportSpec, schedules: Mapping[str, ScheduleSpec]) -> str | None:
    """The timezone of its partitions; None if its schedule has a mistake."""
    schedule = schedules.get(spec.schedule) if isinstance(spec.schedule, str) else spec.schedule
    if schedule is None:
        return "UTC" if spec.schedule is None else None
    return schedule.timezone


def _check_assets(entry: Entry, spec: ExportSpec, names: Sequence[str]) -> None:
    for position, asset in enumerate(spec.waits_for.assets if spec.waits_for else ()):
        name = asset.removeprefix(_OURS)
        if asset.startswith(_OURS) and name in names:
            entry.report(("after", "assets", position), f"{asset} is an export; write {name} below `exports`")


def _circle(name: str, specs: Mapping[str, ExportSpec]) -> list[str]:
    """A way from the export to itself, both ends included; empty if there is none."""
    paths, seen = [[name]], set[str]()
    while paths:
        path = paths.pop()
        spec = specs.get(path[-1])
        for other in spec.waits_for.exports if spec and spec.waits_for else ():
            if other == name:
                return [*path, name]
            if other not in seen:
                seen.add(other)
                paths.append([*path, other])
    return []
