"""From events to messages: whom to tell, what to fold, what waits.

Runs in the sender only, under its lease, so that events are taken in the order in which they happened. Each event is
routed in the transaction that marks it as routed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from export_pipelines.notify import events, incidents, outbox
from export_pipelines.notify.events import Sighting
from export_pipelines.notify.incidents import Incident
from export_pipelines.notify.kinds import Kind
from export_pipelines.notify.message import Event
from export_pipelines.notify.outbox import Due
from export_pipelines.notify.quiet import after_quiet_hours
from export_pipelines.notify.routing import Policy, digests_of, policy, recipient
from export_pipelines.project import Project
from export_pipelines.spec.recipients import EmailRecipient

_BATCH = 100  # a batch holds the write lock of a SQLite ledger
_FOLDED = frozenset({"failure", "warning"})
_GROUPED = _FOLDED | {"success"}


def dispatch(project: Project, now: datetime) -> None:
    """Route every new event, and bind what is due into messages. Raises LedgerUnavailableError."""
    while True:
        with project.ledger.write() as connection:
            batch = events.unrouted(connection, limit=_BATCH)
            for event in batch:
                _route(project, connection, event, now)
        if not batch:  # routing an event may record another one
            break
    with project.ledger.write() as connection:
        _bind(project, connection, now)


def _route(project: Project, connection: Connection, event: Event, now: datetime) -> None:
    rules = policy(project.specs, event.export)
    if incidents.opens(event):
        incident = incidents.add_failure(connection, event)
        since = {"since": incident.opened_at.isoformat(), "failures": incident.failures}
        event = replace(event, details={**event.details, **since})
        _escalate(connection, event, incident, rules, now)
    elif event.export and (open_ := incidents.current(connection, event.export)) and incidents.ends(event, open_):
        incidents.close(connection, open_, event.happened_at)
        reached = incidents.reached(event) > incidents.last_of(open_.partition)
        missing = [open_.partition] if open_.partition and reached else []
        outcome = {"missing": missing, "artifact_id": event.details.get("artifact_id")}
        events.insert(connection, [_turn("recovered", open_, event, event.happened_at, **outcome)])
    who = _recipients(project, connection, event, rules)
    topic = _topic(event)
    times = [(name, _due_at(project, connection, event, name, rules, now)) for name in who]
    outbox.add(connection, event, times, topic=topic)
    if event.kind == "recovered":
        for name, due_at in times:
            outbox.align(connection, name, topic, due_at)
    events.mark_routed(connection, event, now)


def _escalate(connection: Connection, event: Event, incident: Incident, rules: Policy, now: datetime) -> None:
    """Tell the second list, once an incident."""
    limits = rules.escalation
    if limits is None or incident.escalated_at is not None:
        return
    old = event.happened_at - incident.opened_at >= timedelta(hours=limits.after_hours)
    if incident.failures >= limits.after_failures or old:
        incidents.escalate(connection, incident, now)
        events.insert(connection, [_turn("escalated", incident, event, now, cause=_cause(event))])


def escalate_old(project: Project, now: datetime) -> None:
    """Escalate incidents that have become too old without a further failure."""
    for incident in incidents.all_open(project.ledger):
        limits = policy(project.specs, incident.export).escalation
        if limits and not incident.escalated_at and now - incident.opened_at >= timedelta(hours=limits.after_hours):
            with project.ledger.write() as connection:
                incidents.escalate(connection, incident, now)
                last = events.last_of(connection, incident.export, since=incident.opened_at)
                events.insert(connection, [_turn("escalated", incident, last, now, cause=_cause(last))])


def _cause(event: Event) -> str:
    return str(event.details.get("cause", ""))


def _turn(kind: Kind, incident: Incident, event: Event, at: datetime, **more: Any) -> Sighting:
    """The incident was escalated, or has ended, because of the event; once for each."""
    ended = kind == "recovered"
    return Sighting(
        key=f"{kind}:{incident.id}",
        kind=kind,
        happened_at=at,
        export=incident.export,
        partition=event.partition if ended else incident.partition,
        run_id=event.run_id,
        details={"since": incident.opened_at.isoformat(), "failures": incident.failures, **more},
    )


def _recipients(project: Project, connection: Connection, event: Event, rules: Policy) -> list[str]:
    if "to" in event.details:  # a test
        return list(event.details["to"])
    if event.level == "digest":
        scope = event.details["scope"]
        return digests_of(project.specs, scope)[1] if scope in project.specs.notify else []
    if event.kind == "escalated":
        return rules.escalation.to if rules.escalation else []
    if event.kind == "recovered":  # whoever heard of the failures hears of their end
        since = datetime.fromisoformat(event.details["since"])
        heard = [
            outbox.told_of(connection, topic, since=since) for topic in (_topic(event), f"escalated:{event.export}")
        ]
        return sorted({name for names in heard for name in names})
    return rules.to(event.level)


def _topic(event: Event) -> str:
    """What folds together: failures, and warnings, of one export, schedule or sensor."""
    subject = event.export or str(event.details.get("what", ""))
    if event.kind == "escalated":
        return f"escalated:{subject}"
    return f"{event.level}:{subject}" if event.level in _FOLDED else f"{event.kind}:{event.id}"


def _due_at(
    project: Project, connection: Connection, event: Event, name: str, rules: Policy, now: datetime
) -> datetime:
    """When the recipient may be told: not in quiet hours, and not again too soon.

    The first message about a topic goes at once, and so does the recovery after a single one. Whatever else happens
    within `fold_minutes` waits until they are over.
    """
    due = now
    if event.level in _FOLDED and event.kind != "escalated":
        window = timedelta(minutes=rules.fold_minutes)
        told = outbox.told(connection, name, _topic(event), since=now - window)
        if len(told) >= (2 if event.kind == "recovered" else 1):
            due = told[-1] + window
    spec = recipient(project.specs, name)
    return after_quiet_hours(spec.quiet_hours if spec else None, event.level, due)


def _bind(project: Project, connection: Connection, now: datetime) -> None:
    """One message per recipient and topic; one for all topics of a level where too many are due at once."""
    found = sorted(outbox.due(connection, now), key=lambda part: (part.recipient, part.level, part.topic, part.id))
    for (name, _level), group in groupby(found, key=lambda part: (part.recipient, part.level)):
        parts = list(group)
        state: outbox.State = "pending" if _is_on(project, name) else "off"
        for bundle in _bundles(project, parts):
            outbox.bind(connection, new_id(project), bundle, now=now, state=state)


def _bundles(project: Project, parts: Sequence[Due]) -> list[list[Due]]:
    topics = [list(group) for _, group in groupby(parts, key=lambda part: part.topic)]
    if parts[0].level in _GROUPED and len(topics) > policy(project.specs, parts[0].export).group_over:
        return [list(parts)]
    return topics


def _is_on(project: Project, name: str) -> bool:
    """Whether messages to the recipient are sent at all."""
    is_email = isinstance(recipient(project.specs, name), EmailRecipient)
    return not is_email or project.settings.switch("ENABLE_EMAIL_NOTIFICATIONS")


def new_id(project: Project) -> str:
    """A new Message-ID without its angle brackets."""
    sender = project.settings.optional("SMTP_FROM_ADDRESS") or ""
    return f"{uuid4().hex}@{sender.rpartition('@')[2].strip('<> ') or 'export-pipelines'}"
