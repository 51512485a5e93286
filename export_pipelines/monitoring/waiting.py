"""What the notifications wait for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import events, messages

STATES = ("pending", "sent", "failed", "off")


@dataclass(frozen=True)
class Waiting:
    """So many have waited since then; `error` is what the newest one of them met."""

    number: int
    since: datetime
    error: str = ""


@dataclass(frozen=True)
class Outbox:
    """How the messages stand."""

    states: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    pending: Waiting | None = None
    """Messages older than asked for that are not sent yet."""
    failed: Waiting | None = None
    """Messages that were given up."""
    unrouted: Waiting | None = None
    """Events older than asked for that nobody has been chosen for yet."""


def outbox(ledger: Ledger, *, before: datetime) -> Outbox:
    """How the messages stand; waiting is what was made before that instant."""
    m, e = messages.c, events.c
    by_state = select(m.state, func.count().label("number")).group_by(m.state)
    with ledger.read() as connection:
        return Outbox(
            states=dict.fromkeys(STATES, 0) | {row.state: row.number for row in connection.execute(by_state)},
            pending=_messages(connection, m.state == "pending", m.created_at < before),
            failed=_messages(connection, m.state == "failed"),
            unrouted=_waiting(connection, e.recorded_at, e.routed_at.is_(None), e.recorded_at < before),
        )


def _messages(connection: Connection, *chosen: ColumnElement[bool]) -> Waiting | None:
    m = messages.c
    error = select(m.error).where(*chosen, m.error.is_not(None)).order_by(m.created_at.desc()).limit(1)
    found = _waiting(connection, m.created_at, *chosen)
    return found and replace(found, error=connection.execute(error).scalar() or "")


def _waiting(connection: Connection, made: ColumnElement[Any], *chosen: ColumnElement[bool]) -> Waiting | None:
    row = connection.execute(select(func.count().label("number"), func.min(made).label("since")).where(*chosen)).one()
    return Waiting(row.number, row.since) if row.number else None
