"""Events in the ledger: whoever sees something records it, once, however often it is seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, text, update

from export_pipelines.chunks import chunks
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import Instant, events
from export_pipelines.notify.kinds import LEVELS, Kind
from export_pipelines.notify.message import Event
from export_pipelines.notify.redaction import redact
from export_pipelines.project import Project
from export_pipelines.spec.recipients import Level

_INSERT = text(
    """
    insert into export_events
           (key, kind, level, export, partition, run_id, happened_at, recorded_at, details)
    values (:key, :kind, :level, :export, :partition, :run_id, :happened_at, :recorded_at, :details)
    on conflict (key) do nothing
    """
).bindparams(bindparam("happened_at", type_=Instant), bindparam("recorded_at", type_=Instant))


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """Something seen. Sightings with the same `key` are one event; the first one counts.

    `level` is the kind's, unless given. `details` hold JSON values; see docs/notifications.md.
    """

    key: str
    kind: Kind
    happened_at: datetime
    level: Level | None = None
    export: str | None = None
    partition: str | None = None
    run_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def record(project: Project, sightings: Sequence[Sighting]) -> None:
    """Insert what is new, with the values of secrets taken out of all texts. Raises LedgerUnavailableError."""
    if not sightings:
        return
    with project.ledger.write() as connection:
        insert(connection, [_clean(project, sighting) for sighting in sightings])


def insert(connection: Connection, sightings: Iterable[Sighting]) -> None:
    """Insert what is new, in the caller's transaction."""
    now = datetime.now(UTC)
    rows = [
        {
            "key": seen.key[:300],
            "kind": seen.kind,
            "level": seen.level or LEVELS[seen.kind],
            "export": seen.export,
            "partition": seen.partition,
            "run_id": seen.run_id,
            "happened_at": seen.happened_at,
            "recorded_at": now,
            "details": json.dumps(seen.details),
        }
        for seen in sightings
    ]
    if rows:
        connection.execute(_INSERT, rows)


def known(ledger: Ledger, keys: Sequence[str]) -> set[str]:
    """Which of the keys are recorded."""
    found: set[str] = set()
    with ledger.read() as connection:
        for chunk in chunks(keys):
            found.update(connection.execute(select(events.c.key).where(events.c.key.in_(chunk))).scalars())
    return found


def known_runs(ledger: Ledger, run_ids: Sequence[str], kinds: Sequence[Kind]) -> set[str]:
    """Which of the runs have an event of one of the kinds."""
    query = select(events.c.run_id).distinct().where(events.c.kind.in_(kinds))
    found: set[str] = set()
    with ledger.read() as connection:
        for chunk in chunks(run_ids):
            found.update(connection.execute(query.where(events.c.run_id.in_(chunk))).scalars())
    return found


def unrouted(connection: Connection, *, limit: int) -> list[Event]:
    """Events that nobody has been chosen for, in the order in which they happened."""
    query = select(events).where(events.c.routed_at.is_(None)).order_by(events.c.happened_at, events.c.id)
    return [event_of(row) for row in connection.execute(query.limit(limit))]


def last_of(connection: Connection, export: str, *, since: datetime) -> Event:
    """The latest failure of the export since then; there is one."""
    query = select(events).where(events.c.export == export, events.c.level == "failure", events.c.happened_at >= since)
    newest = query.order_by(events.c.happened_at.desc(), events.c.id.desc()).limit(1)
    return event_of(connection.execute(newest).one())


def mark_routed(connection: Connection, event: Event, now: datetime) -> None:
    """The event's recipients have been chosen; its details are kept as they are now."""
    values = {"routed_at": now, "details": json.dumps(event.details)}
    connection.execute(update(events).where(events.c.id == event.id).values(values))


def between(
    ledger: Ledger,
    since: datetime,
    until: datetime,
    *,
    level: Level | None = None,
    exports: Iterable[str] | None = None,
) -> list[Event]:
    """Events of the span, `until` excluded, oldest first: of one level, of some exports, or all."""
    query = select(events).where(events.c.happened_at >= since, events.c.happened_at < until)
    if level is not None:
        query = query.where(events.c.level == level)
    with ledger.read() as connection:
        rows = connection.execute(query.order_by(events.c.happened_at, events.c.id)).all()
    wanted = None if exports is None else set(exports)
    return [event_of(row) for row in rows if wanted is None or row.export in wanted]


def event_of(row: Row[Any]) -> Event:
    """The event of a row of the table."""
    return Event(
        id=row.id,
        key=row.key,
        kind=row.kind,
        level=row.level,
        export=row.export,
        partition=row.partition,
        run_id=row.run_id,
        happened_at=row.happened_at,
        details=json.loads(row.details),
    )


def _clean(project: Project, seen: Sighting) -> Sighting:
    """The sighting without the values of secrets."""
    clean = partial(redact, settings=project.settings, specs=project.specs)
    return replace(seen, details=_mapped(seen.details, clean))


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """The JSON value with every text changed; keys stay."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _mapped(item, change) for key, item in value.items()}
    return [_mapped(item, change) for item in value] if isinstance(value, list | tuple) else value
