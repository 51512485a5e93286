"""Partitions that one artifact combines: those of a range that begin in the same week, month, quarter or year."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from export_pipelines.spec.combining import Combine
from export_pipelines.spec.naming import span_of
from export_pipelines.timing.partitions import Window, keys_between, window_of


@dataclass(frozen=True)
class Span:
    """Partitions that follow one another, at least one. `window` is the whole of them, in the schedule's timezone."""

    keys: tuple[str, ...]
    window: Window

    @property
    def first(self) -> str:
        """The first key."""
        return self.keys[0]

    @property
    def last(self) -> str | None:
        """The last key; None of a single partition."""
        return self.keys[-1] if len(self.keys) > 1 else None

    @property
    def name(self) -> str:
        """The key, or the first and the last one: `2026-01-01--2026-01-31`."""
        return span_of(self.first, self.last)


def spans(kind: str, combine: Combine | None, first: str, last: str, timezone: str) -> Iterator[Span]:
    """The partitions from `first` to `last`, both included, as spans of the same period; ascending.

    Without `combine`, each partition is a span of its own. A week belongs to the period in which it begins. Raises
    SpecError if a key is not valid.
    """
    windows = ((key, window_of(kind, key, timezone)) for key in keys_between(kind, first, last, timezone))
    for _, group in groupby(windows, key=lambda one: _period(combine, one[1].start.date()) if combine else one[0]):
        members = list(group)
        window = Window(members[0][1].start, members[-1][1].end)
        yield Span(tuple(key for key, _ in members), window)


def _period(combine: Combine, day: date) -> tuple[int, int]:
    """What all days of the period have in common, and no other one."""
    if combine == "week":
        year, week, _ = day.isocalendar()
        return year, week
    months = {"month": 1, "quarter": 3, "year": 12}[combine]
    return day.year, (day.month - 1) // months
