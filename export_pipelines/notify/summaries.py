"""What summaries tell: the warnings of a day, the runs of a week."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from export_pipelines.monitoring.stats import DayStats, ExportStats, by_day, run_stats
from export_pipelines.monitoring.troubles import late_by_export
from export_pipelines.notify import events
from export_pipelines.notify.facts import EventFacts, Group, by_subject
from export_pipelines.notify.moments import Moment
from export_pipelines.notify.witness import Witness
from export_pipelines.spec.repeated import WEEK
from export_pipelines.spec.workdays import Calendar

_DAYS_AHEAD = 7


@dataclass(frozen=True, kw_only=True)
class DailyFacts:
    """The warnings of a span, by export."""

    since: Moment
    until: Moment
    warnings: Sequence[Group]

    @property
    def number(self) -> int:
        """How many warnings."""
        return sum(len(group.events) for group in self.warnings)


@dataclass(frozen=True)
class Holiday:
    """A day without work, on a day that is otherwise worked."""

    day: date
    calendar: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ExportWeek:
    """One export in the span."""

    stats: ExportStats
    late: int
    """How often a deadline passed."""

    @property
    def ended(self) -> int:
        """Runs that ended."""
        return self.stats.succeeded + self.stats.failed


@dataclass(frozen=True, kw_only=True)
class WeeklyFacts:
    """The runs of a span: those of exports that ran, the worst first."""

    since: Moment
    until: Moment
    exports: Sequence[ExportWeek]
    days: Sequence[DayStats]
    holidays: Sequence[Holiday]

    @property
    def succeeded(self) -> int:
        """Runs that published, or skipped on purpose."""
        return sum(export.stats.succeeded for export in self.exports)

    @property
    def failed(self) -> int:
        """Runs that failed or died."""
        return sum(export.stats.failed for export in self.exports)

    @property
    def ended(self) -> int:
        """Both."""
        return self.succeeded + self.failed

    @property
    def success_rate(self) -> float | None:
        """Succeeded among those that ended, 0 to 1; None if none ended."""
        return self.succeeded / self.ended if self.ended else None

    @property
    def rows(self) -> int:
        """Rows of all artifacts."""
        return sum(export.stats.rows for export in self.exports)

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(export.stats.bytes for export in self.exports)

    @property
    def late(self) -> Sequence[ExportWeek]:
        """Exports that were late at least once."""
        return [export for export in self.exports if export.late]

    @property
    def slowest(self) -> Sequence[ExportWeek]:
        """Exports by their slowest run, the slowest first."""
        timed = [export for export in self.exports if export.stats.slowest_seconds]
        return sorted(timed, key=lambda export: -(export.stats.slowest_seconds or 0))


def daily(event: EventFacts, witness: Witness) -> DailyFacts:
    """The facts of a daily summary: warnings of the exports in its scope."""
    since, until = _span(event)
    found = events.between(
        witness.project.ledger, since.instant, until.instant, level="warning", exports=event.texts("exports")
    )
    return DailyFacts(since=since, until=until, warnings=by_subject([witness.event(warning) for warning in found]))


def weekly(event: EventFacts, witness: Witness) -> WeeklyFacts:
    """The facts of a weekly report: runs of the exports in its scope, and the holidays of the 7 days that follow."""
    since, until = _span(event)
    ledger, scope = witness.project.ledger, set(event.texts("exports"))
    found = {stats.export: stats for stats in run_stats(ledger, since=since.instant, until=until.instant)}
    late = late_by_export(ledger, since=since.instant, until=until.instant)
    weeks = [
        ExportWeek(stats=found.get(name, ExportStats(export=name)), late=late.get(name, 0))
        for name in scope & {*found, *late}
    ]
    return WeeklyFacts(
        since=since,
        until=until,
        exports=sorted(weeks, key=lambda week: (-week.stats.failed, -week.late, week.stats.export)),
        days=by_day(ledger, since=since.instant, until=until.instant, timezone=until.timezone, exports=scope),
        holidays=_holidays(witness, sorted(scope), until.local.date()),
    )


def _span(event: EventFacts) -> tuple[Moment, Moment]:
    return event.moment("since") or event.at, event.moment("until") or event.at


def _holidays(witness: Witness, scope: Sequence[str], first: date) -> list[Holiday]:
    """Days off of the calendars that the exports use, within the 7 days from `first` on; weekends are left out."""
    specs = witness.project.specs
    exports = [specs.exports[name] for name in scope if name in specs.exports]
    calendars = {export.schedule.calendar: export.calendar for export in exports if export.schedule}
    found: dict[tuple[date, str], list[str]] = defaultdict(list)
    for name, spec in sorted((name, spec) for name, spec in calendars.items() if name and spec):
        for day in (first + timedelta(days=ahead) for ahead in range(_DAYS_AHEAD)):
            reason = Calendar(spec).day_off(day)
            if reason and WEEK[day.weekday()] not in spec.weekend:
                found[day, reason].append(name)
    return [Holiday(day, ", ".join(names), reason) for (day, reason), names in sorted(found.items())]
