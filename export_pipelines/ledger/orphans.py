"""Artifacts whose run died after their manifest appeared and before the ledger's commit."""

from __future__ import annotations

from sqlalchemy import Connection

from export_pipelines.ledger import artifacts, runs
from export_pipelines.ledger.artifacts import ArtifactRow, open_artifact
from export_pipelines.ledger.leases import WHOLE
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.storage.base import Store


def register_orphans(ledger: Ledger, store: Store, *, export: str, partition: str) -> None:
    """Register those of one partition, or of the WHOLE export. For the holder of its lease only."""
    one = None if partition == WHOLE else partition
    orphans = runs.unsettled(ledger, export=export, partition=one, store=store.name)
    for number, path in orphans.items():
        row = find_announced(store, path)
        with ledger.write() as connection:
            settle(connection, number, row)


def find_announced(store: Store, path: str) -> ArtifactRow | None:
    """The artifact whose manifest was to appear at this path; None if it did not. Raises as `open_artifact` does."""
    return open_artifact(store, path) if store.size(path) is not None else None


def settle(connection: Connection, number: int, row: ArtifactRow | None) -> None:
    """Record what an attempt published, or that it was nothing. For the holder of the partition's lease only."""
    if row and not artifacts.is_registered(connection, row.manifest.artifact_id):
        artifacts.register(connection, row)
    runs.settle(connection, number, row.manifest if row else None)
