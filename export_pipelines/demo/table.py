"""What a demo table is, and the span of time and the size that its rows follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random

HISTORY_DAYS = 400
"""Days before today that have rows: more than a year, so that every month of last year has some."""

_BUSY_DAYS = 3
"""Today, yesterday and the day before have rows in every hour, so that yesterday's hours do in every timezone."""

Cell = str | int | float | None
Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Scope:
    """How many rows, and the day to which their dates are relative."""

    scale: int
    today: date

    def random(self, topic: str) -> Random:
        """A generator of its own for each topic: the same in every build, whatever else is built."""
        return Random(f"{topic}:{self.scale}")  # noqa: S311 - demo data, not secrets

    def day(self, age_days: int) -> date:
        """The day so many days before today."""
        return self.today - timedelta(days=age_days)

    def instants(self, random: Random, *, per_day: int) -> Iterator[datetime]:
        """Ascending instants in UTC, `per_day` times scale on each day up to the end of today.

        They are spread evenly with some jitter; the last three days have at least one in every hour.
        """
        for age in range(HISTORY_DAYS, -1, -1):
            midnight = datetime.combine(self.day(age), time(), UTC)
            count = per_day * self.scale
            if age < _BUSY_DAYS:
                count = 24 * -(-count // 24)
            for slot in range(count):
                second = int(86_400 * (slot + random.random()) / count)
                yield midnight + timedelta(seconds=second)


@dataclass(frozen=True)
class Table:
    """A table: its columns as SQL declarations, and a generator of its rows in that order."""

    name: str
    columns: tuple[str, ...]
    rows: Callable[[Scope], Iterator[Row]]

    @property
    def create(self) -> str:
        """The CREATE TABLE statement."""
        return f"CREATE TABLE {self.name} (\n  " + ",\n  ".join(self.columns) + "\n)"

    @property
    def insert(self) -> str:
        """The INSERT statement, with a `?` for each column."""
        return f"INSERT INTO {self.name} VALUES ({', '.join('?' * len(self.columns))})"  # noqa: S608 - our own names


def timestamp(instant: datetime) -> str:
    """An instant in UTC as the demo database stores it: `2026-01-31 06:05:04+00:00`."""
    return instant.isoformat(" ", "seconds")


def decimal(units: int, *, digits: int = 2) -> str:
    """A whole number of cents, or of smaller units, as exact decimal text: -1250 becomes `-12.50`."""
    whole, rest = divmod(abs(units), 10**digits)
    return f"{'-' if units < 0 else ''}{whole}.{rest:0{digits}}"
