"""Which tick asks for a partition, if any does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from export_pipelines.errors import SpecError
from export_pipelines.spec.workdays import FARTHEST
from export_pipelines.timing.partitions import key_of, window_of
from export_pipelines.timing.ticks import Timing
from export_pipelines.timing.upcoming import upcoming

_CLOCKS = timedelta(hours=3)  # more than a change of the clocks moves a tick by
_HOLIDAYS = timedelta(days=FARTHEST + 1)


def asking_tick(timing: Timing, partition: str) -> datetime | None:
    """The first tick (aware) of the timing that asks for the partition.

    None if there is none: for windows that end on days off or on which the schedule does not tick, before the first
    partition and after the schedule's end.
    """
    kind, timezone = timing.partitioning.kind, timing.partitioning.timezone
    try:
        window = window_of(kind, partition, timezone)
    except SpecError:
        return None
    moves = timing.calendar is not None and timing.schedule.on_holiday in ("next", "previous")
    following = window_of(kind, key_of(kind, window.end), timezone)
    last = following.end.astimezone(UTC) + (_HOLIDAYS if moves else _CLOCKS)
    for found in upcoming(timing, window.end.astimezone(UTC) - timedelta(seconds=1)):
        if found.partition == partition:
            return found.tick
        if found.tick > last:
            return None
    return None
