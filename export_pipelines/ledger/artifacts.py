"""Artifacts in the ledger: registered when published, found by export, partition or run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from export_pipelines.chunks import chunks
from export_pipelines.errors import SpecError
from export_pipelines.ledger.coverage import of_span
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import artifacts
from export_pipelines.storage.base import Store
from export_pipelines.storage.manifest import Manifest, parse_manifest


@dataclass(frozen=True)
class ArtifactRow:
    """One registered artifact: where it is and what its manifest says."""

    store: str
    manifest_path: str
    manifest: Manifest
    good: bool = True
    """Whether no blocking check failed, neither before it was published nor afterwards."""
    deleted_at: datetime | None = None
    """When its files were deleted; None while they are there."""

    @property
    def directory(self) -> str:
        """Directory of the files, relative to the store's root; "" is the root."""
        return self.manifest_path.rpartition("/")[0]

    def path_of(self, name: str) -> str:
        """Path of one file, relative to the store's root."""
        return f"{self.directory}/{name}" if self.directory else name


def open_artifact(store: Store, manifest_path: str) -> ArtifactRow:
    """The artifact of the manifest at this path. Raises StorageError if there is none, DamagedArtifactError."""
    with store.open(manifest_path) as file:
        manifest = parse_manifest(file.read(), where=store.uri(manifest_path))
    return ArtifactRow(store.name, manifest_path, manifest, manifest.good)


def register(connection: Connection, row: ArtifactRow) -> None:
    """Insert the artifact, in the caller's transaction."""
    connection.execute(artifacts.insert().values({**_values(row), "good": row.good}))


def register_again(connection: Connection, row: ArtifactRow) -> None:
    """Record that the artifact is there as its manifest says, in the caller's transaction.

    What the ledger alone knows of it stays: whether a check failed later, when its files were read again.
    """
    if is_registered(connection, row.manifest.artifact_id):
        this = artifacts.c.artifact_id == row.manifest.artifact_id
        connection.execute(update(artifacts).where(this).values({**_values(row), "deleted_at": None}))
    else:
        register(connection, row)


def _values(row: ArtifactRow) -> dict[str, Any]:
    manifest = row.manifest
    return {
        **manifest.model_dump(include={"artifact_id", "export", "partition", "scheduled_at", "run_id", "created_at"}),
        **manifest.model_dump(include={"spec_sha256", "row_limit", "seconds"}),
        **manifest.model_dump(include={"last_partition", "corrects"}),
        "window_start": manifest.window.start,
        "window_end": manifest.window.end,
        "store": row.store,
        "manifest_path": row.manifest_path,
        "rows": manifest.total_rows,
        "bytes": manifest.total_bytes,
        "manifest": manifest.model_dump_json(),
    }


def mark_bad(ledger: Ledger, artifact_id: str) -> None:
    """Record that a blocking check failed after the artifact was published."""
    with ledger.write() as connection:
        connection.execute(update(artifacts).where(artifacts.c.artifact_id == artifact_id).values(good=False))


def is_registered(connection: Connection, artifact_id: str) -> bool:
    """Whether the ledger has this artifact."""
    return (
        connection.execute(select(artifacts.c.export).where(artifacts.c.artifact_id == artifact_id)).first() is not None
    )


def mark_deleted(connection: Connection, artifact_id: str, at: datetime) -> None:
    """Record when its files were deleted, in the caller's transaction."""
    connection.execute(update(artifacts).where(artifacts.c.artifact_id == artifact_id).values(deleted_at=at))


def mark_restored(connection: Connection, artifact_id: str, at: datetime) -> None:
    """Record that its files are back and were found as they were published, in the caller's transaction."""
    values = {"deleted_at": None, "verified_at": at, "damaged_at": None}
    connection.execute(update(artifacts).where(artifacts.c.artifact_id == artifact_id).values(values))


def forget_others(connection: Connection, store: str, artifact_ids: Collection[str]) -> None:
    """Delete the rows of one store whose files should be there, but those of these ids; in the caller's transaction."""
    live = (artifacts.c.store == store, artifacts.c.deleted_at.is_(None))
    known = connection.execute(select(artifacts.c.artifact_id).where(*live)).scalars()
    gone = sorted(set(known) - set(artifact_ids))
    for chunk in chunks(gone):
        connection.execute(delete(artifacts).where(artifacts.c.artifact_id.in_(chunk)))


