"""Local times as instants: what a clock's time means on the days on which clocks change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which the clock shows the time (naive); aware, in the zone.

    A time that clocks repeat is the second one. For a time that they skip, it is the moment at which they have jumped.
    """
    first, second = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
    before, after = first.utcoffset(), second.utcoffset()
    if before == after or before is None or after is None:
        return first
    return second if after < before else _jump(local - after, local - before, zone)


def exists(local: datetime, zone: ZoneInfo) -> bool:
    """Whether the clock ever shows the time (naive)."""
    return instant(local, zone).replace(tzinfo=None) == local


def repeats(local: datetime, zone: ZoneInfo) -> bool:
    """Whether the clock shows the time (naive) twice."""
    first, second = local.replace(tzinfo=zone, fold=0).utcoffset(), local.replace(tzinfo=zone, fold=1).utcoffset()
    return first is not None and second is not None and second < first


def shown(local: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Every instant at which the clock shows the time (naive): none, one or two; aware, in the zone, ascending."""
    last = instant(local, zone)
    if last.fold:
        yield last.replace(fold=0)
    if last.replace(tzinfo=None) == local:
        yield last


def _jump(early: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    """The moment of the change that lies after `early` and not after `late` (both UTC, naive)."""
    early, late = early.replace(tzinfo=UTC), late.replace(tzinfo=UTC)
    old = early.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == old:
            early = middle
        else:
            late = middle
    return late.astimezone(zone)
