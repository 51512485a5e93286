"""Exports that wait for others which tick too late for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

from export_pipelines.spec.resolved import ResolvedExport
from export_pipelines.text import moment
from export_pipelines.timing.asking import asking_tick
from export_pipelines.timing.findings import Conflict
from export_pipelines.timing.ticks import Timing
from export_pipelines.timing.upcoming import upcoming

_TICKS = 10


def in_vain(timings: Sequence[Timing], now: datetime) -> Iterator[Conflict]:
    """Exports one of whose next ticks waits for a tick that comes after its deadline."""
    timing_of = {export.name: timing for timing in timings for export in timing.exports}
    for timing in timings:
        for export in timing.exports:
            for name in export.spec.waits_for.exports if export.spec.waits_for else ():
                if name in timing_of and (found := _late(export, timing, timing_of[name], name, now)):
                    yield found


def _late(export: ResolvedExport, timing: Timing, before: Timing, name: str, now: datetime) -> Conflict | None:
    allowed = export.spec.waits_for.deadline_minutes if export.spec.waits_for else 0
    for found in islice(upcoming(timing, now), _TICKS):
        tick = asking_tick(before, found.partition) if found.partition else None
        if tick and tick.astimezone(UTC) >= found.tick.astimezone(UTC) + timedelta(minutes=allowed):
            zone = timing.schedule.timezone
            message = (
                f"{export.name}: waits from {moment(found.tick, zone)} for {name}, which ticks at {moment(tick, zone)}"
            )
            advice = f"`deadline_minutes` of its `after` is {allowed:,}: allow more, or let {export.name} tick later"
            schedules = list(dict.fromkeys([timing.schedule_name, before.schedule_name]))
            return Conflict("after", schedules, message, advice, [export.name, name], found.tick)
    return None
