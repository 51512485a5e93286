"""Whether everything works, and what to do about what does not. Imports neither Dagster nor Arrow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from export_pipelines.ledger import pulses, readings, runs
from export_pipelines.ledger.ledger import LedgerUnavailableError
from export_pipelines.ledger.pulses import Pulse
from export_pipelines.ledger.readings import Integrity
from export_pipelines.ledger.runs import RunRow
from export_pipelines.monitoring.missing import Missing, given_up, missing, sentences
from export_pipelines.monitoring.stats import ExportStats, total_stats
from export_pipelines.monitoring.storage import low
from export_pipelines.monitoring.troubles import Trouble, open_troubles
from export_pipelines.monitoring.waiting import Outbox, Waiting, outbox
from export_pipelines.project import Project
from export_pipelines.text import counted, first_sentence, moment, printable

_PATIENCE = timedelta(minutes=15)
_DAY = timedelta(days=1)
_GRACE = timedelta(days=2)  # for files to be read again: a pass was missed, or ran out of time
_REMEMBERED = timedelta(days=7)  # incidents of exports that are no longer in the specs


@dataclass(frozen=True, kw_only=True)
class Health:
    """What is wrong, one sentence each, and figures that are not wrong by themselves."""

    problems: list[str] = field(default_factory=list)
    reachable: bool = True
    """Whether the ledger can be read; nothing below is known otherwise."""
    day: ExportStats = field(default_factory=lambda: ExportStats(export=""))
    """All exports in the last 24 hours."""
    pulses: dict[str, Pulse] = field(default_factory=dict)
    last_run: RunRow | None = None
    troubles: list[Trouble] = field(default_factory=list)
    outbox: Outbox = field(default_factory=Outbox)
    files: Integrity = field(default_factory=Integrity)
    missing: list[Missing] = field(default_factory=list)
    given_up: list[Missing] = field(default_factory=list)

    @property
    def daemon_seen_at(self) -> datetime | None:
        """When the Dagster daemon last gave a sign of life."""
        pulse = self.pulses.get(pulses.OBSERVER)
        return pulse.at if pulse else None

    def gauge(self, name: str) -> int | None:
        """A number that the daemon counted; None if it never did."""
        pulse = self.pulses.get(name)
        return None if pulse is None or pulse.value is None else int(pulse.value)


def health(project: Project, now: datetime) -> Health:
    """Look at everything. Raises ConfigurationError if the environment is wrong."""
    ledger = project.ledger
    try:
        found = Health(
            day=total_stats(ledger, since=now - _DAY),
            pulses=pulses.read(ledger),
            last_run=next(iter(runs.recent(ledger, limit=1)), None),
            troubles=_troubles(project, now),
            outbox=outbox(ledger, before=now - _PATIENCE),
            files=readings.integrity(ledger),
            missing=missing(project, now),
            given_up=given_up(project),
        )
    except LedgerUnavailableError as error:
        advice = "check that the database runs and that EXPORT_LEDGER_URL is right"
        lost = f"The ledger cannot be reached ({first_sentence(str(error))}): {advice}"
        return Health(problems=[lost, *_of_specs(project)], reachable=False)
    found.problems.extend((*_of_daemon(project, found, now), *_of_exports(project, found)))
    found.problems.extend(sentences(found.missing, found.given_up))
    found.problems.extend((*_of_files(project, found, now), *low(project)))
    found.problems.extend((*_of_outbox(found.outbox), *_of_specs(project)))
    return found


def _troubles(project: Project, now: datetime) -> list[Trouble]:
    """Open incidents; those of exports that were taken out of the specs are forgotten after a week."""
    known = {*project.specs.exports, *project.specs.quarantined}
    found = open_troubles(project.ledger)
    return [trouble for trouble in found if trouble.export in known or now - trouble.last_at < _REMEMBERED]


def _of_daemon(project: Project, found: Health, now: datetime) -> Iterator[str]:
    seen, patience = found.daemon_seen_at, timedelta(minutes=project.settings.number("EXPORT_SILENT_MINUTES"))
    start = "start it: dagster-daemon run, or dagster dev"
    if seen is None:
        yield f"The Dagster daemon has never been seen, so no schedule fires and nobody is notified; {start}"
    elif now - seen > patience:
        since = _span(now - seen)
        advice = f"look at its log, see that the sensor observer is on, or {start}"
        yield f"The Dagster daemon has been silent for {since}: {advice}"


def _of_exports(project: Project, found: Health) -> Iterator[str]:
    for trouble in found.troubles:
        export = project.specs.exports.get(trouble.export)
        timezone = export.timezone if export else "UTC"
        if trouble.due_at:
            which = f"partition {trouble.late[-1]}" if trouble.late else "a partition"
            yield f"{trouble.export} is late: {which} was due at {moment(trouble.due_at, timezone)}"
        if trouble.failures:
            times = {1: "once", 2: "twice"}.get(trouble.failures, f"{trouble.failures:,} times")
            latest = f", latest partition {trouble.partition}" if trouble.partition else ""
            cause = f": {first_sentence(trouble.cause)}" if trouble.cause else ""
            yield f"{trouble.export} has failed {times} since {moment(trouble.since, timezone)}{latest}{cause}"


def _of_files(project: Project, found: Health, now: datetime) -> Iterator[str]:
    """Damage, and files that are not read again as they should be."""
    files = found.files
    if files.artifacts:
        names = printable(", ".join(f"{export} {partition}" for export, partition in files.damaged))
        more = " and others" if files.artifacts > len(files.damaged) else ""
        what = "artifact is" if files.artifacts == 1 else "artifacts are"
        yield f"{files.artifacts:,} {what} damaged: {names}{more}; see: exports verify"
    if files.archives:
        what = "archive is" if files.archives == 1 else "archives are"
        yield f"{files.archives:,} {what} damaged: restore from a backup what exports verify names"
    since = found.pulses.get(pulses.READING_SINCE)
    if since is None or files.unread_since is None or project.settings.cron("EXPORT_VERIFY_SCHEDULE") is None:
        return
    unread = now - max(files.unread_since, since.at)
    if unread > timedelta(days=project.settings.number("EXPORT_VERIFY_DAYS")) + _GRACE:
        advice = "see that the schedule verify is on and how its runs end"
        yield f"Published files have not been read again for {_span(unread)}: {advice}"


def _of_outbox(found: Outbox) -> Iterator[str]:
    if found.failed:
        what = counted(found.failed.number, "notification")
        first = f"the first of {moment(found.failed.since)}{_last(found.failed)}"
        yield f"{what} could not be delivered, {first}; see: exports notify list --state failed"
    if found.pending:
        what = "notification waits" if found.pending.number == 1 else "notifications wait"
        yield f"{found.pending.number:,} {what} since {moment(found.pending.since)}{_last(found.pending)}"
    if found.unrouted:
        what = "event waits" if found.unrouted.number == 1 else "events wait"
        since = moment(found.unrouted.since)
        yield f"{found.unrouted.number:,} {what} since {since} to be told: see that the sensor notifications is on"


def _of_specs(project: Project) -> Iterator[str]:
    specs = project.specs
    for name, problems in specs.quarantined.items():
        yield f"{name} is left out because of {counted(len(problems), 'mistake')} in the specs, see: exports check"
    others = [problem for problem in specs.problems if problem.export not in specs.quarantined]
    spoilers = {problem for problems in specs.quarantined.values() for problem in problems}
    if others := [problem for problem in others if problem not in spoilers]:
        yield f"{counted(len(others), 'mistake')} in the specs outside of exports, see: exports check"


def _last(waiting: Waiting) -> str:
    return f": {first_sentence(waiting.error)}" if waiting.error else ""


def _span(length: timedelta) -> str:
    """`12 minutes`, `3 hours`, `2 days`."""
    for unit, name in ((_DAY, "day"), (timedelta(hours=1), "hour")):
        if length >= 2 * unit:
            return counted(length // unit, name)
    return counted(length // timedelta(minutes=1), "minute")
