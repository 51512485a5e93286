"""What a tick asks for: which partition of which exports, in which batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from export_pipelines.spec.resolved import ResolvedExport
from export_pipelines.spec.schedules import ScheduleSpec
from export_pipelines.timing.calendars import Calendar
from export_pipelines.timing.fires import Fire, fire_at, why_not
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


@dataclass(frozen=True)
class Batch:
    """One run to request."""

    partition: str
    exports: Sequence[str]


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


def batches(timing: Timing, tick: datetime, *, calendar: Calendar | None) -> list[Batch] | str:
    """What is requested at `tick` (aware): the last complete partition, or the reason why nothing.

    Dagster may ask at more instants than those at which the schedule ticks; at the others nothing is requested. A tick
    that a holiday has moved asks for what it would have asked for in its place.
    """
    fire = fire_at(timing.schedule, calendar, tick, partition=timing.partitioning.kind)
    if fire is None:
        return why_not(timing.schedule, calendar, tick)
    return requests(timing, fire)


def requests(timing: Timing, fire: Fire) -> list[Batch] | str:
    """What a tick requests: the last complete partition, or the reason why nothing."""
    partition = partition_of(timing, fire)
    if fire.skipped:
        return fire.skipped
    if partition is None:
        first = first_key(timing.partitioning.kind, timing.partitioning.start, timing.partitioning.timezone)
        return f"partition {_complete(timing, fire)} lies before the first one, {first}"
    names = [export.name for export in timing.exports]
    size = timing.schedule.batch_size
    return [Batch(partition, names[i : i + size]) for i in range(0, len(names), size)]


def partition_of(timing: Timing, fire: Fire) -> str | None:
    """The partition of a tick, whether or not it is skipped; None if it lies before the first one."""
    kind, timezone = timing.partitioning.kind, timing.partitioning.timezone
    partition = _complete(timing, fire)
    first = first_key(kind, timing.partitioning.start, timezone)
    return partition if window_of(kind, partition, timezone).utc() >= window_of(kind, first, timezone).utc() else None


def _complete(timing: Timing, fire: Fire) -> str:
    """The last partition that was complete where the tick was meant to be, or came, if that was earlier."""
    moment = min(fire.instant, fire.nominal, key=datetime.timestamp)
    return last_complete(timing.partitioning.kind, moment, timing.partitioning.timezone)
