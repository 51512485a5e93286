"""Exports that do not work now: their open incidents, with the last thing that went wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import events, incidents


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """One open incident. Deadlines that passed are in `late` and not among the `failures`."""

    export: str
    partition: str | None
    """The latest that failed or is late."""
    since: datetime
    last_at: datetime
    failures: int
    cause: str
    """Of the last failure; "" if there is none."""
    late: list[str]
    """Partitions that missed their deadline, the latest last."""
    due_at: datetime | None
    """The latest deadline that passed; None unless it is late."""


def open_troubles(ledger: Ledger) -> list[Trouble]:
    """Open incidents, the oldest first."""
    query = select(incidents).where(incidents.c.closed_at.is_(None)).order_by(incidents.c.opened_at, incidents.c.id)
    with ledger.read() as connection:
        return [_trouble(connection, row) for row in connection.execute(query).all()]


def late_by_export(ledger: Ledger, *, since: datetime, until: datetime) -> dict[str, int]:
    """Export -> how many of its deadlines passed in the span; exports that were never late are left out."""
    c = events.c
    query = select(c.export, func.count().label("number")).where(
        c.kind == "late", c.export.is_not(None), c.happened_at >= since, c.happened_at < until
    )
    with ledger.read() as connection:
        return {row.export: row.number for row in connection.execute(query.group_by(c.export))}


def _trouble(connection: Connection, incident: Row[Any]) -> Trouble:
    late = _events(connection, incident, "late")
    failed = _events(connection, incident, "failed", "given_up", "damaged", "check_failed")
    return Trouble(
        export=incident.export,
        partition=incident.partition,
        since=incident.opened_at,
        last_at=incident.last_at,
        failures=incident.failures,
        cause=str(_details(failed[-1]).get("cause", "")) if failed else "",
        late=list(dict.fromkeys(row.partition for row in late if row.partition)),
        due_at=late[-1].happened_at if late else None,
    )


def _events(connection: Connection, incident: Row[Any], *kinds: str) -> list[Row[Any]]:
    """The incident's events of these kinds, oldest first. A deadline may be seen long after it passed."""
    c = events.c
    query = select(c.partition, c.happened_at, c.details).where(
        c.export == incident.export,
        c.kind.in_(kinds),
        c.level == "failure",
        c.routed_at.is_not(None),  # others are not counted in the incident yet
        c.recorded_at >= incident.opened_at,
    )
    return list(connection.execute(query.order_by(c.happened_at, c.id)))


def _details(row: Row[Any]) -> dict[str, Any]:
    details: dict[str, Any] = json.loads(row.details)
    return details
