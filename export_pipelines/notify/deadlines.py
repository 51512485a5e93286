"""Deadlines: which partition should be out by now, and whether it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, bindparam, select, text

from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import Instant, artifacts, runs, watches
from export_pipelines.notify.events import Sighting
from export_pipelines.project import Project
from export_pipelines.spec.resolved import ResolvedExport
from export_pipelines.timing.calendars import Calendar
from export_pipelines.timing.cron import previous_tick
from export_pipelines.timing.ticks import Timing, batches, timings

_TICKS_BACK = 400  # days off in a row, at most, before an export counts as not due
_WATCH = text(
    """
    insert into export_watches as watches (export, timing, since) values (:export, :timing, :since)
    on conflict (export) do update set timing = excluded.timing, since = excluded.since
     where watches.timing <> excluded.timing
    """
).bindparams(bindparam("since", type_=Instant))


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
    or its timing as it is now, was first seen here are not judged.
    """
    watched = [timing for timing in timings(exports) if timing.schedule.deadline_minutes is not None]
    since = _watch(project.ledger, watched, now)
    found = []
    with project.ledger.read() as connection:
        for timing in watched:
            due = _last_due(timing, now)
            done = _done(connection, timing, due.partition) if due else set()
            for export in timing.exports:
                judged = due if due and due.tick > since[export.name] else None
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
    schedule = timing.schedule
    allowed = timedelta(minutes=schedule.deadline_minutes or 0)
    calendar = Calendar(spec) if (spec := timing.exports[0].calendar) else None
    tick = now - allowed + timedelta(microseconds=1)  # a tick exactly then is over
    for _ in range(_TICKS_BACK):
        tick = previous_tick(schedule.cron, schedule.timezone, tick)
        planned = batches(timing, tick, calendar=calendar)
        if not isinstance(planned, str):
            due_at = (tick.astimezone(UTC) + allowed).astimezone(tick.tzinfo)  # in real time, also where clocks change
            return Due(timing.schedule_name, tick, due_at, planned[0].partition)
    return None


def _done(connection: Connection, timing: Timing, partition: str) -> set[str]:
    """The timing's exports whose partition is published, or was skipped on purpose."""
    names = [export.name for export in timing.exports]
    published = select(artifacts.c.export).where(artifacts.c.partition == partition, artifacts.c.export.in_(names))
    skipped = select(runs.c.export).where(
        runs.c.partition == partition, runs.c.state == "skipped", runs.c.export.in_(names)
    )
    return {*connection.execute(published).scalars(), *connection.execute(skipped).scalars()}


def _watch(ledger: Ledger, watched: Iterable[Timing], now: datetime) -> dict[str, datetime]:
    """Export -> since when it is watched with its timing as it is now."""
    wanted = {export.name: _fingerprint(timing) for timing in watched for export in timing.exports}
    query = select(watches).where(watches.c.export.in_(list(wanted)))
    with ledger.read() as connection:
        present = {row.export: row for row in connection.execute(query)}
    new = [
        {"export": name, "timing": timing, "since": now}
        for name, timing in wanted.items()
        if name not in present or present[name].timing != timing
    ]
    if new:
        with ledger.write() as connection:
            connection.execute(_WATCH, new)
    return {name: row.since for name, row in present.items()} | {row["export"]: now for row in new}


def _fingerprint(timing: Timing) -> str:
    schedule = timing.schedule
    return f"{schedule.cron} {schedule.timezone} {timing.partitioning.kind} {schedule.deadline_minutes}"
