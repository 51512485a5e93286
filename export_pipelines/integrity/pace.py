"""Which files to read again now, so that every one is read within a number of days and no pass reads much more."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from export_pipelines.ledger import pulses, readings
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.readings import Unread

DAY = timedelta(days=1)
_LITTLE_BYTES = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast to read: everything within `days`. What was never read counts from `since` on, when reading began.

    `last` is the pass before, None if there was none; `following` is when the next one is expected.
    """

    days: float
    since: datetime
    last: datetime | None
    following: datetime

    def deadline(self, item: Unread) -> datetime:
        """By when it must be read."""
        return max(item.read_at, self.since) + self.days * DAY

    def portion(self, now: datetime) -> float:
        """The part of everything that comes to the time since the last pass, 0 to 1."""
        passed = now - self.last if self.last else self.following - now
        return min(1.0, max(0.0, passed / (self.days * DAY)))

    def passes_until(self, deadline: datetime, now: datetime) -> int:
        """How many passes there are up to the deadline, this one included."""
        return 1 + max(0, math.floor((deadline - now) / (self.following - now)))


def due(ledger: Ledger, now: datetime, *, days: float, following: datetime | None = None) -> list[Unread]:
    """What to read now so that everything is read within `days`; `following` is the next pass, or in a day."""
    since = pulses.first(ledger, pulses.READING_SINCE, now)
    last = pulses.read(ledger).get(pulses.READ)
    pace = Pace(days=days, since=since, last=last.at if last else None, following=following or now + DAY)
    return share(readings.unread(ledger), now, pace)


def overdue(ledger: Ledger, now: datetime, *, days: float) -> list[Unread]:
    """Everything that has not been read within so many days, the longest unread first."""
    return sorted((item for item in readings.unread(ledger) if item.read_at <= now - days * DAY), key=_by_age)


def share(unread: Iterable[Unread], now: datetime, pace: Pace) -> list[Unread]:
    """What to read now, the longest unread first; of each store a share, so that none waits for another.

    Of each store at least as many bytes as come to the time since the last pass, and as many artifacts and archives;
    more if later passes would otherwise have to read more than this one; and whatever would miss its deadline before
    the next pass. Where the number is short it is made up with small ones, which at most doubles the bytes. What is
    damaged is read again in every pass, so that repair is noticed, or in turns where that is more than a gigabyte and
    half a share.
    """
    by_store: dict[str, list[Unread]] = defaultdict(list)
    for item in unread:
        by_store[item.store].append(item)
    return sorted((item for items in by_store.values() for item in _of_store(items, now, pace)), key=_by_age)


def _of_store(items: Sequence[Unread], now: datetime, pace: Pace) -> list[Unread]:
    """The share of one store."""
    waiting = sorted((i for i in items if not i.damaged), key=lambda i: (pace.deadline(i), *_by_age(i)))
    damaged = sorted((i for i in items if i.damaged), key=_by_age)
    least = max(pace.portion(now) * sum(item.bytes for item in items), _needed(waiting, now, pace))
    chosen: list[Unread] = []
    octets = 0
    for item in waiting:
        if octets >= least and pace.deadline(item) >= pace.following:
            break
        chosen.append(item)
        octets += item.bytes
    missing = math.ceil(pace.portion(now) * len(items)) - len(chosen)
    small = _small(waiting[len(chosen) :], items, missing) if missing > 0 else []
    return [*chosen, *small, *_turn(damaged, least, now, pace)]


def _needed(waiting: Sequence[Unread], now: datetime, pace: Pace) -> float:
    """Bytes to read now so that up to each deadline no later pass must read more; `waiting` is ordered by deadline."""
    most, octets = 0.0, 0
    for item in waiting:
        octets += item.bytes
        most = max(most, octets / pace.passes_until(pace.deadline(item), now))
    return most


def _small(rest: Sequence[Unread], items: Sequence[Unread], missing: int) -> list[Unread]:
    """As many of the rest as are missing, of those that are no larger than all items are on average."""
    average = sum(item.bytes for item in items) / len(items)
    return [item for item in rest if item.bytes <= average][:missing]


def _turn(damaged: Sequence[Unread], least: float, now: datetime, pace: Pace) -> list[Unread]:
    """All that is damaged, or where that is much, those whose turn it is; `least` are the bytes of a share."""
    octets = sum(item.bytes for item in damaged)
    most = max(1, math.ceil(pace.days * DAY / (pace.following - now)))
    turns = min(most, math.ceil(octets / max(least / 2, _LITTLE_BYTES)))
    if turns <= 1:
        return list(damaged)
    number = int(now.timestamp() / (pace.following - now).total_seconds())
    return [item for position, item in enumerate(damaged) if position % turns == number % turns]


def _by_age(item: Unread) -> tuple[datetime, str, str]:
    return item.read_at, item.what, item.id
