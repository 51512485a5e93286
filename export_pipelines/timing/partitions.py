"""Partitions: keys and the windows of time they stand for, in the schedule's timezone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from export_pipelines.errors import SpecError

FORMATS = {
    "minutely": "%Y-%m-%d-%H:%M",
    "hourly": "%Y-%m-%d-%H:%M",
    "daily": "%Y-%m-%d",
    "weekly": "%Y-%m-%d",
    "monthly": "%Y-%m-%d",
    "quarterly": "%Y-%m-%d",
    "yearly": "%Y-%m-%d",
}
"""Partition kind -> format of its keys. A weekly key is its Monday, that of a month, quarter or year its first day."""

_LENGTHS = {"minutely": timedelta(minutes=1), "hourly": timedelta(hours=1)}
"""Kinds whose windows have a length in real time."""

_MONTHS = {"monthly": 1, "quarterly": 3, "yearly": 12}
"""Kinds whose windows are whole months."""

_INTO_THE_NEXT = {"daily": 1, "weekly": 7, "monthly": 32, "quarterly": 95, "yearly": 370}
"""Days from the beginning of a window that lead into the following one, however long it is."""

_HINTS = {
    "minutely": "a minute, such as 2026-01-31-13:05",
    "hourly": "a full hour, such as 2026-01-31-13:00",
    "daily": "a day, such as 2026-01-31",
    "weekly": "the Monday of a week, such as 2026-01-26",
    "monthly": "the first day of a month, such as 2026-01-01",
    "quarterly": "the first day of a quarter, such as 2026-04-01",
    "yearly": "the first day of a year, such as 2026-01-01",
}


@dataclass(frozen=True)
class Window:
    """A span of time, `start` included and `end` excluded; both aware, in the schedule's timezone."""

    start: datetime
    end: datetime

    def utc(self) -> tuple[datetime, datetime]:
        """Start and end in UTC."""
        return self.start.astimezone(UTC), self.end.astimezone(UTC)


def key_of(kind: str, start: datetime) -> str:
    """The key of the window that starts at `start` (aware, local).

    The second of two equal hours or minutes at the end of daylight saving gets its UTC offset appended, as in Dagster.
    """
    key = start.strftime(FORMATS[kind])
    repeated = start.replace(fold=0).utcoffset() != start.replace(fold=1).utcoffset()
    return f"{key}{start:%z}" if kind in _LENGTHS and start.fold and repeated else key


def window_of(kind: str, key: str, timezone: str) -> Window:
    """The window of a partition key.

    Raises SpecError if the key does not have the kind's format or is not the start of a window.
    """
    zone = ZoneInfo(timezone)
    pattern = FORMATS[kind]
    try:
        if kind in _LENGTHS and key[-5:-4] in {"+", "-"} and key.count(":"):
            start = datetime.strptime(key, pattern + "%z").astimezone(zone)
        else:
            start = datetime.strptime(key, pattern).replace(tzinfo=zone)
        end = _next(kind, start)
        known = key_of(kind, start) == key and _floor(kind, start) == start
    except (ValueError, OverflowError):
        known = False
    if not known:
        raise SpecError(f"there is no {kind} partition {key!r} in {timezone}", hint=f"Write {_HINTS[kind]}")
    return Window(start, end)


def last_complete(kind: str, instant: datetime, timezone: str) -> str:
    """The key of the last window that has ended at `instant` (aware)."""
    local = instant.astimezone(ZoneInfo(timezone))
    current = _floor(kind, local)
    return key_of(kind, _floor(kind, (current.astimezone(UTC) - timedelta(seconds=1)).astimezone(local.tzinfo)))


def keys_between(kind: str, first: str, last: str, timezone: str) -> Iterator[str]:
    """Keys from `first` to `last`, both included, ascending. Raises SpecError if one is not valid."""
    window, end = window_of(kind, first, timezone), window_of(kind, last, timezone)
    start = window.start
    while start.astimezone(UTC) <= end.start.astimezone(UTC):
        yield key_of(kind, start)
        start = _next(kind, start)


def first_key(kind: str, start: date, timezone: str) -> str:
    """The key of the first window that begins on or after the local day `start`."""
    local = datetime.combine(start, time(), ZoneInfo(timezone))
    floor = _floor(kind, local)
    return key_of(kind, floor if floor == local else _next(kind, floor))


def first_day(kind: str, day: date) -> date:
    """The day on which the window begins that holds the day's last moment."""
    if kind == "weekly":
        return day - timedelta(days=day.weekday())
    months = _MONTHS.get(kind)
    return day.replace(month=(day.month - 1) // months * months + 1, day=1) if months else day


def _floor(kind: str, local: datetime) -> datetime:
    """The start of the window that holds `local`."""
    if kind in _LENGTHS:  # counted back in real time: where clocks change at a quarter to three, 03:00 may not exist
        past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond) % _LENGTHS[kind]
        return (local.astimezone(UTC) - past).astimezone(local.tzinfo)
    return datetime.combine(first_day(kind, local.date()), time(), local.tzinfo)


def _next(kind: str, start: datetime) -> datetime:
    """The start of the following window: calendar days have 23 to 25 hours, so days are added to local time."""
    if kind in _LENGTHS:
        return (start.astimezone(UTC) + _LENGTHS[kind]).astimezone(start.tzinfo)
    return _floor(kind, start + timedelta(days=_INTO_THE_NEXT[kind]))
