"""What was produced, how well and how fast. Nothing else computes statistics.

An *attempt* is one row of the ledger's runs. A *run* is a run id with an export and a partition: attempts that repeat
each other inside one Dagster run are one run, which ended as its last attempt did and counts when that one started.
Rows and bytes are those of artifacts, which count when they were created. Spans include `since` and exclude `until`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, literal, select

from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.runs import RunRow, run_row
from export_pipelines.ledger.tables import artifacts, runs
from export_pipelines.monitoring.days import days_between, sums_by_quarter
from export_pipelines.monitoring.spans import FAILED, PUBLISHED_SECONDS, SECONDS, SUCCEEDED, Span, number_in


@dataclass(frozen=True, kw_only=True)
class ExportStats:
    """One export in a span of time; or all exports together, named ""."""

    export: str
    runs: int = 0
    succeeded: int = 0
    """Runs that published, or skipped on purpose."""
    failed: int = 0
    """Runs that failed or died."""
    running: int = 0
    artifacts: int = 0
    partitions: int = 0
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0
    """Of the runs that published, from start to end, added up."""
    average_seconds: float | None = None
    slowest_seconds: float | None = None
    rows_per_second: float | None = None
    """Of the runs that published."""
    oldest: datetime | None = None
    """When the first artifact was created."""
    newest: datetime | None = None
    trend: float | None = None
    """Per cent by which runs take longer on average than in the equally long span before; None if one had none."""
    success_trend: float | None = None
    """Percentage points by which the success rate is above that of the span before; None if one had none."""

    @property
    def success_rate(self) -> float | None:
        """Succeeded among the runs that ended, 0 to 1; None if none ended."""
        ended = self.succeeded + self.failed
        return self.succeeded / ended if ended else None


@dataclass(frozen=True)
class DayStats:
    """One local day. `seconds` are those of the runs that published, from start to end, added up."""

    day: date
    succeeded: int = 0
    failed: int = 0
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0


def run_stats(
    ledger: Ledger, *, since: datetime | None, until: datetime | None = None, export: str | None = None
) -> list[ExportStats]:
    """Statistics of every export, by name, that ran or published in the span, or of this one. None: no limit."""
    found = _with_trends(ledger, Span(since, until, export), each=True)
    return [found[name] for name in sorted(found)]


def total_stats(
    ledger: Ledger, *, since: datetime | None, until: datetime | None = None, export: str | None = None
) -> ExportStats:
    """Statistics of all exports together, or of this one. None: no limit."""
    return _with_trends(ledger, Span(since, until, export), each=False)[""]


def by_day(
    ledger: Ledger,
    *,
    since: datetime,
    until: datetime,
    timezone: str = "UTC",
    exports: Collection[str] | None = None,
) -> list[DayStats]:
    """Every day of the span in this timezone; of the first and the last one, what lies in the span.

    Of all exports, or of these together.
    """
    span = Span(since, until, exports)
    found = {day: DayStats(day) for day in days_between(since, until, timezone)}
    counts = {"succeeded": number_in(*SUCCEEDED), "failed": number_in(*FAILED)}
    ended = {**counts, "seconds": func.coalesce(func.sum(PUBLISHED_SECONDS), 0.0)}
    made = {"rows": func.sum(artifacts.c.rows), "bytes": func.sum(artifacts.c.bytes)}
    for dated, where, sums in (
        (runs.c.started_at, span.last_attempts(), ended),
        (artifacts.c.created_at, span.artifacts(), made),
    ):
        for day, values in sums_by_quarter(ledger, dated, timezone, where=where, sums=sums):
            more = {name: getattr(found[day], name) + _number(value) for name, value in values.items()}
            found[day] = replace(found[day], **more)
    return list(found.values())


def slowest(ledger: Ledger, *, since: datetime | None, limit: int, export: str | None = None) -> list[RunRow]:
    """The attempts that published and took longest, the slowest one first."""
    query = select(runs).where(runs.c.state == "published", *Span(since, None, export).attempts())
    with ledger.read() as connection:
        return [run_row(row) for row in connection.execute(query.order_by(SECONDS.desc(), runs.c.id).limit(limit))]


def failed_runs(ledger: Ledger, *, since: datetime | None, limit: int, export: str | None = None) -> list[RunRow]:
    """The last attempts of runs that failed or died, newest first."""
    query = select(runs).where(runs.c.state.in_(FAILED), *Span(since, None, export).last_attempts())
    with ledger.read() as connection:
        newest = query.order_by(runs.c.started_at.desc(), runs.c.id.desc()).limit(limit)
        return [run_row(row) for row in connection.execute(newest)]


def _with_trends(ledger: Ledger, span: Span, *, each: bool) -> dict[str, ExportStats]:
    """Export, or "" for all of them, -> its statistics."""
    found = _sums(ledger, span, each=each)
    earlier = span.before()
    before = _sums(ledger, earlier, each=each) if earlier else {}
    return {name: _compared(stats, before[name]) if name in before else stats for name, stats in found.items()}


def _compared(stats: ExportStats, before: ExportStats) -> ExportStats:
    slower = better = None
    if stats.average_seconds is not None and before.average_seconds:
        slower = 100 * (stats.average_seconds / before.average_seconds - 1)
    if stats.success_rate is not None and before.success_rate is not None:
        better = 100 * (stats.success_rate - before.success_rate)
    return replace(stats, trend=slower, success_trend=better)


def _sums(ledger: Ledger, span: Span, *, each: bool) -> dict[str, ExportStats]:
    """Statistics without trends."""
    found = {} if each else {"": ExportStats(export="")}
    with ledger.read() as connection:
        for query in (_run_sums(span, each=each), _artifact_sums(span, each=each)):
            for row in connection.execute(query).mappings():
                stats = found.get(row["export"]) or ExportStats(export=row["export"])
                found[stats.export] = replace(stats, **{name: _number(value) for name, value in row.items()})
    return found


def _run_sums(span: Span, *, each: bool) -> Any:
    key = (runs.c.export if each else literal("")).label("export")
    seconds = func.coalesce(func.sum(PUBLISHED_SECONDS), 0.0)
    query = select(
        key,
        func.count().label("runs"),
        number_in(*SUCCEEDED).label("succeeded"),
        number_in(*FAILED).label("failed"),
        number_in("running").label("running"),
        seconds.label("seconds"),
        func.avg(PUBLISHED_SECONDS).label("average_seconds"),
        func.max(PUBLISHED_SECONDS).label("slowest_seconds"),
        (func.sum(runs.c.rows) / func.nullif(seconds, 0.0)).label("rows_per_second"),
    ).where(*span.last_attempts())
    return query.group_by(runs.c.export) if each else query


def _artifact_sums(span: Span, *, each: bool) -> Any:
    c = artifacts.c
    query = select(
        (c.export if each else literal("")).label("export"),
        func.count().label("artifacts"),
        func.count((c.export + "/" + c.partition).distinct()).label("partitions"),
        func.coalesce(func.sum(c.rows), 0).label("rows"),
        func.coalesce(func.sum(c.bytes), 0).label("bytes"),
        func.min(c.created_at).label("oldest"),
        func.max(c.created_at).label("newest"),
    ).where(*span.artifacts())
    return query.group_by(c.export) if each else query


def _number(value: Any) -> Any:
    """Sums of PostgreSQL are decimals."""
    return int(value) if isinstance(value, Decimal) else value
