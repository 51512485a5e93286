"""Attempts to produce a partition: when they ran and how they ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, select, update

from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import runs

State = Literal["running", "published", "skipped", "failed", "died"]


@dataclass(frozen=True)
class RunRow:
    """One attempt. `died` means that it ended without a word, seen by the next attempt."""

    run_id: str
    export: str
    partition: str
    state: State
    started_at: datetime
    finished_at: datetime | None
    artifact_id: str | None
    rows: int | None
    bytes: int | None
    error: str | None


def start(ledger: Ledger, *, run_id: str, export: str, partition: str, now: datetime) -> int:
    """Record a new attempt and return its number.

    The caller holds the partition's lease: earlier attempts that still look running have died.
    """
    unfinished = (runs.c.export == export, runs.c.partition == partition, runs.c.state == "running")
    with ledger.write() as connection:
        connection.execute(update(runs).where(*unfinished).values(state="died", finished_at=now))
        values = {"run_id": run_id, "export": export, "partition": partition, "state": "running", "started_at": now}
        number: int = connection.execute(runs.insert().values(values).returning(runs.c.id)).scalar_one()
        return number


def announce(ledger: Ledger, number: int, *, store: str, manifest_path: str) -> None:
    """Record what the attempt is about to publish, so that it can be found if the attempt dies at that moment."""
    with ledger.write() as connection:
        values = {"store": store, "manifest_path": manifest_path}
        connection.execute(update(runs).where(runs.c.id == number).values(values))


def unsettled(ledger: Ledger, *, export: str, partition: str, store: str) -> dict[int, str]:
    """Attempts that announced an artifact and did not say that they published it: number -> path of its manifest."""
    c = runs.c
    query = select(c.id, c.manifest_path).where(
        c.export == export, c.partition == partition, c.store == store, c.manifest_path.is_not(None)
    )
    with ledger.read() as connection:
        return {row.id: row.manifest_path for row in connection.execute(query.where(c.artifact_id.is_(None)))}


def settle(connection: Connection, number: int, artifact_id: str | None) -> None:
    """Record what an unsettled attempt published after all, or that it was nothing."""
    values = {"artifact_id": artifact_id} if artifact_id else {"manifest_path": None}
    connection.execute(update(runs).where(runs.c.id == number).values(values))


def finish(ledger: Ledger, number: int, state: State, **outcome: Any) -> None:
    """Record how the attempt ended; `outcome` holds artifact_id, rows, bytes or error."""
    with ledger.write() as connection:
        values = {"state": state, "finished_at": datetime.now(UTC), **outcome}
        connection.execute(update(runs).where(runs.c.id == number).values(values))


def recent(
    ledger: Ledger, *, export: str | None = None, run_id: str | None = None, limit: int | None = None
) -> list[RunRow]:
    """Attempts, newest first."""
    query = select(runs).order_by(runs.c.started_at.desc(), runs.c.id.desc()).limit(limit)
    if export is not None:
        query = query.where(runs.c.export == export)
    if run_id is not None:
        query = query.where(runs.c.run_id == run_id)
    with ledger.read() as connection:
        return [_run(row) for row in connection.execute(query)]


def latest_by_export(ledger: Ledger) -> dict[str, RunRow]:
    """Export -> its newest attempt."""
    newest = select(func.max(runs.c.id)).group_by(runs.c.export)
    with ledger.read() as connection:
        rows = connection.execute(select(runs).where(runs.c.id.in_(newest)))
        return {row.export: _run(row) for row in rows}


def failures(ledger: Ledger, *, since: datetime | None = None) -> dict[str, int]:
    """Export -> how many attempts failed or died, in all or of those started since then."""
    query = (
        select(runs.c.export, func.count().label("number"))
        .where(runs.c.state.in_(("failed", "died")))
        .group_by(runs.c.export)
    )
    if since is not None:
        query = query.where(runs.c.started_at >= since)
    with ledger.read() as connection:
        return {row.export: row.number for row in connection.execute(query)}


def _run(row: Row[Any]) -> RunRow:
    return RunRow(*(getattr(row, name) for name in RunRow.__dataclass_fields__))