def find(
    ledger: Ledger,
    *,
    export: str | None = None,
    partition: str | None = None,
    run_id: str | None = None,
    deleted: bool = False,
    limit: int | None = None,
) -> list[ArtifactRow]:
    """Registered artifacts, newest first: those whose files are there, or those whose files were deleted.

    Those of a partition are its own and those that combine it with others; those of several,
    `2026-01-01--2026-01-31`, combine exactly these.
    """
    c = artifacts.c
    query = select(artifacts).where(c.deleted_at.is_not(None) if deleted else c.deleted_at.is_(None))
    query = query.order_by(c.created_at.desc(), c.artifact_id)
    for column, value in (("export", export), ("run_id", run_id)):
        if value is not None:
            query = query.where(artifacts.c[column] == value)
    if partition is not None:
        query = query.where(of_span(artifacts, None if export is None else [export], partition))
    with ledger.read() as connection:
        return [_artifact(row) for row in connection.execute(query.limit(limit))]


def last_good(
    ledger: Ledger, export: str, *, before: datetime | None = None, combined: bool | None = None
) -> ArtifactRow | None:
    """The newest complete artifact without a failed blocking check, of the latest partition that has one.

    Its files may have been deleted since. With `before`, only of partitions whose windows begin before that instant;
    with `combined`, only those that combine several partitions, or none of these. None if there is none.
    """
    c = artifacts.c
    query = select(artifacts).where(c.export == export, c.good, c.row_limit.is_(None))
    if combined is not None:
        query = query.where(c.last_partition.is_not(None) if combined else c.last_partition.is_(None))
    if before is not None:
        query = query.where(c.window_start < before)
    latest = query.order_by(c.window_start.desc(), c.created_at.desc(), c.artifact_id).limit(1)
    with ledger.read() as connection:
        row = connection.execute(latest).first()
        return _artifact(row) if row else None


def replaced(ledger: Ledger, export: str, span: str) -> str | None:
    """The id of the newest complete artifact that a new one of this partition corrects; None if there is none.

    It may combine the partition with others, be bad, and its files may have been deleted since. Of several that are
    combined (`2026-01-01--2026-01-31`), one that combines exactly these. For the holder of the lease only.
    """
    c = artifacts.c
    query = select(c.artifact_id).where(of_span(artifacts, [export], span), c.row_limit.is_(None))
    with ledger.read() as connection:
        return connection.execute(query.order_by(c.created_at.desc(), c.artifact_id).limit(1)).scalar()


def get(ledger: Ledger, artifact_id: str) -> ArtifactRow:
    """The artifact with this id, or with the only id that begins so; it may be deleted.

    Raises SpecError if there is none, or several.
    """
    query = select(artifacts).where(artifacts.c.artifact_id.startswith(artifact_id, autoescape=True)).limit(2)
    with ledger.read() as connection:
        rows: Sequence[Row[Any]] = connection.execute(query).all()
    if len(rows) != 1:
        found = "several artifacts" if rows else "no artifact"
        raise SpecError(f"{found} with id {artifact_id!r}", hint="List them: exports artifacts")
    return _artifact(rows[0])


def by_id(ledger: Ledger, artifact_ids: Sequence[str]) -> dict[str, ArtifactRow]:
    """Id -> artifact, of those of these whole ids that are known."""
    found: dict[str, ArtifactRow] = {}
    with ledger.read() as connection:
        for chunk in chunks(artifact_ids):
            for row in connection.execute(select(artifacts).where(artifacts.c.artifact_id.in_(chunk))):
                found[row.artifact_id] = _artifact(row)
    return found


def newest_partitions(ledger: Ledger) -> dict[str, str]:
    """Export -> the key of the latest partition, by the end of its window, that has an artifact."""
    c = artifacts.c
    newest = select(c.export, func.max(c.window_end).label("end")).group_by(c.export).subquery()
    last = func.coalesce(c.last_partition, c.partition).label("partition")
    query = select(c.export, last).join(newest, (c.export == newest.c.export) & (c.window_end == newest.c.end))
    with ledger.read() as connection:
        return {row.export: row.partition for row in connection.execute(query.distinct())}


def _artifact(row: Row[Any]) -> ArtifactRow:
    manifest = parse_manifest(row.manifest.encode(), where=f"{row.artifact_id} in the ledger")
    return ArtifactRow(row.store, row.manifest_path, manifest, row.good, row.deleted_at)
