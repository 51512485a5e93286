"""Artifacts whose run died after their manifest appeared and before the ledger's commit."""

from __future__ import annotations

from export_pipelines.ledger import artifacts, runs
from export_pipelines.ledger.artifacts import open_artifact
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.storage.base import Store


def register_orphans(ledger: Ledger, store: Store, *, export: str, partition: str) -> None:
    """Register those of one partition. For the holder of its lease only."""
    orphans = runs.unsettled(ledger, export=export, partition=partition, store=store.name)
    for number, path in orphans.items():
        row = open_artifact(store, path) if store.size(path) is not None else None
        with ledger.write() as connection:
            if row and not artifacts.is_registered(connection, row.manifest.artifact_id):
                artifacts.register(connection, row)
            runs.settle(connection, number, row.manifest.artifact_id if row else None)
