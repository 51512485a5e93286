"""Deletions: decided, carried out or given up, and recorded for ever: who deleted what, when and why.

A row without an outcome is a deletion on its way. Whoever finds one that nobody works on any more can tell from it, and
from what is left in the store, how to end it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, select, update

from export_pipelines.chunks import chunks
from export_pipelines.ledger import artifacts
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import archives as archive_table
from export_pipelines.ledger.tables import artifacts as artifact_table
from export_pipelines.ledger.tables import deletions
from export_pipelines.spec.naming import span_of
from export_pipelines.storage.archive_index import ArchiveIndex

Outcome = Literal["deleted", "kept"]
_REBUILT = "found in its archive"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is to be deleted and why; `archive_store` and `archive_format` if it must be archived first.

    Decisions with the same `archive_group`, export and store may share an archive.
    """

    artifact_id: str
    why: str
    archive_store: str | None = None
    archive_format: str | None = None
    archive_group: str | None = None


@dataclass(frozen=True)
class DeletionRow:
    """One deletion. `outcome` is None while it is on its way; `error` says why it was kept, or is not finished.

    `by` and `restored_by` are names of users or Dagster runs. `sealed` tells whether the archive has it for certain.
    """

    id: int
    artifact_id: str
    batch: str
    decided_at: datetime
    by: str
    why: str
    archive_store: str | None
    archive_format: str | None
    archive_group: str | None
    archive_id: str | None
    outcome: Outcome | None
    ended_at: datetime | None
    error: str | None
    restored_at: datetime | None
    restored_by: str | None
    export: str
    partition: str
    last_partition: str | None
    bytes: int
    store: str
    sealed: bool

    @property
    def span(self) -> str:
        """Its partition, or the first and the last one that it combines: `2026-01-01--2026-01-31`."""
        return span_of(self.partition, self.last_partition)

    @property
    def cleared(self) -> bool:
        """Whether its files may be deleted: no archive is asked for, or it has been read again."""
        return self.archive_store is None or self.sealed


def lock(connection: Connection, artifact_ids: Sequence[str]) -> set[str]:
    """Those of the artifacts whose files are there and whose deletion is not on its way.

    Until the caller's transaction ends, nobody can pin or hold them.
    """
    found: set[str] = set()
    c = artifact_table.c
    for chunk in chunks(artifact_ids):
        chosen = c.artifact_id.in_(chunk)
        rows = connection.execute(select(c.artifact_id).where(chosen, c.deleted_at.is_(None)).with_for_update())
        found.update(rows.scalars())
    leaving = select(deletions.c.artifact_id).where(deletions.c.outcome.is_(None))
    return found - set(connection.execute(leaving).scalars())


def decide(connection: Connection, decisions: Sequence[Decision], *, batch: str, by: str, at: datetime) -> None:
    """Record the decisions in the caller's transaction. From now on the artifacts can be neither pinned nor held."""
    if decisions:
        common = {"batch": batch, "by": by, "decided_at": at}
        connection.execute(insert(deletions), [{**vars(decision), **common} for decision in decisions])


def register(connection: Connection, artifact_id: str, index: ArchiveIndex, *, store: str) -> None:
    """Record that an archive that was found has the artifact, if it is not known, in the caller's transaction.

    Whether its files went, and when, nobody knows for certain: an artifact that is there was kept.
    """
    c = deletions.c
    known = select(c.id).where(c.artifact_id == artifact_id, c.archive_id == index.archive_id)
    if connection.execute(known).first() is not None:
        return
    gone = select(artifact_table.c.deleted_at).where(artifact_table.c.artifact_id == artifact_id)
    outcome: Outcome = "deleted" if connection.execute(gone).scalar_one() else "kept"
    values = {
        "artifact_id": artifact_id,
        "batch": index.archive_id,
        "decided_at": index.created_at,
        "by": _REBUILT,
        "why": _REBUILT,
        "archive_store": store,
        "archive_format": index.format,
        "archive_id": index.archive_id,
        "outcome": outcome,
        "ended_at": index.created_at,
    }
    connection.execute(insert(deletions).values(values))


