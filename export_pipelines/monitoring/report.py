"""Everything that a report about some days tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from export_pipelines.ledger.runs import RunRow
from export_pipelines.monitoring.health import Health, health
from export_pipelines.monitoring.stats import (
    DayStats,
    ExportStats,
    by_day,
    failed_runs,
    run_stats,
    slowest,
    total_stats,
)
from export_pipelines.monitoring.troubles import late_by_export
from export_pipelines.project import Project

SLOWEST = 10
FAILURES = 50


@dataclass(frozen=True, kw_only=True)
class Report:
    """Whole days of a timezone, the last of which is not over."""

    since: datetime
    until: datetime
    timezone: str
    total: ExportStats
    days: Sequence[DayStats]
    exports: Sequence[ExportStats]
    late: Mapping[str, int]
    """Export -> how many of its deadlines passed."""
    slowest: Sequence[RunRow]
    failures: Sequence[RunRow]
    """The last attempts of runs that failed, newest first; the newest 50 only."""
    health: Health


def make_report(project: Project, *, days: int, now: datetime, timezone: str | None = None) -> Report:
    """A report about today and the days before it, in the timezone of most exports unless another one is given.

    Raises LedgerUnavailableError.
    """
    ledger, name = project.ledger, timezone or usual_timezone(project)
    zone = ZoneInfo(name)
    first = now.astimezone(zone).date() - timedelta(days=days - 1)
    since = datetime.combine(first, time(), zone)
    return Report(
        since=since,
        until=now,
        timezone=name,
        total=total_stats(ledger, since=since, until=now),
        days=by_day(ledger, since=since, until=now, timezone=name),
        exports=run_stats(ledger, since=since, until=now),
        late=late_by_export(ledger, since=since, until=now),
        slowest=slowest(ledger, since=since, limit=SLOWEST),
        failures=failed_runs(ledger, since=since, limit=FAILURES),
        health=health(project, now),
    )


def usual_timezone(project: Project) -> str:
    """The timezone of most scheduled exports; UTC if there is none."""
    zones = Counter(export.timezone for export in project.specs.exports.values() if export.schedule is not None)
    return zones.most_common(1)[0][0] if zones else "UTC"
