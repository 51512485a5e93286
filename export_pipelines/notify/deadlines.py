"""Deadlines: which partition should be out by now, and whether it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from sqlalchemy import Connection, select

from export_pipelines.ledger import tables, watches
from export_pipelines.ledger.coverage import of_span
from export_pipelines.ledger.pauses import pauses_since
from export_pipelines.ledger.tables import artifacts, runs
from export_pipelines.notify.events import Sighting
from export_pipelines.project import Project
from export_pipelines.spec.resolved import ResolvedExport
from export_pipelines.timing.ticks import Timing, timings
from export_pipelines.timing.upcoming import past

_TICKS_BACK = 400  # days off in a row, at most, before an export counts as not due


@dataclass(frozen=True)
class Due:
    """The partition of the latest tick whose deadline has passed."""

    schedule: str
    tick: datetime
    due_at: datetime
    partition: str


@dataclass(frozen=True)
class Punctuality:
    """Whether an export kept its last deadline. `due` is None where none has passed yet."""

    export: str
    due: Due | None
    late: bool

    @property
    def message(self) -> str:
        """The same in a sentence."""
        if self.due is None:
            return "no deadline has passed yet"
        state = "is not published" if self.late else "is published or was skipped"
        return f"partition {self.due.partition} was due at {self.due.due_at:%Y-%m-%d %H:%M %Z} and {state}"


def punctuality(project: Project, exports: Iterable[ResolvedExport], now: datetime) -> list[Punctuality]:
    """How each export with a deadline stands.

    Only the latest deadline counts, so an old partition that is produced anew changes nothing. Ticks before the export,
    or its timing as it is now, was first seen are not judged, and neither are ticks in a pause, and others meanwhile.
    """
    watched = [timing for timing in timings(exports) if timing.schedule.deadline_minutes is not None]
    since = {name: found.since for name, found in watches.watch(project.ledger, watched, now).items()}
    last = [(timing, _last_due(timing, now)) for timing in watched]
    pauses = pauses_since(project.ledger, min((due.tick for _, due in last if due), default=now))
    found = []
    with project.ledger.read() as connection:
        for timing, due in last:
            done = _done(connection, timing, due.partition) if due else set()
            for export in timing.exports:
                judged = due if due and due.tick > since[export.name] else None
                if judged and any(pauses.of(export.name, timing.names, instant) for instant in (judged.tick, now)):
                    judged = None
                found.append(Punctuality(export.name, judged, judged is not None and export.name not in done))
    return found


def late(project: Project, now: datetime) -> Iterator[tuple[Punctuality, Sighting]]:
    """The exports that missed their last deadline, and what to record."""
    for found in punctuality(project, project.specs.exports.values(), now):
        if found.late and found.due is not None:
            due = found.due
            details = {"schedule": due.schedule, "tick": due.tick.isoformat(), "due_at": due.due_at.isoformat()}
            yield (
                found,
                Sighting(
                    key=f"late:{found.export}:{due.partition}:{due.due_at.isoformat()}",
                    kind="late",
                    happened_at=due.due_at,
                    export=found.export,
                    partition=due.partition,
                    details={**details, "cause": found.message},
                ),
            )


def _last_due(timing: Timing, now: datetime) -> Due | None:
    """The latest tick that asked for a partition and whose deadline has passed."""
    allowed = timedelta(minutes=timing.schedule.deadline_minutes or 0)
    before = now - allowed + timedelta(microseconds=1)  # a tick exactly then is over
    for found in islice(past(timing, before), _TICKS_BACK):
        if found.partition is not None:
            due_at = (found.tick.astimezone(UTC) + allowed).astimezone(found.tick.tzinfo)  # also where clocks change
            return Due(timing.schedule_name, found.tick, due_at, found.partition)
    return None


def _done(connection: Connection, timing: Timing, partition: str) -> set[str]:
    """The timing's exports whose partition is published, or was skipped on purpose."""
    names = [export.name for export in timing.exports]
    due = tables.due
    published = select(artifacts.c.export).where(of_span(artifacts, names, partition))
    empty = select(runs.c.export).where(of_span(runs, names, partition), runs.c.state == "skipped")
    skipped = select(due.c.export).where(
        due.c.partition == partition, due.c.state == "skipped", due.c.export.in_(names)
    )
    return set(connection.execute(published.union(empty, skipped)).scalars())