def underway(ledger: Ledger, *, batch: str | None = None) -> list[DeletionRow]:
    """Deletions without an outcome: of the batch, or all, in the order in which they were decided."""
    query = _rows().where(deletions.c.outcome.is_(None))
    return _find(ledger, query if batch is None else query.where(deletions.c.batch == batch))


def of_batches(ledger: Ledger, batches: Collection[str]) -> list[DeletionRow]:
    """All deletions of these batches, whatever came of them."""
    return _find(ledger, _rows().where(deletions.c.batch.in_(batches)))


def of_artifacts(ledger: Ledger, artifact_ids: Sequence[str]) -> dict[str, list[DeletionRow]]:
    """Artifact -> its deletions, oldest first."""
    found: dict[str, list[DeletionRow]] = {}
    for chunk in chunks(artifact_ids):
        for row in _find(ledger, _rows().where(deletions.c.artifact_id.in_(chunk))):
            found.setdefault(row.artifact_id, []).append(row)
    return found


def archived_as(ledger: Ledger, artifact_id: str, store: str) -> list[str]:
    """Archives in that store that have the artifact for certain, newest first."""
    rows = of_artifacts(ledger, [artifact_id]).get(artifact_id, [])
    return [row.archive_id for row in reversed(rows) if row.sealed and row.archive_id and row.archive_store == store]


def assign(connection: Connection, numbers: Collection[int], archive_id: str | None) -> None:
    """Record which archive is to have the artifacts of these deletions, in the caller's transaction."""
    connection.execute(update(deletions).where(deletions.c.id.in_(numbers)).values(archive_id=archive_id))


def assigned(ledger: Ledger, archive_id: str) -> set[str]:
    """The artifacts that the archive is to have."""
    query = select(deletions.c.artifact_id).where(deletions.c.archive_id == archive_id)
    with ledger.read() as connection:
        return set(connection.execute(query).scalars())


def end(connection: Connection, rows: Iterable[DeletionRow], outcome: Outcome, at: datetime, error: str = "") -> None:
    """Record what came of the deletions, in the caller's transaction. `error` says why artifacts were kept."""
    for row in rows:
        values = {"outcome": outcome, "ended_at": at, "error": error or None}
        connection.execute(update(deletions).where(deletions.c.id == row.id).values(values))
        if outcome == "deleted":
            artifacts.mark_deleted(connection, row.artifact_id, at)


def trouble(connection: Connection, row: DeletionRow, error: str) -> None:
    """Record why a deletion that has begun is not finished, in the caller's transaction."""
    connection.execute(update(deletions).where(deletions.c.id == row.id).values(error=error))


def restored(connection: Connection, row: DeletionRow, *, by: str, at: datetime) -> None:
    """Record that the files of a deleted artifact are back, in the caller's transaction."""
    connection.execute(update(deletions).where(deletions.c.id == row.id).values(restored_by=by, restored_at=at))
    artifacts.mark_restored(connection, row.artifact_id, at)


def _rows() -> Any:
    c = artifact_table.c
    sealed = archive_table.c.sealed_at.is_not(None).label("sealed")
    joined = deletions.join(artifact_table, c.artifact_id == deletions.c.artifact_id).outerjoin(
        archive_table, archive_table.c.archive_id == deletions.c.archive_id
    )
    return select(deletions, c.export, c.partition, c.last_partition, c.bytes, c.store, sealed).select_from(joined)


def _find(ledger: Ledger, query: Any) -> list[DeletionRow]:
    with ledger.read() as connection:
        return [_deletion(row) for row in connection.execute(query.order_by(deletions.c.id))]


def _deletion(row: Row[Any]) -> DeletionRow:
    return DeletionRow(*(getattr(row, name) for name in DeletionRow.__dataclass_fields__))
