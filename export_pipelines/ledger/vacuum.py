"""Old history is deleted: what is no longer needed to prove, to decide or to count anything.

What was published, deleted and archived stays for ever, and so do pins, holds and leases: their fencing numbers must
never begin anew, and there is one small row for each partition.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, func, or_, select, true

from export_pipelines.chunks import chunks
from export_pipelines.errors import ConfigurationError
from export_pipelines.ledger import totals
from export_pipelines.ledger.coverage import same_span
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import (
    artifacts,
    due,
    events,
    incidents,
    messages,
    notifications,
    pauses,
    runs,
    watches,
)
from export_pipelines.settings import MOST_RETENTION_DAYS, Settings

LEAST_DAYS = 31
"""Summaries of weeks, and events that are looked at again for some days, need what is younger."""

_PAGE = 1000  # rows looked at in one transaction
_FAILED = ("failed", "died")
_SEEN_AGAIN = ("quarantined", "damaged")  # found whenever somebody looks: without the event it would be told again
_COMPACT_BYTES = 64_000_000  # what SQLite rewrites within a second
_COMPACT_SHARE = 0.25

Sweep = Callable[[Connection, Sequence[Any], datetime, bool], dict[str, int]]


@dataclass(frozen=True)
class _Kind:
    """What is swept together: rows of a table, or `only` some of them. `dated` says how old they are."""

    table: Table
    dated: ColumnElement[Any]
    sweep: Sweep
    only: ColumnElement[bool] = field(default_factory=true)


@dataclass(frozen=True, kw_only=True)
class Vacuumed:
    """How many rows were deleted, or would be. A file's bytes are None where the ledger is not a SQLite file."""

    before: datetime | None
    """What ended before that was looked at; None if nothing was."""
    attempts: int = 0
    events: int = 0
    notifications: int = 0
    messages: int = 0
    incidents: int = 0
    ticks: int = 0
    file_bytes_before: int | None = None
    file_bytes_after: int | None = None


def days_of(settings: Settings, variable: str, *, least: int = 1) -> int | None:
    """The variable as whole days, or None if it is `off`. Raises ConfigurationError if it is neither."""
    text = settings.get(variable).strip()
    if text.lower() == "off":
        return None
    if text.isdecimal() and least <= int(text) <= MOST_RETENTION_DAYS:
        return int(text)
    raise ConfigurationError(
        f"environment variable {variable} is {text!r}",
        hint=f"Give whole days from {least} to {MOST_RETENTION_DAYS:,}, or `off` to keep everything",
    )


def vacuum(ledger: Ledger, now: datetime, *, days: int, dry_run: bool = False) -> Vacuumed:
    """Delete history that ended more than `days` ago, in transactions of some milliseconds.

    Of a SQLite file that is a quarter empty then, and small enough, the space is given back. Raises ConfigurationError
    if `days` are too few, LedgerUnavailableError.
    """
    if days < LEAST_DAYS:
        raise ConfigurationError(f"history of {days} days", hint=f"Keep {LEAST_DAYS} days at least")
    limit, size = now - timedelta(days=days), file_bytes(ledger)
    found: dict[str, int] = {}
    for kind in (
        _Kind(runs, runs.c.started_at, _sweep_attempts),
        _Kind(events, events.c.happened_at, _sweep_events),
        _Kind(incidents, incidents.c.closed_at, _sweep_incidents),
        _Kind(due, due.c.tick, _sweep_ticks, due.c.state == "done"),  # one state after the other, along the index
        _Kind(due, due.c.tick, _sweep_ticks, due.c.state == "skipped"),
    ):
        for name, number in _swept(ledger, kind, limit, dry_run=dry_run).items():
            found[name] = found.get(name, 0) + number
    if dry_run:
        found["messages"] = _count_messages(ledger, limit)
    else:
        _compact(ledger)
    return Vacuumed(before=limit, file_bytes_before=size, file_bytes_after=file_bytes(ledger), **found)


def runs_with_files(ledger: Ledger, run_ids: Sequence[str]) -> set[str]:
    """Which of the runs published an artifact whose files were not deleted, as far as the ledger knows."""
    found: set[str] = set()
    with ledger.read() as connection:
        for page in chunks(run_ids):
            there = select(artifacts.c.run_id).where(artifacts.c.run_id.in_(page), artifacts.c.deleted_at.is_(None))
            published = select(runs.c.run_id).where(runs.c.run_id.in_(page), ~_without_files())
            found.update(connection.execute(there.union(published)).scalars())
    return found


