"""Processes that work on a Dagster run: alive while they renew their row."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import delete, select, text

from export_pipelines.errors import TransientError
from export_pipelines.ledger.heart import beating
from export_pipelines.ledger.holder import holder_of_this_process, is_dead
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import workers

_log = logging.getLogger(__name__)
_PUT = text(
    """
    insert into export_workers (run_id, store, holder, expires_at) values (:run_id, :store, :holder, :expires_at)
    on conflict (run_id, store) do update set holder = excluded.holder, expires_at = excluded.expires_at
    """
)


@contextmanager
def working(ledger: Ledger, run_id: str, store: str, *, ttl_seconds: float) -> Iterator[None]:
    """Say, while the block runs, that this process works on the run.

    A ledger that cannot be reached is logged: what needs it will say so more clearly.
    """
    mine = {"run_id": run_id, "store": store, "holder": holder_of_this_process()}

    def _beat() -> bool:
        with ledger.write() as connection:
            connection.execute(_PUT, {**mine, "expires_at": ledger.now(connection) + ttl_seconds})
        return True

    def _end() -> None:
        with ledger.write() as connection:
            connection.execute(delete(workers).where(*(workers.c[name] == value for name, value in mine.items())))

    what = f"telling that run {run_id} is alive"
    _tolerating(_beat, what)
    try:
        with beating(_beat, seconds=ttl_seconds / 3, what=what):
            yield
    finally:
        _tolerating(_end, what)


@dataclass(frozen=True)
class Silent:
    """A process that stopped renewing at least one of its rows, or is seen to have died."""

    run_id: str
    holder: str
    since: float
    """When it should have renewed at the latest, in seconds since 1970."""
    dead: bool
    """Whether it is certainly gone; otherwise it may be suspended, cut off, or gone with its machine."""


def silent(ledger: Ledger) -> list[Silent]:
    """The processes that do not answer, in the order of their runs."""
    with ledger.read() as connection:
        now = ledger.now(connection)
        rows = connection.execute(select(workers).order_by(workers.c.run_id, workers.c.store)).all()
    seen = [Silent(row.run_id, row.holder, row.expires_at, is_dead(row.holder)) for row in rows]
    return [found for found in seen if found.dead or found.since < now]


def forget(ledger: Ledger, run_ids: Sequence[str]) -> None:
    """Delete the rows of these runs."""
    with ledger.write() as connection:
        connection.execute(delete(workers).where(workers.c.run_id.in_(run_ids)))


def _tolerating(action: Callable[[], object], what: str) -> None:
    try:
        action()
    except TransientError as error:
        _log.warning("%s: %s", what, error)
