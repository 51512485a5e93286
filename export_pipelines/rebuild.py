"""A ledger made anew from what the stores hold: manifests tell what is there, archives what was deleted."""

from __future__ import annotations

from export_pipelines.errors import ExportError
from export_pipelines.findings import Finding
from export_pipelines.ledger import archives, artifacts, deletions
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.storage.archive_index import ArchiveIndex, archive_path, is_index, open_index
from export_pipelines.storage.base import Store
from export_pipelines.verify import manifests


def rebuild(store: Store, ledger: Ledger) -> tuple[int, list[Finding]]:
    """Replace the ledger's artifacts of the store by what its manifests say: how many, and the unreadable ones."""
    found = list(manifests(store, store.walk()))
    rows = [row for row, _, _ in found if row is not None]
    with ledger.write() as connection:
        artifacts.forget_others(connection, store.name, [row.manifest.artifact_id for row in rows])
        for row in rows:
            artifacts.register_again(connection, row)
    return len(rows), [_unreadable(store, path, error) for row, path, error in found if row is None]


def rebuild_archives(store: Store, ledger: Ledger) -> tuple[int, list[Finding]]:
    """Register the archives in the store, and those of their artifacts as deleted that are in no store.

    For when all stores have been rebuilt. Returns how many archives there are, and the unreadable ones.
    """
    found: dict[str, ArchiveIndex] = {}
    unreadable = []
    for path in store.walk():
        if is_index(path):
            try:
                found[path] = open_index(store, path)
            except ExportError as error:
                unreadable.append(_unreadable(store, path, error))
    with ledger.write() as connection:
        for path, index in found.items():
            file_path = archive_path(path, index.format)
            archives.register(connection, index, store=store.name, index_path=path, file_path=file_path)
            for member in index.artifacts:
                row = ArtifactRow(member.store, member.manifest_path, member.manifest, member.good)
                if not artifacts.is_registered(connection, row.manifest.artifact_id):
                    artifacts.register(connection, row)
                    artifacts.mark_deleted(connection, row.manifest.artifact_id, index.created_at)
                deletions.register(connection, row.manifest.artifact_id, index, store=store.name)
    return len(found), unreadable


def _unreadable(store: Store, path: str, error: ExportError | None) -> Finding:
    return Finding("unreadable", store.name, path, str(error))
