"""When the clocks of a timezone are changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Change:
    """One change. Clocks go from `before` to `after` (naive, local) at the instant `at` (UTC)."""

    at: datetime
    before: datetime
    after: datetime

    @property
    def skips(self) -> bool:
        """Whether times are skipped; otherwise they are repeated."""
        return self.after > self.before

    @property
    def span(self) -> tuple[datetime, datetime]:
        """The first time (naive, local) that is skipped or repeated, and the first one after it that is not."""
        return min(self.before, self.after), max(self.before, self.after)


def changes(timezone: str, first: datetime, last: datetime) -> Iterator[Change]:
    """The changes after `first` and not after `last` (both aware), ascending."""
    zone = ZoneInfo(timezone)
    moment = first.astimezone(UTC).replace(microsecond=0)
    while moment < last:
        following = min(moment + _DAY, last.astimezone(UTC))
        old = moment.astimezone(zone).utcoffset()
        if following.astimezone(zone).utcoffset() != old:
            at = _between(moment, following, zone)
            new = at.astimezone(zone).utcoffset() or timedelta()
            yield Change(at, (at + (old or timedelta())).replace(tzinfo=None), (at + new).replace(tzinfo=None))
        moment = following


def _between(early: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    """The change between the two, of which there is one a day at most."""
    old = early.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = (early + (late - early) / 2).replace(microsecond=0)
        early, late = (middle, late) if middle.astimezone(zone).utcoffset() == old else (early, middle)
    return late


@cache
def known_changes(timezone: str) -> tuple[Change, ...]:
    """The changes of the years 2015 to 2037, for which there are rules."""
    return tuple(changes(timezone, datetime(2015, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)))


@cache
def unusual(timezone: str) -> tuple[Change, ...]:
    """The known changes at which Dagster's ticks are not those of `fires`.

    Dagster looks for skipped and repeated times from one to four o'clock only, and takes it that clocks go forward by
    what the zone calls its daylight saving time.
    """
    return tuple(change for change in known_changes(timezone) if not _is_usual(change, ZoneInfo(timezone)))


def _is_usual(change: Change, zone: ZoneInfo) -> bool:
    begin, end = change.span
    if begin.hour not in (1, 2, 3) or (end - timedelta(seconds=1)).hour not in (1, 2, 3):
        return False
    if not change.skips:
        return True
    moved = (begin + _HOUR).replace(tzinfo=zone).dst() or timedelta()
    return begin.replace(minute=0) + moved == end


def shifts_by_part_of_an_hour(timezone: str) -> bool:
    """Whether a change of the clocks moves minutes."""
    return any((change.after - change.before) % _HOUR for change in known_changes(timezone))
