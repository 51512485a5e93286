"""Exports that tick together, and the partition that a tick of theirs means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from export_pipelines.spec.resolved import ResolvedExport
from export_pipelines.spec.schedules import ScheduleSpec
from export_pipelines.spec.workdays import Calendar
from export_pipelines.timing.fires import Fire
from export_pipelines.timing.partitions import first_key, last_complete, window_of


@dataclass(frozen=True, order=True)
class Partitioning:
    """What exports must have in common to run together: kind, timezone and first day."""

    kind: str
    timezone: str
    start: date

    @classmethod
    def of(cls, export: ResolvedExport) -> Partitioning:
        """The partitioning of the export."""
        return cls(export.spec.partition, export.timezone, export.spec.start)


@dataclass(frozen=True)
class Timing:
    """Exports that share a schedule and a partitioning: one Dagster schedule and job."""

    name: str
    schedule_name: str
    schedule: ScheduleSpec
    partitioning: Partitioning
    exports: Sequence[ResolvedExport]

    @property
    def names(self) -> tuple[str, str]:
        """What it may be called when it is paused: its own name, and that of its schedule."""
        return self.name, self.schedule_name

    @property
    def calendar(self) -> Calendar | None:
        """The schedule's calendar, if it has one."""
        spec = self.exports[0].calendar
        return Calendar(spec) if spec else None


def timings(exports: Iterable[ResolvedExport]) -> Iterator[Timing]:
    """The timings of the scheduled exports, by name.

    A timing has its schedule's name. Where exports with different partitionings share a schedule, the partitioning is
    appended: `nightly_daily`, `nightly_monthly`, and `nightly_daily_from_20260401` for a further first day.
    """
    groups: dict[str, dict[Partitioning, list[ResolvedExport]]] = {}
    for export in sorted(exports, key=lambda e: e.name):
        if export.schedule_name is not None:
            groups.setdefault(export.schedule_name, {}).setdefault(Partitioning.of(export), []).append(export)
    taken = set(groups)
    for schedule_name, group in sorted(groups.items()):
        for partitioning, members in sorted(group.items()):
            schedule = members[0].schedule
            if schedule is not None:
                name = schedule_name + ("" if len(group) == 1 else _suffix(partitioning, group))
                while len(group) > 1 and name in taken:  # somebody called a schedule `nightly_daily`
                    name += "_partitions"
                taken.add(name)
                yield Timing(name, schedule_name, schedule, partitioning, members)


def _suffix(partitioning: Partitioning, group: Iterable[Partitioning]) -> str:
    earliest = min(other.start for other in group if other.kind == partitioning.kind)
    return f"_{partitioning.kind}" + ("" if partitioning.start == earliest else f"_from_{partitioning.start:%Y%m%d}")


def partition_of(timing: Timing, fire: Fire) -> str | None:
    """The partition of a tick, whether or not it is skipped; None if it lies before the first one."""
    kind, timezone = timing.partitioning.kind, timing.partitioning.timezone
    partition, first = complete(timing, fire), first_partition(timing)
    return partition if window_of(kind, partition, timezone).utc() >= window_of(kind, first, timezone).utc() else None


def first_partition(timing: Timing) -> str:
    """The first partition of its exports."""
    return first_key(timing.partitioning.kind, timing.partitioning.start, timing.partitioning.timezone)


def complete(timing: Timing, fire: Fire) -> str:
    """The last partition that was complete where the tick was meant to be, or came, if that was earlier."""
    moment = min(fire.instant, fire.nominal, key=datetime.timestamp)
    return last_complete(timing.partitioning.kind, moment, timing.partitioning.timezone)
