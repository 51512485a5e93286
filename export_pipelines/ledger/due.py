"""What ticks have asked for: one row for each partition of each export, and what became of it.

A row is `due` until its partition is published (`done`), skipped with a reason, or given up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, exists, func, or_, select, text, update

from export_pipelines.chunks import chunks
from export_pipelines.errors import SpecError
from export_pipelines.ledger.coverage import combining, own
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import Instant, artifacts, due, runs

State = Literal["due", "done", "skipped", "given_up"]
Cause = Literal["holiday", "paused", "misfire", "overlap", "dependency", "condition", "changed", "person"]
Asker = Literal["schedule", "catch_up"]

ADVICE = "What is: exports due {}"

_OLDEST = 500  # rows of one export that are looked at together
_EMPTY = "no rows, and `on_empty` is skip"  # of attempts that an older version skipped
_INSTANTS = [bindparam(name, type_=Instant) for name in ("tick", "next_attempt_at", "now")]
_NOTE = text(
    """
    insert into export_due as due (export, partition, schedule, tick, state, cause, reason,
                                   attempts, failures, next_attempt_at, noted_at)
    values (:export, :partition, :schedule, :tick, :state, :cause, :reason, 0, 0, :next_attempt_at, :now)
    on conflict (export, partition) do update
       set schedule = excluded.schedule, tick = excluded.tick, state = excluded.state, cause = null, reason = null,
           failures = 0, requested_at = null, next_attempt_at = excluded.next_attempt_at
     where due.state = 'skipped' and excluded.state = 'due' and excluded.tick > due.tick
    """
).bindparams(*_INSTANTS)
_CLAIM = text(
    """
    insert into export_due as due (export, partition, schedule, tick, state, attempts, failures, asked_by,
                                   requested_at, noted_at)
    values (:export, :partition, :schedule, :tick, 'due', 1, 0, 'schedule', :now, :now)
    on conflict (export, partition) do update
       set state = case when due.state = 'done' then 'done' else 'due' end, cause = null, reason = null,
           attempts = due.attempts + 1, asked_by = 'schedule', requested_at = excluded.requested_at,
           next_attempt_at = null
     where due.tick < excluded.tick
        or due.tick = excluded.tick and due.state = 'due'
           and (due.attempts = 0 or due.asked_by = 'schedule' and due.requested_at is not null)
    returning export
    """
).bindparams(_INSTANTS[0], _INSTANTS[2])


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What one tick asks for, or why it does not (`cause` and `reason`).

    `next_attempt_at` is given where the tick was made and had to wait: `misfire` is not about it.
    """

    export: str
    partition: str
    schedule: str
    tick: datetime
    cause: Cause | None = None
    reason: str | None = None
    next_attempt_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class DueRow:
    """One partition of one export that a tick asked for.

    `attempts` were requested, and `failures` of them ended without publishing. `requested_at` is None unless a request
    is not known to have ended. `next_attempt_at` is None where no request had to wait. `noted_at` is when the row was
    inserted: long after its tick if nobody was there.
    """

    id: int
    export: str
    partition: str
    schedule: str
    tick: datetime
    state: State = "due"
    cause: Cause | None = None
    reason: str | None = None
    attempts: int = 0
    failures: int = 0
    asked_by: Asker | None = None
    requested_at: datetime | None = None
    next_attempt_at: datetime | None = None
    noted_at: datetime | None = None


def note(connection: Connection, asked: Iterable[Asked], now: datetime) -> None:
    """Insert what is new, in the caller's transaction. What was skipped is due again if a later tick asks for it."""
    rows = [
        {**_identity(one, now), "cause": one.cause, "reason": one.reason, "next_attempt_at": one.next_attempt_at}
        for one in asked
    ]
    if rows:
        connection.execute(_NOTE, rows)


def wait(connection: Connection, asked: Iterable[Asked], now: datetime) -> None:
    """Note what a tick asked for and could not have yet; `misfire` is not about it."""
    asked = list(asked)
    note(connection, asked, now)
    for one in asked:
        waiting = (*_of(one.export, one.partition), due.c.state == "due", due.c.attempts == 0)
        connection.execute(update(due).where(*waiting).values(next_attempt_at=one.next_attempt_at))


def claim(connection: Connection, asked: Iterable[Asked], now: datetime) -> set[str]:
    """Record that a schedule requests this now; the exports of which nobody else does for the same tick."""
    return {found for one in asked if (found := connection.execute(_CLAIM, _identity(one, now)).scalar())}


def request(connection: Connection, rows: Iterable[DueRow], now: datetime) -> set[int]:
    """Record that catching up requests these now; the ids of those that nobody changed since they were read."""
    values = {"asked_by": "catch_up", "requested_at": now, "next_attempt_at": None}
    changed = {**values, "attempts": due.c.attempts + 1}
    return {
        row.id for row in rows if connection.execute(update(due).where(*_as_read(row)).values(changed)).rowcount == 1
    }