def _without_files() -> ColumnElement[bool]:
    """Whether an attempt published nothing, or its files were deleted."""
    this = artifacts.c.artifact_id == runs.c.artifact_id
    return or_(runs.c.artifact_id.is_(None), exists().where(this, artifacts.c.deleted_at.is_not(None)))


def file_bytes(ledger: Ledger) -> int | None:
    """The size of the ledger's file; None if it is not in one."""
    if ledger.url.get_backend_name() != "sqlite" or not ledger.url.database or ledger.url.database == ":memory:":
        return None
    path = Path(ledger.url.database)
    return path.stat().st_size if path.exists() else 0


def _swept(ledger: Ledger, kind: _Kind, limit: datetime, *, dry_run: bool) -> dict[str, int]:
    """Sweep the old rows of a table page by page; name -> how many were deleted."""
    found: dict[str, int] = {}
    for numbers in _pages(ledger, kind, limit):
        with ledger.read() as connection:
            gone = kind.sweep(connection, numbers, limit, True)
        if not dry_run and any(gone.values()):
            began = time.monotonic()
            with ledger.write() as connection:
                gone = kind.sweep(connection, numbers, limit, False)
            time.sleep(time.monotonic() - began)  # SQLite has no queue for its lock: leave others half of the time
        for name, number in gone.items():
            found[name] = found.get(name, 0) + number
    return found


def _pages(ledger: Ledger, kind: _Kind, limit: datetime) -> Iterator[list[int]]:
    """The ids of rows older than the limit, oldest first; each page is a short read along an index."""
    table, dated = kind.table, kind.dated
    oldest = select(table.c.id, dated).where(kind.only, dated < limit).order_by(dated, table.c.id).limit(_PAGE)
    query = oldest
    while True:
        with ledger.read() as connection:
            rows = connection.execute(query).all()
        if rows:
            yield [row[0] for row in rows]
        if len(rows) < _PAGE:
            return
        last_id, last = rows[-1]
        query = oldest.where(dated >= last, or_(dated > last, table.c.id > last_id))


def _sweep_attempts(connection: Connection, numbers: Sequence[Any], limit: datetime, dry_run: bool) -> dict[str, int]:
    """Attempts that a later one of the same partition repeated, and whose files, if there were any, are gone.

    The newest of each partition stays, also the newest that published and the newest that was skipped: they tell how
    the partition stands. So does one that has announced files and was not settled yet.
    """
    c, later = runs.c, runs.alias()
    repeated = exists().where(same_span(later, runs), later.c.id > c.id)
    superseded = or_(c.state.in_(_FAILED), repeated.where(later.c.state == c.state))
    settled = or_(c.manifest_path.is_(None), c.artifact_id.is_not(None))
    old = and_(c.id.in_(numbers), c.state != "running", c.finished_at < limit)
    useless = select(c.id).where(old, repeated, superseded, settled, _without_files())
    chosen = connection.execute(useless).scalars().all()
    if not dry_run:
        totals.add(connection, chosen)
        connection.execute(delete(runs).where(c.id.in_(chosen)))
    return {"attempts": len(chosen)}


def _sweep_events(connection: Connection, numbers: Sequence[Any], limit: datetime, dry_run: bool) -> dict[str, int]:
    """Events with their notifications, and messages of which no notification is left."""
    n, m = notifications.c, messages.c
    if not dry_run:  # nobody makes a message pending again meanwhile
        carrying = select(n.message_id).where(n.event_id.in_(numbers))
        connection.execute(select(m.message_id).where(m.message_id.in_(carrying)).with_for_update()).all()
    chosen = connection.execute(select(events.c.id).where(events.c.id.in_(numbers), _told(limit))).scalars().all()
    if dry_run:
        number = select(func.count()).select_from(notifications).where(n.event_id.in_(chosen))
        return {"events": len(chosen), "notifications": connection.execute(number).scalar_one()}
    of_these = n.event_id.in_(chosen)
    carried = connection.execute(select(n.message_id).distinct().where(of_these)).scalars().all()
    gone = connection.execute(delete(notifications).where(of_these)).rowcount
    empty = ~exists().where(n.message_id == m.message_id)
    sent = connection.execute(delete(messages).where(m.message_id.in_(carried), empty)).rowcount
    connection.execute(delete(events).where(events.c.id.in_(chosen)))
    return {"events": len(chosen), "notifications": gone, "messages": sent}


