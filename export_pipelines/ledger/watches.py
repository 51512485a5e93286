"""Since when each export's timing is watched, and up to when its ticks are noted.

A timing that is new, or was changed, is watched from now on. The one before it stays until somebody has noted the ticks
that it had until then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, select, text, tuple_, update

from export_pipelines.chunks import STATEMENT, chunks
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import Instant, watches
from export_pipelines.spec.schedules import ScheduleSpec
from export_pipelines.timing.ticks import Timing

_ELSE = {"description", "calendar", "on_holiday", "deadline_minutes", "batch_size", "misfire"}
"""What may change without a new timing: it does not move ticks."""

_BEGIN = text(
    "insert into export_watches (export, timing, since, seen_until) values (:export, :timing, :now, :now)"
    " on conflict (export, timing) do nothing"
).bindparams(bindparam("now", type_=Instant))


@dataclass(frozen=True)
class Watch:
    """One timing of one export. Ticks after `since` count; those up to `seen_until` are noted."""

    export: str
    timing: str
    since: datetime
    seen_until: datetime

    def former(self, timing: Timing) -> ScheduleSpec | None:
        """The schedule as it was, if its partitions are those of the timing now; None otherwise."""
        told = json.loads(self.timing)
        if told.pop("partition") != timing.partitioning.kind:
            return None
        try:
            schedule = ScheduleSpec.model_validate(told)
        except ValueError:  # written by another version
            return None
        if schedule.timezone != timing.schedule.timezone:
            return None
        changes = {name: value for name, value in schedule if name not in _ELSE}
        return timing.schedule.model_copy(update=changes)


def fingerprint(timing: Timing) -> str:
    """What decides when the timing ticks, as JSON; equal timings have equal ones."""
    schedule = timing.schedule.model_dump(mode="json", exclude=_ELSE, exclude_defaults=True)
    return json.dumps({**schedule, "partition": timing.partitioning.kind}, sort_keys=True)


def watch(ledger: Ledger, timings: Iterable[Timing], now: datetime) -> dict[str, Watch]:
    """Export -> its watch, of all exports of the timings; what is new is watched from now on."""
    wanted = {export.name: fingerprint(timing) for timing in timings for export in timing.exports}
    found = {name: row for name, row in _present(ledger, wanted).items() if row.timing == wanted[name]}
    new = [{"export": name, "timing": wanted[name], "now": now} for name in wanted if name not in found]
    if not new:
        return found
    with ledger.write() as connection:
        connection.execute(_BEGIN, new)
    begun = {row["export"]: Watch(str(row["export"]), str(row["timing"]), now, now) for row in new}
    return {name: found.get(name) or begun[name] for name in wanted}


def _present(ledger: Ledger, wanted: dict[str, str]) -> dict[str, Watch]:
    return {row.export: row for row in everything(ledger) if wanted.get(row.export) == row.timing}


def everything(ledger: Ledger) -> list[Watch]:
    """All watches, also of former timings and of exports that are no more."""
    c = watches.c
    with ledger.read() as connection:
        return [Watch(*row) for row in connection.execute(select(c.export, c.timing, c.since, c.seen_until))]


def advance(connection: Connection, watched: Iterable[Watch], until: datetime) -> None:
    """Record up to when the ticks are noted, in the caller's transaction."""
    keys = [(one.export, one.timing) for one in watched]
    for chunk in chunks(keys, STATEMENT // 2):  # two values each
        these = tuple_(watches.c.export, watches.c.timing).in_(chunk)
        connection.execute(update(watches).where(these).values(seen_until=until))


def end(connection: Connection, gone: Iterable[Watch]) -> None:
    """Watch these no longer, in the caller's transaction."""
    for watched in gone:
        this = (watches.c.export == watched.export, watches.c.timing == watched.timing)
        connection.execute(delete(watches).where(*this))
