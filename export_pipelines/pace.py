"""How fast an export is written, and when it will be done: for the command line and for Dagster's log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from export_pipelines.ledger.estimates import likely_rows
from export_pipelines.text import counted

if TYPE_CHECKING:
    from export_pipelines.ledger.ledger import Ledger
    from export_pipelines.opening import Request

_MINUTE = 60


@dataclass(frozen=True)
class Seen:
    """Rows so far, rows per second, and of how many, if that can be told: `expected` is never less than `rows`."""

    rows: int
    per_second: float
    expected: int | None = None

    @property
    def seconds_left(self) -> float | None:
        """At this speed; None if nobody knows."""
        if self.expected is None or not self.per_second:
            return None
        return (self.expected - self.rows) / self.per_second

    @property
    def speed(self) -> str:
        """`12,000 rows/s`; "" before the first row."""
        return f"{self.per_second:,.0f} rows/s" if self.rows else ""

    @property
    def left(self) -> str:
        """`about 40 s left`; "" if nobody knows."""
        return "" if self.seconds_left is None else f"about {_roughly(self.seconds_left)} left"

    def __str__(self) -> str:
        rows = counted(self.rows, "row") + (f" of about {self.expected:,}" if self.expected is not None else "")
        return ", ".join(filter(None, (rows, self.speed, self.left)))


class Pace:
    """Counts rows against the clock, from when it is made or `restart` is called.

    `likely` is asked for the number of all rows once, when the first rows are seen. If there are more in the end, the
    estimate was wrong, and there is none from then on.
    """

    def __init__(self, likely: Callable[[], int | None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._likely = likely
        self._clock = clock
        self._began = clock()

    def restart(self) -> None:
        """Begin to count now."""
        self._began = self._clock()

    def seen(self, rows: int) -> Seen:
        """How far it is with so many rows."""
        seconds = max(self._clock() - self._began, 0.001)
        expected = self._expected if rows else None
        return Seen(rows, rows / seconds, expected if expected is not None and expected >= rows else None)

    @cached_property
    def _expected(self) -> int | None:
        return self._likely()


def pace_of(request: Request, ledger: Ledger) -> Pace:
    """The pace of a request, with what was published last as the estimate; the ledger is asked when rows are seen."""
    export = request.export
    last = partial(likely_rows, ledger, export.name, combined=request.last_partition is not None)
    if request.row_limit is None:
        return Pace(last)
    most = request.row_limit * len(export.spec.datasets)

    def _limited() -> int | None:
        rows = last()
        return None if rows is None else min(rows, most)

    return Pace(_limited)


def _roughly(seconds: float) -> str:
    """`1 s`, `40 s`, `2 min`, `3.5 h`: as exact as an estimate is."""
    if seconds < 2 * _MINUTE:
        return f"{max(round(seconds), 1)} s"
    minutes = seconds / _MINUTE
    return f"{minutes:.0f} min" if minutes < 2 * _MINUTE else f"{minutes / _MINUTE:.1f} h"