def skip(connection: Connection, row: DueRow, cause: Cause, reason: str) -> None:
    """Record that it will not be made, unless somebody changed the row since it was read."""
    values = {"state": "skipped", "cause": cause, "reason": reason, "requested_at": None, "next_attempt_at": None}
    connection.execute(update(due).where(*_as_read(row)).values(values))


def fail(connection: Connection, row: DueRow, reason: str, *, next_attempt_at: datetime | None) -> None:
    """Record that an attempt ended without publishing; it is given up without `next_attempt_at`."""
    values = {
        "state": "due" if next_attempt_at else "given_up",
        "reason": reason,
        "failures": row.failures + 1,
        "requested_at": None,
        "next_attempt_at": next_attempt_at,
    }
    connection.execute(update(due).where(*_as_read(row)).values(values))


def give_up(connection: Connection, row: DueRow, reason: str) -> None:
    """Record that it is not tried again; an attempt that was under way has failed."""
    values = {
        "state": "given_up",
        "reason": reason,
        "failures": row.failures + (row.requested_at is not None),
        "requested_at": None,
        "next_attempt_at": None,
    }
    connection.execute(update(due).where(*_as_read(row)).values(values))


def supersede(connection: Connection, export: str, partition: str, reason: str) -> None:
    """Record that a run of it was ended in favour of a later partition."""
    values = {"state": "skipped", "cause": "overlap", "reason": reason, "requested_at": None, "next_attempt_at": None}
    connection.execute(update(due).where(*_of(export, partition), due.c.state == "due").values(values))


def abandon(connection: Connection, exports: Collection[str], reason: str) -> None:
    """Skip what is due of exports that no longer have a schedule."""
    values = {"state": "skipped", "cause": "changed", "reason": reason, "requested_at": None, "next_attempt_at": None}
    for export in exports:
        connection.execute(update(due).where(due.c.export == export, due.c.state == "due").values(values))


def reopen(connection: Connection, exports: Collection[str], *, since: datetime, until: datetime, now: datetime) -> int:
    """Make due what a pause skipped in that span, `until` excluded; how many."""
    paused = and_(due.c.state == "skipped", due.c.cause == "paused", due.c.tick >= since, due.c.tick < until)
    values = {"state": "due", "cause": None, "reason": None, "next_attempt_at": now}
    statement = update(due).where(paused, due.c.export.in_(list(exports))).values(values)
    return connection.execute(statement).rowcount


def dismiss(ledger: Ledger, export: str, partitions: Collection[str], *, reason: str) -> None:
    """Skip what is due or given up because a person wants it: all of these partitions, or none.

    Raises SpecError if one is neither, or if what was requested of it has not ended.
    """
    query = select(due).where(due.c.export == export, due.c.state.in_(("due", "given_up"))).with_for_update()
    with ledger.write() as connection:
        rows = {row.partition: row for row in connection.execute(query)}
        for partition in partitions:
            if partition not in rows:
                raise SpecError(_not_open(connection, export, partition), hint=ADVICE.format(export))
            if rows[partition].requested_at is not None:
                raise SpecError(
                    f"partition {partition} of export {export} was requested, and its run has not ended",
                    hint=f"Wait for it, or cancel it; after `exports pause {export}` it is not requested again",
                )
        values = {"state": "skipped", "cause": "person", "reason": reason, "next_attempt_at": None}
        _set(connection, [rows[partition].id for partition in partitions], values)


def _not_open(connection: Connection, export: str, partition: str) -> str:
    """Why a partition is neither due nor given up."""
    row = connection.execute(select(due.c.state, due.c.reason).where(*_of(export, partition))).first()
    if row is None:
        return f"no tick has asked for partition {partition!r} of an export {export!r}"
    return f"partition {partition} of export {export} " + (
        "is published" if row.state == "done" else f"is skipped already: {row.reason}"
    )


def settle(ledger: Ledger) -> None:
    """Mark as done what is published, and as skipped what a run skipped by a condition, with that run's reason."""
    open_ = due.c.state.in_(("due", "given_up"))
    with ledger.read() as connection:
        done = connection.execute(select(due.c.id).where(open_, is_published())).scalars().all()
        empty = connection.execute(select(due.c.id).where(open_, is_empty())).scalars().all()
    if done or empty:
        over = {"requested_at": None, "next_attempt_at": None}
        with ledger.write() as connection:
            skipped = {**over, "state": "skipped", "cause": "condition", "reason": func.coalesce(_why(), _EMPTY)}
            _set(connection, set(empty) - set(done), skipped)
            _set(connection, done, {**over, "state": "done", "cause": None, "reason": None})


def is_published() -> ColumnElement[bool]:
    """Whether the row's partition has a complete artifact, of its own or that combines several.

    Its files may have been deleted since.
    """
    c = artifacts.c
    complete = or_(c.created_at >= c.window_end, c.scheduled_at.is_not(None))  # not of a partition that had not ended
    row = (artifacts, due.c.export, due.c.partition)
    return or_(*(exists().where(found(*row), c.row_limit.is_(None), complete) for found in (own, combining)))


