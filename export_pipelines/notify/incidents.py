"""Incidents: from an export's first failure until it works again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import incidents
from export_pipelines.notify.message import Event
from export_pipelines.spec.naming import ends_of


@dataclass(frozen=True)
class Incident:
    """Failures of one export without a success in between. `partition` is the latest that failed or is late.

    `failures` does not count deadlines that passed, or that a partition was given up: the failure itself comes too, if
    there is one.
    """

    id: int
    export: str
    partition: str | None
    opened_at: datetime
    last_at: datetime
    failures: int
    escalated_at: datetime | None
    closed_at: datetime | None


def opens(event: Event) -> bool:
    """Whether the event begins or continues an incident."""
    blocked = event.kind == "check_failed" and bool(event.details.get("blocking"))
    return event.export is not None and (event.kind in ("failed", "late", "given_up") or blocked)


def ends(event: Event, incident: Incident) -> bool:
    """Whether the event ends the incident: the partition that failed, or a later one, was produced afterwards."""
    produced = event.kind in ("succeeded", "skipped", "empty")
    return produced and event.happened_at >= incident.last_at and reached(event) >= last_of(incident.partition)


def reached(event: Event) -> str:
    """The latest partition that the event is about, of several that are combined the last; "" if it is about none."""
    return last_of(event.partition)


def last_of(partition: str | None) -> str:
    """The partition, the last one of several that are combined, or ""."""
    return ends_of(partition or "")[1]


def current(connection: Connection, export: str) -> Incident | None:
    """The export's open incident."""
    query = select(incidents).where(incidents.c.export == export, incidents.c.closed_at.is_(None))
    row = connection.execute(query.order_by(incidents.c.id.desc())).first()
    return _incident(row) if row else None


def all_open(ledger: Ledger) -> list[Incident]:
    """Open incidents, oldest first."""
    query = select(incidents).where(incidents.c.closed_at.is_(None)).order_by(incidents.c.opened_at, incidents.c.id)
    with ledger.read() as connection:
        return [_incident(row) for row in connection.execute(query)]


def add_failure(connection: Connection, event: Event) -> Incident:
    """Open an incident with the event, or count the event in the open one."""
    open_ = current(connection, event.export or "")
    failures = 0 if event.kind in ("late", "given_up") else 1
    if open_ is None:
        values: dict[str, Any] = {
            "export": event.export,
            "partition": event.partition,
            "opened_at": event.happened_at,
            "last_at": event.happened_at,
            "failures": failures,
        }
        row = connection.execute(incidents.insert().values(values).returning(*incidents.c)).one()
    else:
        values = {
            "partition": max(open_.partition or "", event.partition or "", key=last_of) or None,
            "last_at": max(open_.last_at, event.happened_at),
            "failures": open_.failures + failures,
        }
        change = update(incidents).where(incidents.c.id == open_.id).values(values)
        row = connection.execute(change.returning(*incidents.c)).one()
    return _incident(row)


def escalate(connection: Connection, incident: Incident, now: datetime) -> None:
    """Record that the second list has been told."""
    connection.execute(update(incidents).where(incidents.c.id == incident.id).values(escalated_at=now))


def close(connection: Connection, incident: Incident, at: datetime) -> None:
    """Record that the export works again."""
    connection.execute(update(incidents).where(incidents.c.id == incident.id).values(closed_at=at))


def _incident(row: Row[Any]) -> Incident:
    return Incident(*(getattr(row, name) for name in Incident.__dataclass_fields__))