def _told(limit: datetime) -> ColumnElement[bool]:
    """Whether an event is of no use any more: everybody was told long ago, and it is no part of what is wrong now."""
    e, i, n, m = events.c, incidents.c, notifications.alias().c, messages.alias().c
    since = or_(e.recorded_at >= i.opened_at, e.happened_at >= i.opened_at)
    wrong_now = exists().where(i.export == e.export, i.closed_at.is_(None), since)
    sent = exists().where(m.message_id == n.message_id, m.finished_at < limit)
    waiting = exists().where(n.event_id == e.id, ~sent)
    newest = select(func.max(e.id)).correlate(None).scalar_subquery()  # SQLite would give its number again
    old = and_(e.happened_at < limit, e.recorded_at < limit, e.routed_at < limit, e.kind.not_in(_SEEN_AGAIN))
    return and_(old, e.id < newest, ~waiting, ~wrong_now)


def _sweep_incidents(connection: Connection, numbers: Sequence[Any], limit: datetime, dry_run: bool) -> dict[str, int]:
    """Incidents that ended."""
    i = incidents.c
    newest = select(func.max(i.id)).correlate(None).scalar_subquery()  # events are named after its number
    chosen = and_(i.id.in_(numbers), i.closed_at < limit, i.id < newest)
    if dry_run:
        number = select(func.count()).select_from(incidents).where(chosen)
        return {"incidents": connection.execute(number).scalar_one()}
    return {"incidents": connection.execute(delete(incidents).where(chosen)).rowcount}


def _sweep_ticks(connection: Connection, numbers: Sequence[Any], limit: datetime, dry_run: bool) -> dict[str, int]:
    """What ticks asked for and was published or skipped.

    Ticks up to which an export is watched are not noted again; those after that stay. So do the newest one that was
    requested of each export, for `misfire: latest`; what a pause skipped that was not over then, which `resume
    --catch-up` makes due again; and what was skipped or published of partitions that are due of another export.
    """
    d, later, w, p = due.c, due.alias().c, watches.c, pauses.c
    unseen = exists().where(w.export == d.export, w.seen_until < d.tick)
    requested = or_(d.attempts == 0, exists().where(later.export == d.export, later.attempts > 0, later.tick > d.tick))
    lasting = and_(or_(p.ended_at.is_(None), p.ended_at >= limit), or_(p.until.is_(None), p.until >= limit))
    paused = exists().where(or_(p.kind == "schedule", p.name == d.export), p.at <= d.tick, lasting)
    at_rest = or_(d.requested_at.is_(None), d.requested_at < limit)
    waiting = select(later.partition).where(later.state == "due")
    over = and_(d.id.in_(numbers), d.state.in_(("done", "skipped")), d.tick < limit, at_rest)
    useless = and_(over, ~unseen, requested, or_(d.cause.is_distinct_from("paused"), ~paused))
    chosen = connection.execute(select(d.id).where(useless, d.partition.not_in(waiting))).scalars().all()
    if not dry_run and chosen:
        gone = delete(due).where(d.id.in_(chosen), d.state.in_(("done", "skipped")))  # nobody has made it due meanwhile
        return {"ticks": connection.execute(gone).rowcount}
    return {"ticks": len(chosen)}


def _count_messages(ledger: Ledger, limit: datetime) -> int:
    """Messages all of whose events would be deleted."""
    n, m = notifications.c, messages.c
    staying = exists().where(n.message_id == m.message_id, events.c.id == n.event_id, ~_told(limit))
    carried = exists().where(n.message_id == m.message_id)
    with ledger.read() as connection:
        query = select(func.count()).select_from(messages).where(m.finished_at < limit, carried, ~staying)
        number: int = connection.execute(query).scalar_one()
        return number


def _compact(ledger: Ledger) -> None:
    """Give back what is empty in a SQLite file: only where that is much, and locks out nobody for long.

    Otherwise new rows use the space. PostgreSQL does all of this by itself.
    """
    if file_bytes(ledger) is None:
        return
    with closing(ledger.engine.raw_connection()) as connection:
        cursor = connection.cursor()
        pages, free, size = (cursor.execute(f"pragma {name}").fetchone()[0] for name in _PRAGMAS)
        if free < pages * _COMPACT_SHARE or (pages - free) * size > _COMPACT_BYTES:
            return
        try:
            cursor.execute("vacuum")
        except sqlite3.OperationalError:  # somebody is at work, or the disk has no space for a copy: another time
            return


_PRAGMAS = ("page_count", "freelist_count", "page_size")
