"""Leases: one publisher per (export, partition), or per export, with a fencing number that only grows."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, Row, bindparam, select, text, true, update

from export_pipelines.crash import passing
from export_pipelines.errors import LeaseHeldError, LeaseLostError, TransientError
from export_pipelines.ledger.heart import beating
from export_pipelines.ledger.holder import holder_of_this_process, is_dead
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import leases
from export_pipelines.spec.naming import safe_partition

WHOLE = "*"
"""In place of a partition: the whole export. Nobody else can have the lease of any of its partitions meanwhile."""

_WHOLE_SEGMENT = "_whole"  # no partition is called so
_POLL_SECONDS = 0.2
_log = logging.getLogger(__name__)

_TAKE = text(
    """
    insert into export_leases as leases (export, partition, fence, holder, expires_at)
    values (:export, :partition, 1, :holder, :expires_at)
    on conflict (export, partition) do update
       set fence = leases.fence + 1, holder = excluded.holder, expires_at = excluded.expires_at
     where leases.holder is null or leases.expires_at < :now or leases.holder = :dead
    returning fence
    """
)

_ONE_AT_A_TIME = text("select pg_advisory_xact_lock(hashtextextended(:export, 7015))")
"""Two who take leases that exclude each other do not see each other's before they commit."""


@dataclass
class Lease:
    """The right to publish one partition of one export until it expires; renewed by a thread while in use."""

    ledger: Ledger
    export: str
    partition: str
    fence: int
    holder: str
    ttl_seconds: float
    _heart: ExitStack = field(default_factory=ExitStack)
    _lost: bool = False

    def check(self) -> None:
        """Raises LeaseLostError if another run took over."""
        if self._lost:
            raise LeaseLostError(
                f"{_what(self.export, self.partition)}: another run took over, or this one was given up, "
                "because it did not answer",
                hint="Nothing was published by this run; look at the other run's result",
            )

    @contextmanager
    def fenced(self) -> Iterator[Connection]:
        """A ledger transaction during which nobody can take the lease. Raises LeaseLostError if somebody did."""
        with self.ledger.write() as connection:
            self._lost = self._lost or not self._extend(connection)
            self.check()
            yield connection

    def __enter__(self) -> Self:
        self._heart.enter_context(
            beating(self._beat, seconds=self.ttl_seconds / 3, what=f"renewing the lease of {self.export}")
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._heart.close()
        mine = (leases.c.export == self.export, leases.c.partition == self.partition, leases.c.fence == self.fence)
        try:
            with self.ledger.write() as connection:
                connection.execute(update(leases).where(*mine).values(holder=None, expires_at=0.0))
            passing("lease_released")
        except TransientError as failure:  # what was published stays published; the lease expires by itself
            _log.warning("releasing the lease of %s: %s", self.export, failure)

    def _beat(self) -> bool:
        """Renew; an unreachable ledger does not lose the lease: the fence decides at the end."""
        with self.ledger.write() as connection:
            self._lost = not self._extend(connection)
        return not self._lost

    def _extend(self, connection: Connection) -> bool:
        mine = (
            leases.c.export == self.export,
            leases.c.partition == self.partition,
            leases.c.fence == self.fence,
            leases.c.holder == self.holder,
        )
        until = self.ledger.now(connection) + self.ttl_seconds
        return connection.execute(update(leases).where(*mine).values(expires_at=until)).rowcount == 1


def acquire(ledger: Ledger, export: str, partition: str, *, ttl_seconds: float, wait_seconds: float) -> Lease:
    """The lease of the partition, or of the WHOLE export, waiting at most `wait_seconds` while another run holds it.

    A holder that stopped renewing for `ttl_seconds`, or that is seen to have died on this machine, is overtaken.
    Raises LeaseHeldError if the wait was not long enough.
    """
    holder = holder_of_this_process()
    deadline = time.monotonic() + wait_seconds
    while True:
        with ledger.write() as connection:
            fence, other = _take(ledger, connection, export, partition, holder=holder, ttl_seconds=ttl_seconds)
        if fence:
            return Lease(ledger, export, partition, fence, holder, ttl_seconds)
        if time.monotonic() > deadline:
            raise LeaseHeldError(
                f"{_what(export, partition)} is being published by {other}",
                hint=f"Waited {wait_seconds:g} s (EXPORT_LEASE_WAIT_SECONDS); run it again when that run has ended",
            )
        time.sleep(_POLL_SECONDS)


def _what(export: str, partition: str) -> str:
    return f"export {export}" + ("" if partition == WHOLE else f", partition {partition}")


@dataclass(frozen=True)
class Held:
    """A partition that somebody is publishing, or the WHOLE export."""

    export: str
    partition: str


def held(ledger: Ledger) -> list[Held]:
    """The leases that somebody has who is not known to be dead."""
    with ledger.read() as connection:
        live = select(leases).where(leases.c.expires_at > ledger.now(connection), leases.c.holder.is_not(None))
        return [Held(row.export, row.partition) for row in connection.execute(live) if not is_dead(row.holder)]


def free(ledger: Ledger, holders: Collection[str]) -> int:
    """Release the leases of these holders as far as they have expired or the holder is certainly dead; how many.

    The fencing numbers stay, so that a holder which comes back after all cannot publish.
    """
    with ledger.write() as connection:
        now = ledger.now(connection)
        held = connection.execute(select(leases).where(leases.c.holder.in_(holders))).all()
        lost = [row for row in held if row.expires_at < now or is_dead(row.holder)]
        for row in lost:
            connection.execute(update(leases).where(*_as_read(row)).values(holder=None, expires_at=0.0))
        return len(lost)


def _take(
    ledger: Ledger, connection: Connection, export: str, partition: str, *, holder: str, ttl_seconds: float
) -> tuple[int | None, str]:
    """The fence and "", or None and who holds the lease, or one that excludes it."""
    if holding := _clear(ledger, connection, export, partition):
        return None, holding
    key = (leases.c.export == bindparam("export"), leases.c.partition == bindparam("partition"))
    names = {"export": export, "partition": partition}
    other = connection.execute(select(leases.c.holder).where(*key), names).scalar() or ""
    now = ledger.now(connection)
    values = {**names, "holder": holder, "now": now, "expires_at": now + ttl_seconds}
    fence = connection.execute(_TAKE, {**values, "dead": other if is_dead(other) else ""}).scalar()
    return fence, other


def _clear(ledger: Ledger, connection: Connection, export: str, partition: str) -> str | None:
    """End the lost leases that exclude this one, so that their holders cannot publish; or who holds such a lease."""
    if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
        connection.execute(_ONE_AT_A_TIME, {"export": export})
    excluding = leases.c.partition != WHOLE if partition == WHOLE else leases.c.partition == WHOLE
    held = leases.c.export == export, excluding, leases.c.holder.is_not(None)
    rows = connection.execute(select(leases).where(*held)).all()
    now = ledger.now(connection) if rows else 0.0
    for row in rows:
        lost = true() if is_dead(row.holder) else leases.c.expires_at < now
        ended = update(leases).where(*_as_read(row), lost).values(holder=None, expires_at=0.0)
        if connection.execute(ended).rowcount == 0:
            holder: str = row.holder
            return holder
    return None


def _as_read(row: Row[Any]) -> tuple[ColumnElement[bool], ...]:
    """Whether it is still the lease of the same run."""
    c = leases.c
    return c.export == row.export, c.partition == row.partition, c.fence == row.fence, c.holder == row.holder


def partition_of(ledger: Ledger, export: str, segment: str) -> str | None:
    """The partition, or WHOLE, that has this name in paths, of those that anybody ever had the lease of; or None."""
    query = select(leases.c.partition).where(leases.c.export == export)
    with ledger.read() as connection:
        found = connection.execute(query).scalars()
        return next((partition for partition in found if _segment(partition) == segment), None)


def leased(partition: str, last_partition: str | None) -> str:
    """What whoever publishes these partitions has the lease of: the WHOLE export if they are several."""
    return partition if last_partition is None else WHOLE


def scope_of(export: str, partition: str) -> str:
    """`export/partition` as path segments: what a lease and a staging directory belong to; also of the WHOLE export."""
    return f"{export}/{_segment(partition)}"


def _segment(partition: str) -> str:
    return _WHOLE_SEGMENT if partition == WHOLE else safe_partition(partition)
