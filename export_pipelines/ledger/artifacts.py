"""Artifacts in the ledger: registered when published, found by export, partition or run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select

from export_pipelines.errors import SpecError
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
    return ArtifactRow(store.name, manifest_path, manifest)


def register(connection: Connection, row: ArtifactRow) -> None:
    """Insert the artifact, in the caller's transaction."""
    manifest = row.manifest
    values: dict[str, Any] = {
        **manifest.model_dump(include={"artifact_id", "export", "partition", "scheduled_at", "run_id", "created_at"}),
        **manifest.model_dump(include={"spec_sha256", "row_limit", "seconds"}),
        "window_start": manifest.window.start,
        "window_end": manifest.window.end,
        "store": row.store,
        "manifest_path": row.manifest_path,
        "rows": manifest.total_rows,
        "bytes": manifest.total_bytes,
        "manifest": manifest.model_dump_json(),
    }
    connection.execute(artifacts.insert().values(values))


def is_registered(connection: Connection, artifact_id: str) -> bool:
    """Whether the ledger has this artifact."""
    return (
        connection.execute(select(artifacts.c.export).where(artifacts.c.artifact_id == artifact_id)).first() is not None
    )


def forget_all(connection: Connection, store: str) -> int:
    """Delete the rows of one store, in the caller's transaction; return how many there were."""
    return connection.execute(delete(artifacts).where(artifacts.c.store == store)).rowcount


def find(
    ledger: Ledger,
    *,
    export: str | None = None,
    partition: str | None = None,
    run_id: str | None = None,
    limit: int | None = None,
) -> list[ArtifactRow]:
    """Registered artifacts, newest first."""
    query = select(artifacts).order_by(artifacts.c.created_at.desc(), artifacts.c.artifact_id)
    for column, value in (("export", export), ("partition", partition), ("run_id", run_id)):
        if value is not None:
            query = query.where(artifacts.c[column] == value)
    with ledger.read() as connection:
        return [_artifact(row) for row in connection.execute(query.limit(limit))]


def get(ledger: Ledger, artifact_id: str) -> ArtifactRow:
    """The artifact with this id, or with the only id that begins so. Raises SpecError if there is none, or several."""
    query = select(artifacts).where(artifacts.c.artifact_id.startswith(artifact_id, autoescape=True)).limit(2)
    with ledger.read() as connection:
        rows: Sequence[Row[Any]] = connection.execute(query).all()
    if len(rows) != 1:
        found = "several artifacts" if rows else "no artifact"
        raise SpecError(f"{found} with id {artifact_id!r}", hint="List them: exports artifacts")
    return _artifact(rows[0])


def newest_partitions(ledger: Ledger) -> dict[str, str]:
    """Export -> the key of the latest partition, by its window, that has an artifact."""
    c = artifacts.c
    newest = select(c.export, func.max(c.window_start).label("start")).group_by(c.export).subquery()
    query = select(c.export, c.partition).join(
        newest, (c.export == newest.c.export) & (c.window_start == newest.c.start)
    )
    with ledger.read() as connection:
        return {row.export: row.partition for row in connection.execute(query.distinct())}


@dataclass(frozen=True)
class ExportTotals:
    """What the ledger holds of one export."""

    export: str
    artifacts: int
    partitions: int
    rows: int
    bytes: int
    seconds: float
    oldest: datetime
    newest: datetime


def totals(ledger: Ledger, *, since: datetime | None = None) -> list[ExportTotals]:
    """Sums per export, by name, over all artifacts or those created since then."""
    c = artifacts.c
    query = select(
        c.export,
        func.count(),
        func.count(c.partition.distinct()),
        func.sum(c.rows),
        func.sum(c.bytes),
        func.sum(c.seconds),
        func.min(c.created_at),
        func.max(c.created_at),
    )
    if since is not None:
        query = query.where(c.created_at >= since)
    with ledger.read() as connection:
        return [_totals(*row) for row in connection.execute(query.group_by(c.export).order_by(c.export))]


def _totals(export: str, *values: Any) -> ExportTotals:
    artifacts_, partitions, rows, size, seconds, oldest, newest = values
    return ExportTotals(export, artifacts_, partitions, int(rows), int(size), float(seconds), oldest, newest)


def _artifact(row: Row[Any]) -> ArtifactRow:
    manifest = parse_manifest(row.manifest.encode(), where=f"{row.artifact_id} in the ledger")
    return ArtifactRow(row.store, row.manifest_path, manifest)
