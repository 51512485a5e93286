"""The sensor `catch_up`: whatever ticks have asked for is published, skipped with a reason, or given up in the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import dagster as dg

from export_pipelines.catching_up.decide import Decision, Requested, World, decide
from export_pipelines.catching_up.note import note_ticks
from export_pipelines.catching_up.policies import policies, timing_of
from export_pipelines.catching_up.waiting import is_waiting
from export_pipelines.ledger import due
from export_pipelines.ledger.due import DueRow
from export_pipelines.ledger.estimates import likely_seconds
from export_pipelines.ledger.pauses import pauses_since
from export_pipelines.notify import events
from export_pipelines.notify.events import Sighting
from export_pipelines.orchestration.busy import active_exports, ended_exports
from export_pipelines.orchestration.ending import end_runs
from export_pipelines.orchestration.requests import run_request
from export_pipelines.orchestration.upstream import missing
from export_pipelines.project import Project


@dataclass(frozen=True)
class CaughtUp:
    """What one tick of the sensor did, and the runs that it asks Dagster for."""

    requests: Sequence[dg.RunRequest] = field(default_factory=list)
    skipped: int = 0
    given_up: Sequence[DueRow] = field(default_factory=list)
    waiting: int = 0

    @property
    def message(self) -> str:
        """The same in a sentence."""
        if not (self.requests or self.skipped or self.given_up or self.waiting):
            return "nothing is missing"
        parts = [f"{len(self.requests)} runs requested", f"{self.waiting} partitions wait", f"{self.skipped} skipped"]
        given_up = "".join(f"; {row.export} {row.partition} was given up" for row in self.given_up)
        return ", ".join(parts) + given_up


def catch_up(project: Project, instance: dg.DagsterInstance, now: datetime) -> CaughtUp:
    """Note what is due, see what became of it, and request what nobody makes. Raises LedgerUnavailableError."""
    ledger = project.ledger
    note_ticks(project, now)
    due.settle(ledger)
    if not due.unsettled(ledger):
        return CaughtUp()
    active = active_exports(project, instance, now)
    due.settle(ledger)  # after that: what a run at work publishes meanwhile would look like a request that was lost
    rows = due.unsettled(ledger)
    rules = policies(project, pauses_since(ledger, now), now)
    latest = {name for name, rule in rules.items() if rule.misfire == "latest"}
    world = World(
        policies=rules,
        active=active,
        ended=ended_exports(project, instance, rows, now),
        made=due.last_requested(ledger, {row.export for row in rows} & latest),
        missing=missing(project, instance, [(row.export, row.partition) for row in rows if is_waiting(row)]),
        seconds=likely_seconds(ledger),
    )
    decision = decide(rows, world, now, limit=int(project.settings.number("EXPORT_CATCH_UP_RUNS")))
    return _carry_out(project, instance, decision, now)


def _carry_out(project: Project, instance: dg.DagsterInstance, decision: Decision, now: datetime) -> CaughtUp:
    """Events first: an event that is recorded twice is one event, and one that is never recorded is lost."""
    events.record(project, [given_up(row, reason, now) for row, reason in decision.give_ups])
    for run, row in decision.ends:
        end_runs(project, instance, [run], export=row.export, partition=row.partition)
    with project.ledger.write() as connection:
        for row, cause, reason in decision.skips:
            due.skip(connection, row, cause, reason)
        for row, at, reason in decision.failures:
            due.fail(connection, row, reason, next_attempt_at=at)
        for row, reason in decision.give_ups:
            due.give_up(connection, row, reason)
        wanted = [row for request in decision.requests for row in request.rows]
        ours = due.request(connection, wanted, now)
    requests = _run_requests(project, decision.requests, ours)
    waiting = due.count(project.ledger, "due") - len(ours)
    return CaughtUp(requests, len(decision.skips), [row for row, _ in decision.give_ups], waiting)


def _run_requests(project: Project, requests: Iterable[Requested], ours: set[int]) -> list[dg.RunRequest]:
    found = []
    timings = timing_of(project)
    for request in requests:
        names = [row.export for row in request.rows if row.id in ours]
        if names:
            first = request.first
            timing = timings[first.export]
            key = f"catch_up:{first.attempts + 1}"
            found.append(run_request(timing, first.tick, first.partition, names, key=key))
    return found


def given_up(row: DueRow, reason: str, now: datetime) -> Sighting:
    """The event of a partition that is not tried again, or that was not tried at all."""
    attempts = row.failures + (row.requested_at is not None)
    return Sighting(
        key=f"given_up:{row.export}:{row.partition}:{row.tick.isoformat()}",
        kind="given_up",
        happened_at=now,
        export=row.export,
        partition=row.partition,
        details={"cause": reason, "attempts": attempts, "schedule": row.schedule},
    )
