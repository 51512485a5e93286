"""Spans of time as conditions on the ledger's rows, and what is counted in them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, select

from export_pipelines.ledger.tables import artifacts, runs
from export_pipelines.monitoring.sqltime import Elapsed

SUCCEEDED = ("published", "skipped")
FAILED = ("failed", "died")

SECONDS = Elapsed(runs.c.started_at, runs.c.finished_at)
"""Of an attempt, from start to end; NULL while it runs."""

PUBLISHED_SECONDS = case((runs.c.state == "published", SECONDS))
"""The same of attempts that published; NULL of others."""


@dataclass(frozen=True)
class Span:
    """From `since` on, to before `until`, of one export or several; None is no limit."""

    since: datetime | None
    until: datetime | None = None
    export: str | Collection[str] | None = None

    def attempts(self) -> list[ColumnElement[bool]]:
        """Conditions on `runs`: attempts that started in the span."""
        return [*self._of(runs.c.export), *self._within(runs.c.started_at)]

    def last_attempts(self) -> list[ColumnElement[bool]]:
        """Conditions on `runs`: of these, the attempts that were the last of their run."""
        c = runs.c
        open_ended = Span(self.since, None, self.export)  # the run's last attempt may come after the span
        run = c.run_id + "/" + c.export + "/" + c.partition  # of columns SQLite would walk the whole index
        last = select(func.max(c.id)).where(*open_ended.attempts()).group_by(run)
        return [*self.attempts(), c.id.in_(last)]

    def artifacts(self) -> list[ColumnElement[bool]]:
        """Conditions on `artifacts`: those created in the span."""
        return [*self._of(artifacts.c.export), *self._within(artifacts.c.created_at)]

    def before(self) -> Span | None:
        """The equally long span that ends where this one begins; None if this one has no beginning."""
        if self.since is None:
            return None
        return Span(self.since - ((self.until or datetime.now(UTC)) - self.since), self.since, self.export)

    def _of(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        if self.export is None:
            return []
        return [column.in_([self.export] if isinstance(self.export, str) else list(self.export))]

    def _within(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        since = [] if self.since is None else [column >= self.since]
        return since if self.until is None else [*since, column < self.until]


def number_in(*states: str) -> ColumnElement[int]:
    """How many of the attempts are in one of these states."""
    return func.coalesce(func.sum(case((runs.c.state.in_(states), 1), else_=0)), 0)
