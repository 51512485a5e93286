"""Attempts to produce a partition: when they ran and how they ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, select, update

from export_pipelines.chunks import chunks
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import runs
from export_pipelines.spec.naming import span_of
from export_pipelines.storage.manifest import Manifest

State = Literal["running", "published", "skipped", "failed", "died"]


@dataclass(frozen=True)
class RunRow:
    """One attempt. `died` means that it ended without a word and published nothing, seen by the next attempt.

    `export_id` is its own, and that of the artifact that it publishes; `formats` are comma-separated; `error` is the
    whole text, `hint` the part of it that says what to do. Of a skipped attempt, `error` is why it was skipped.
    Attempts of older ledgers may have none of these.
    """

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
    hint: str | None = None
    export_id: str | None = None
    formats: str | None = None
    last_partition: str | None = None
    """Where it combines several partitions: the last of them."""

    @property
    def span(self) -> str:
        """Its partition, or the first and the last one that it combines: `2026-01-01--2026-01-31`."""
        return span_of(self.partition, self.last_partition)

    @property
    def seconds(self) -> float | None:
        """From start to end; None before the end."""
        return (self.finished_at - self.started_at).total_seconds() if self.finished_at else None


def start(ledger: Ledger, *, run_id: str, export: str, partition: str, now: datetime, **identity: str | None) -> int:
    """Record a new attempt and return its number; `identity` holds export_id, formats and last_partition.

    The caller holds the partition's lease: earlier attempts that still look running have died.
    """
    unfinished = (runs.c.export == export) & (runs.c.state == "running")
    if identity.get("last_partition") is None:  # else the lease is that of the whole export
        unfinished &= runs.c.partition == partition
    with ledger.write() as connection:
        connection.execute(update(runs).where(unfinished).values(state="died", finished_at=now))
        what = {"run_id": run_id, "export": export, "partition": partition, **identity}
        values = {**what, "state": "running", "started_at": now}
        number: int = connection.execute(runs.insert().values(values).returning(runs.c.id)).scalar_one()
        return number


def announce(ledger: Ledger, number: int, *, store: str, manifest_path: str) -> None:
    """Record what the attempt is about to publish, so that it can be found if the attempt dies at that moment."""
    with ledger.write() as connection:
        values = {"store": store, "manifest_path": manifest_path}
        connection.execute(update(runs).where(runs.c.id == number).values(values))


def unsettled(ledger: Ledger, *, export: str, partition: str | None, store: str) -> dict[int, str]:
    """Attempts that announced an artifact and did not say that they published it: number -> path of its manifest.

    Without `partition`, of the whole export.
    """
    c = runs.c
    query = select(c.id, c.manifest_path).where(c.export == export, c.store == store, c.manifest_path.is_not(None))
    if partition is not None:
        query = query.where(c.partition == partition)
    with ledger.read() as connection:
        return {row.id: row.manifest_path for row in connection.execute(query.where(c.artifact_id.is_(None)))}


def settle(connection: Connection, number: int, manifest: Manifest | None) -> None:
    """Record what an attempt published, in the caller's transaction; None if it was nothing.

    An attempt that published and then died ended when it had published, not when somebody noticed.
    """
    this = runs.c.id == number
    if manifest is None:
        connection.execute(update(runs).where(this).values(manifest_path=None))
        return
    began: datetime = connection.execute(select(runs.c.started_at).where(this)).scalar_one()
    finished_at = began + timedelta(seconds=manifest.seconds)
    values = {"state": "published", "finished_at": finished_at, **published(manifest)}
    connection.execute(update(runs).where(this).values(values))


def published(manifest: Manifest) -> dict[str, Any]:
    """What `finish` is told of an attempt that published this."""
    return {"artifact_id": manifest.artifact_id, "rows": manifest.total_rows, "bytes": manifest.total_bytes}


def finish(ledger: Ledger, number: int, state: State, **outcome: Any) -> None:
    """Record how the attempt ended; `outcome` holds artifact_id, rows, bytes, error, hint, finished_at if not now.

    What is known to be published stays so.
    """
    this = runs.c.id == number
    if state != "published":
        this &= runs.c.state != "published"
    with ledger.write() as connection:
        values = {"state": state, "finished_at": datetime.now(UTC), **outcome}
        connection.execute(update(runs).where(this).values(values))


def recent(
    ledger: Ledger,
    *,
    export: str | None = None,
    run_id: str | None = None,
    states: Collection[State] = (),
    limit: int | None = None,
) -> list[RunRow]:
    """Attempts, newest first; of all states if none is given."""
    query = select(runs).order_by(runs.c.started_at.desc(), runs.c.id.desc()).limit(limit)
    if export is not None:
        query = query.where(runs.c.export == export)
    if run_id is not None:
        query = query.where(runs.c.run_id == run_id)
    if states:
        query = query.where(runs.c.state.in_(states))
    with ledger.read() as connection:
        return [run_row(row) for row in connection.execute(query)]


def latest_by_export(ledger: Ledger) -> dict[str, RunRow]:
    """Export -> its newest attempt."""
    newest = select(func.max(runs.c.id)).group_by(runs.c.export)
    with ledger.read() as connection:
        rows = connection.execute(select(runs).where(runs.c.id.in_(newest)))
        return {row.export: run_row(row) for row in rows}


def last_by_run(ledger: Ledger, run_ids: Sequence[str]) -> dict[str, dict[str, RunRow]]:
    """Run -> export -> its last attempt in that run; runs without an attempt are left out."""
    found: dict[str, dict[str, RunRow]] = {}
    with ledger.read() as connection:
        for chunk in chunks(run_ids):
            chosen = select(runs).where(runs.c.run_id.in_(chunk)).order_by(runs.c.id)
            for row in connection.execute(chosen):
                found.setdefault(row.run_id, {})[row.export] = run_row(row)
    return found


def by_run(ledger: Ledger, run_id: str) -> dict[str, list[RunRow]]:
    """Export -> its attempts in that run, in their order."""
    found: dict[str, list[RunRow]] = {}
    with ledger.read() as connection:
        for row in connection.execute(select(runs).where(runs.c.run_id == run_id).order_by(runs.c.id)):
            found.setdefault(row.export, []).append(run_row(row))
    return found


def bury(ledger: Ledger, run_ids: Sequence[str], now: datetime) -> None:
    """Record that the attempts of these runs which look running have died."""
    unfinished = (runs.c.run_id.in_(run_ids), runs.c.state == "running")
    with ledger.write() as connection:
        connection.execute(update(runs).where(*unfinished).values(state="died", finished_at=now))


def run_row(row: Row[Any]) -> RunRow:
    """The attempt in a row of `select(runs)`."""
    return RunRow(*(getattr(row, name) for name in RunRow.__dataclass_fields__))
