"""Which exports others wait for, partition by partition: what the ledger and the specs tell, without Dagster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from graphlib import TopologicalSorter

from sqlalchemy import ColumnElement, Connection, func, or_, select

from export_pipelines.catching_up.waiting import Lack
from export_pipelines.chunks import chunks
from export_pipelines.errors import SpecError
from export_pipelines.ledger.due import Cause
from export_pipelines.ledger.tables import artifacts, due, runs
from export_pipelines.project import Project
from export_pipelines.spec.after import AfterSpec
from export_pipelines.spec.resolved import ResolvedExport
from export_pipelines.timing.asking import asking_tick
from export_pipelines.timing.partitions import Window, first_key, window_of
from export_pipelines.timing.ticks import Timing, timings

Key = tuple[str, str]
"""An export and a partition."""

_NOTHING_COMES: tuple[Cause, ...] = ("holiday", "condition")


@dataclass(frozen=True)
class Waiting:
    """A partition that may have to wait, with what it may wait for."""

    export: ResolvedExport
    partition: str
    after: AfterSpec
    window: Window


@dataclass(frozen=True)
class _Asked:
    """What became of a partition that a tick of the upstream export asked for."""

    state: str
    cause: str | None
    failures: int
    tick: datetime


@dataclass(frozen=True)
class _Known:
    """What the ledger knows of upstream partitions. `empty` is when a run last found nothing to publish."""

    published: set[Key]
    asked: Mapping[Key, _Asked]
    empty: Mapping[Key, datetime]


def waiting(project: Project, keys: Iterable[Key]) -> list[Waiting]:
    """Those of these exports and partitions that have `after`, and of which there is such a partition."""
    found = []
    for name, partition in keys:
        export = project.specs.exports.get(name)
        after = export.spec.waits_for if export else None
        if export is None or after is None:
            continue
        try:
            window = window_of(export.spec.partition, partition, export.timezone)
        except SpecError:  # it has other partitions now
            continue
        found.append(Waiting(export, partition, after, window))
    return found


def missing_exports(project: Project, rows: Iterable[Waiting]) -> dict[Key, list[Lack]]:
    """(export, partition) -> the exports whose same partition is still to come; where all are there, left out.

    Raises LedgerUnavailableError.
    """
    rows = [row for row in rows if row.after.exports]
    if not rows:
        return {}
    names = {name for row in rows for name in row.after.exports}
    known = _known(project, names, sorted({row.partition for row in rows}))
    desk = _Desk(project, known)
    found = {
        (row.export.name, row.partition): [
            lack for name in dict.fromkeys(row.after.exports) if (lack := desk.lack(name, row))
        ]
        for row in rows
    }
    return {key: lacks for key, lacks in found.items() if lacks}


@dataclass(frozen=True)
class _Desk:
    """Says of each upstream partition whether there is something to wait for."""

    project: Project
    known: _Known

    def lack(self, name: str, row: Waiting) -> Lack | None:
        """What of the export is missing; None if it is there or will never be."""
        key = name, row.partition
        if key in self.known.published:
            return None
        export = self.project.specs.exports.get(name)
        if export is None:
            return Lack(name, "its spec has a mistake" if name in self.project.specs.quarantined else "no spec")
        if _is_before_the_first(export, row.window):
            return None
        asked = self.known.asked.get(key)
        empty = self.known.empty.get(key)
        if empty and empty >= (asked.tick if asked else row.window.end.astimezone(UTC)):
            return None
        return self._of_tick(export, row.partition, asked)

    def _of_tick(self, export: ResolvedExport, partition: str, asked: _Asked | None) -> Lack | None:
        if asked is None:
            timing = self._timings.get(export.name)
            return None if timing and asking_tick(timing, partition) is None else Lack(export.name)
        if asked.state == "skipped":
            return None if asked.cause in _NOTHING_COMES else Lack(export.name, f"skipped: {asked.cause}")
        if asked.state == "due":
            return Lack(export.name, "failed" if asked.failures else "", due=True)
        return Lack(export.name, "given up" if asked.state == "given_up" else "a check failed")

    @cached_property
    def _timings(self) -> dict[str, Timing]:
        found = timings(self.project.specs.exports.values())
        return {export.name: timing for timing in found for export in timing.exports}


def _is_before_the_first(export: ResolvedExport, window: Window) -> bool:
    kind, timezone = export.spec.partition, export.timezone
    first = window_of(kind, first_key(kind, export.spec.start, timezone), timezone)
    return window.utc() < first.utc()


def _known(project: Project, names: Iterable[str], partitions: Sequence[str]) -> _Known:
    chosen, known = sorted(names), _Known(set(), {}, {})
    asked, empty = dict[Key, _Asked](), dict[Key, datetime]()
    with project.ledger.read() as connection:
        for exports in chunks(chosen):
            known.published.update(_combined(connection, exports, partitions))
            for keys in chunks(partitions):
                known.published.update(_published(connection, exports, keys))
                asked.update(_asked(connection, exports, keys))
                empty.update(_empty(connection, exports, keys))
    return _Known(known.published, asked, empty)


def _is_complete() -> tuple[ColumnElement[bool], ...]:
    """What makes an artifact good enough for others; its files may have been deleted since."""
    c = artifacts.c
    return c.good, c.row_limit.is_(None), or_(c.created_at >= c.window_end, c.scheduled_at.is_not(None))


def _published(connection: Connection, exports: Sequence[str], partitions: Sequence[str]) -> Iterator[Key]:
    c = artifacts.c
    query = select(c.export, c.partition).where(c.export.in_(exports), c.partition.in_(partitions), *_is_complete())
    yield from ((row.export, row.partition) for row in connection.execute(query.distinct()))


def _combined(connection: Connection, exports: Sequence[str], partitions: Sequence[str]) -> Iterator[Key]:
    """Partitions that an artifact covers together with others."""
    c = artifacts.c
    query = select(c.export, c.partition, c.last_partition).where(
        c.export.in_(exports), c.last_partition >= partitions[0], c.partition <= partitions[-1], *_is_complete()
    )
    for row in connection.execute(query):
        yield from ((row.export, key) for key in partitions if row.partition <= key <= row.last_partition)


def _asked(connection: Connection, exports: Sequence[str], partitions: Sequence[str]) -> Iterator[tuple[Key, _Asked]]:
    c = due.c
    query = select(c.export, c.partition, c.state, c.cause, c.failures, c.tick).where(
        c.export.in_(exports), c.partition.in_(partitions)
    )
    for row in connection.execute(query):
        yield (row.export, row.partition), _Asked(row.state, row.cause, row.failures, row.tick)


def _empty(connection: Connection, exports: Sequence[str], partitions: Sequence[str]) -> Iterator[tuple[Key, datetime]]:
    c = runs.c
    query = select(c.export, c.partition, func.max(c.started_at).label("at")).where(
        c.export.in_(exports), c.partition.in_(partitions), c.state == "skipped"
    )
    for row in connection.execute(query.group_by(c.export, c.partition)):
        yield (row.export, row.partition), row.at


def levels(exports: Iterable[ResolvedExport]) -> dict[str, int]:
    """Export -> how many of these stand one after the other before it. Those of one level may share a run."""
    named = {export.name: export.spec.waits_for for export in exports}
    before = {
        name: [other for other in (after.exports if after else ()) if other in named] for name, after in named.items()
    }
    found: dict[str, int] = {}
    for name in TopologicalSorter(before).static_order():
        found[name] = max((1 + found[other] for other in before[name]), default=0)
    return found
