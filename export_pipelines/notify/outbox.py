"""The outbox: which event goes to whom and when, and the messages that carry them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, func, select, text, update

from export_pipelines.chunks import chunks
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import Instant, events, messages, notifications
from export_pipelines.notify.events import event_of
from export_pipelines.notify.message import Event, Message
from export_pipelines.spec.recipients import Level

State = Literal["pending", "sent", "failed", "off"]
"""`off`: e-mail was switched off when the message was due."""

_ADD = text(
    """
    insert into export_notifications (event_id, recipient, topic, due_at)
    values (:event_id, :recipient, :topic, :due_at)
    on conflict (event_id, recipient) do nothing
    """
).bindparams(bindparam("due_at", type_=Instant))


@dataclass(frozen=True)
class Due:
    """A notification that may go out now."""

    id: int
    recipient: str
    topic: str
    level: Level
    export: str | None


@dataclass(frozen=True)
class MessageRow:
    """A message in the list of messages: to whom, about what, and how it went."""

    message_id: str
    recipient: str
    state: State
    created_at: datetime
    attempts: int
    next_attempt_at: datetime
    finished_at: datetime | None
    error: str | None
    events: int
    kind: str
    export: str | None


def add(connection: Connection, event: Event, recipients: Sequence[tuple[str, datetime]], *, topic: str) -> None:
    """The event goes to these recipients, each at its time; once, however often this is said."""
    rows = [{"event_id": event.id, "recipient": who, "topic": topic, "due_at": due} for who, due in recipients]
    if rows:
        connection.execute(_ADD, rows)


def told(connection: Connection, recipient: str, topic: str, *, since: datetime) -> list[datetime]:
    """When messages about the topic were made for the recipient since then, oldest first."""
    n, m = notifications.c, messages.c
    query = select(m.created_at).distinct().join_from(notifications, messages, n.message_id == m.message_id)
    query = query.where(n.recipient == recipient, n.topic == topic, m.created_at > since)
    return sorted(connection.execute(query).scalars())


def told_of(connection: Connection, topic: str, *, since: datetime) -> list[str]:
    """Recipients that events of the topic, happened since then, go or went to."""
    query = select(notifications.c.recipient).distinct().join_from(notifications, events)
    query = query.where(notifications.c.topic == topic, events.c.happened_at >= since)
    return sorted(connection.execute(query).scalars())


def align(connection: Connection, recipient: str, topic: str, due_at: datetime) -> None:
    """What waits for the recipient under the topic need not wait longer than until then."""
    n = notifications.c
    waiting = (n.recipient == recipient, n.topic == topic, n.message_id.is_(None), n.due_at > due_at)
    connection.execute(update(notifications).where(*waiting).values(due_at=due_at))


def due(connection: Connection, now: datetime) -> list[Due]:
    """Notifications without a message whose time has come, and what else waits under the same topic."""
    n = notifications.c
    ripe = select(n.recipient, n.topic).where(n.message_id.is_(None), n.due_at <= now).distinct().subquery()
    query = (
        select(n.id, n.recipient, n.topic, events.c.level, events.c.export)
        .join_from(notifications, events)
        .join(ripe, (ripe.c.recipient == n.recipient) & (ripe.c.topic == n.topic))
        .where(n.message_id.is_(None))
        .order_by(n.id)
    )
    return [Due(*row) for row in connection.execute(query)]


def bind(connection: Connection, message_id: str, parts: Sequence[Due], *, now: datetime, state: State) -> None:
    """Make one message of the notifications, which have one recipient."""
    connection.execute(
        messages.insert().values(
            message_id=message_id,
            recipient=parts[0].recipient,
            state=state,
            created_at=now,
            attempts=0,
            next_attempt_at=now,
            finished_at=None if state == "pending" else now,
        )
    )
    for numbers in chunks([part.id for part in parts]):
        chosen = notifications.c.id.in_(numbers)
        connection.execute(update(notifications).where(chosen).values(message_id=message_id))


def pending(ledger: Ledger, now: datetime, *, limit: int) -> list[Message]:
    """Messages to be sent now, oldest first, with their events."""
    query = select(messages).where(messages.c.state == "pending", messages.c.next_attempt_at <= now)
    with ledger.read() as connection:
        rows = connection.execute(query.order_by(messages.c.created_at, messages.c.message_id).limit(limit)).all()
        carried = _events(connection, [row.message_id for row in rows])
    return [
        Message(row.message_id, row.recipient, row.created_at, row.attempts, carried.get(row.message_id, []))
        for row in rows
    ]


def finish(ledger: Ledger, message: Message, state: State, *, now: datetime, note: str | None = None) -> None:
    """The message has been sent or given up; `note` says what was not perfect."""
    values: dict[str, Any] = {"state": state, "attempts": message.attempts + 1, "finished_at": now, "error": note}
    _change(ledger, message.message_id, values)


def postpone(ledger: Ledger, message: Message, error: str, *, until: datetime) -> None:
    """The message could not be sent; try again then."""
    _change(ledger, message.message_id, {"attempts": message.attempts + 1, "next_attempt_at": until, "error": error})


def hasten(ledger: Ledger, recipient: str, *, now: datetime) -> None:
    """The recipient can be reached again: what was postponed may go now."""
    waiting = (messages.c.recipient == recipient, messages.c.state == "pending", messages.c.next_attempt_at > now)
    with ledger.write() as connection:
        connection.execute(update(messages).where(*waiting).values(next_attempt_at=now))


def retry(ledger: Ledger, now: datetime) -> int:
    """Make every failed message pending again; return how many there were."""
    values = {"state": "pending", "next_attempt_at": now, "finished_at": None}
    with ledger.write() as connection:
        return connection.execute(update(messages).where(messages.c.state == "failed").values(values)).rowcount


def recent(ledger: Ledger, *, limit: int, state: State | None = None) -> list[MessageRow]:
    """Messages, newest first."""
    m, n = messages.c, notifications.c
    carried = (
        select(n.message_id, func.count().label("events"), func.max(n.event_id).label("last"))
        .group_by(n.message_id)
        .subquery()
    )
    query = (
        select(messages, carried.c.events, events.c.kind, events.c.export)
        .join(carried, carried.c.message_id == m.message_id)
        .join(events, events.c.id == carried.c.last)
        .order_by(m.created_at.desc(), m.message_id)
        .limit(limit)
    )
    if state is not None:
        query = query.where(m.state == state)
    with ledger.read() as connection:
        names = MessageRow.__dataclass_fields__
        return [MessageRow(**{name: getattr(row, name) for name in names}) for row in connection.execute(query)]


def _events(connection: Connection, message_ids: Sequence[str]) -> dict[str, list[Event]]:
    """Message -> its events in the order in which they happened."""
    query = (
        select(notifications.c.message_id, *events.c)
        .join_from(notifications, events)
        .where(notifications.c.message_id.in_(message_ids))
        .order_by(events.c.happened_at, events.c.id)
    )
    found: dict[str, list[Event]] = {}
    for row in connection.execute(query):
        found.setdefault(row.message_id, []).append(event_of(row))
    return found


def _change(ledger: Ledger, message_id: str, values: dict[str, Any]) -> None:
    change: Any = update(messages).where(messages.c.message_id == message_id).values(values)
    with ledger.write() as connection:
        connection.execute(change)