def is_empty() -> ColumnElement[bool]:
    """Whether a run of the row's partition, or of several with it, skipped it after its tick by a condition."""
    return or_(*(exists().where(skips) for skips in _skips()))


def _skips() -> tuple[ColumnElement[bool], ...]:
    after = and_(runs.c.state == "skipped", runs.c.started_at >= due.c.tick)
    row = (runs, due.c.export, due.c.partition)
    return and_(own(*row), after), and_(combining(*row), after)


def _why() -> ColumnElement[Any]:
    """The reason of the last such run."""
    last = select(runs.c.error).where(or_(*_skips())).order_by(runs.c.started_at.desc(), runs.c.id.desc()).limit(1)
    return last.correlate(due).scalar_subquery()


def find(ledger: Ledger, *states: State, export: str | None = None) -> list[DueRow]:
    """Rows in these states, oldest first, of one export or of all."""
    query = select(due).where(due.c.state.in_(states)).order_by(due.c.tick, due.c.id)
    if export is not None:
        query = query.where(due.c.export == export)
    with ledger.read() as connection:
        return [due_row(row) for row in connection.execute(query)]


def listed(ledger: Ledger, *, export: str | None, since: datetime | None, done: bool) -> list[DueRow]:
    """What is due or given up, and what ticks since then skipped and nobody published, oldest first; `done` too."""
    skipped = and_(due.c.state == "skipped", ~is_published())
    shown = [due.c.state.in_(("due", "given_up")), skipped if since is None else and_(skipped, due.c.tick >= since)]
    query = select(due).where(or_(*shown, due.c.state == "done") if done else or_(*shown))
    if export is not None:
        query = query.where(due.c.export == export)
    with ledger.read() as connection:
        return [due_row(row) for row in connection.execute(query.order_by(due.c.tick, due.c.id))]


def unsettled(ledger: Ledger) -> list[DueRow]:
    """The oldest rows of each export that are due, and the newest one, oldest first: what can be decided about now."""
    c = due.c
    first = func.row_number().over(partition_by=c.export, order_by=(c.tick, c.id)).label("first")
    last = func.row_number().over(partition_by=c.export, order_by=(c.tick.desc(), c.id.desc())).label("last")
    numbered: Select[Any] = select(*c, first, last).where(c.state == "due")
    rows = numbered.subquery()
    query = select(rows).where(or_(rows.c.first <= _OLDEST, rows.c.last == 1)).order_by(rows.c.tick, rows.c.id)
    with ledger.read() as connection:
        return [due_row(row) for row in connection.execute(query)]


def count(ledger: Ledger, state: State) -> int:
    """How many rows are in the state."""
    with ledger.read() as connection:
        number: int = connection.execute(select(func.count()).where(due.c.state == state)).scalar_one()
        return number


def launching(ledger: Ledger, exports: Collection[str], *, since: datetime) -> set[tuple[str, str]]:
    """(export, partition) of requests since then that have not published yet."""
    query = select(due.c.export, due.c.partition).where(
        due.c.state == "due", due.c.requested_at >= since, due.c.export.in_(list(exports)), ~is_published()
    )
    with ledger.read() as connection:
        return {(row.export, row.partition) for row in connection.execute(query)}


def last_requested(ledger: Ledger, exports: Collection[str]) -> dict[str, datetime]:
    """Export -> the latest tick of it that was requested; those without one are left out."""
    found = {}
    with ledger.read() as connection:
        for export in exports:
            query = select(due.c.tick).where(due.c.export == export, due.c.attempts > 0).order_by(due.c.tick.desc())
            if (tick := connection.execute(query.limit(1)).scalar()) is not None:
                found[export] = tick
    return found


def due_row(row: Row[Any]) -> DueRow:
    """The row of `select(due)`."""
    return DueRow(**{name: getattr(row, name) for name in DueRow.__dataclass_fields__})


def _identity(one: Asked, now: datetime) -> dict[str, Any]:
    return {
        "export": one.export,
        "partition": one.partition,
        "schedule": one.schedule,
        "tick": one.tick,
        "state": "skipped" if one.cause else "due",
        "now": now,
    }


def _of(export: str, partition: str) -> tuple[ColumnElement[bool], ...]:
    return due.c.export == export, due.c.partition == partition


def _as_read(row: DueRow) -> tuple[ColumnElement[bool], ...]:
    """Whether nobody has changed the row since it was read."""
    same = due.c.requested_at.is_(None) if row.requested_at is None else due.c.requested_at == row.requested_at
    return due.c.id == row.id, due.c.state == row.state, due.c.attempts == row.attempts, same


def _set(connection: Connection, numbers: Iterable[int], values: dict[str, Any]) -> None:
    for chunk in chunks(list(numbers)):
        connection.execute(update(due).where(due.c.id.in_(chunk)).values(values))
