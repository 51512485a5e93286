"""A deleted artifact is brought back from its archive, compared with what was published."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime

from export_pipelines.errors import SpecError, StorageError
from export_pipelines.ledger import archives, artifacts, deletions
from export_pipelines.ledger.archives import ArchiveRow
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.ledger.deletions import DeletionRow
from export_pipelines.ledger.leases import Lease, acquire, leased, scope_of
from export_pipelines.ledger.pins import pin
from export_pipelines.project import Project
from export_pipelines.retention.archive_read import unpack
from export_pipelines.storage.base import Placement, Store, staged
from export_pipelines.verify import verify_artifact

_WHY = "restored from its archive"


def restore(project: Project, artifact_id: str, *, by: str, now: datetime, pinned: bool = True) -> ArtifactRow:
    """Publish the artifact again where it was, record who brought it back, and pin it, or its policy deletes it again.

    The beginning of the id is enough. Where it is back already, because an earlier attempt was killed, only the record
    is made. Raises SpecError if it was not deleted or is in no archive, DamagedArtifactError if the archive is damaged,
    StorageError, StorageUnavailableError, LeaseHeldError.
    """
    ledger, row = project.ledger, artifacts.get(project.ledger, artifact_id)
    deletion, archive = _find(project, row)
    manifest, settings = row.manifest, project.settings
    lease = acquire(
        ledger,
        manifest.export,
        leased(manifest.partition, manifest.last_partition),
        ttl_seconds=settings.lease_seconds,
        wait_seconds=settings.lease_wait_seconds,
    )
    with lease:
        recording = _recording(lease, deletion, by=by, now=now)
        if _is_back(project.store(row.store), row):
            with recording:
                pass
        else:
            _publish(project, row, archive, recording, run=f"{lease.fence}_restore")
    if pinned:
        pin(ledger, manifest.artifact_id, by=by, why=_WHY, at=now)
    return replace(row, deleted_at=None)


def _find(project: Project, row: ArtifactRow) -> tuple[DeletionRow, ArchiveRow]:
    """The deletion that is to be undone, and an archive that has the artifact. Raises SpecError."""
    manifest = row.manifest
    what = f"artifact {manifest.artifact_id[:8]} of {manifest.export}, partition {manifest.span},"
    rows = deletions.of_artifacts(project.ledger, [manifest.artifact_id]).get(manifest.artifact_id, [])
    done = [found for found in rows if found.outcome == "deleted" and found.restored_at is None]
    if row.deleted_at is None or not done:
        raise SpecError(f"{what} was not deleted", hint=f"Check its files: exports verify {manifest.artifact_id[:8]}")
    sealed = [found.archive_id for found in reversed(rows) if found.sealed and found.archive_id]
    archive = archives.get(project.ledger, sealed[0]) if sealed else None
    if archive is None:
        again = f"exports run {manifest.export} --partition {manifest.span}"
        raise SpecError(f"{what} was deleted without an archive", hint=f"Produce it again: {again}")
    return done[-1], archive


def _is_back(store: Store, row: ArtifactRow) -> bool:
    """Whether its files are there, all of them. Raises StorageError if there is something else in their place."""
    if store.size(row.manifest_path) is None:
        return False
    problems = verify_artifact(store, row).problems
    if problems:
        raise StorageError(
            f"restoring {store.uri(row.manifest_path)}: it is there, but {problems[0].path}: {problems[0].message}",
            hint="Move what is there away, then restore again",
        )
    return True


@contextmanager
def _recording(lease: Lease, deletion: DeletionRow, *, by: str, now: datetime) -> Iterator[None]:
    """The moment in which the artifact is back: nobody else publishes this partition, and the ledger learns of it."""
    with lease.fenced() as connection:
        yield
        deletions.restored(connection, deletion, by=by, at=now)


def _publish(
    project: Project, row: ArtifactRow, archive: ArchiveRow, recording: AbstractContextManager[None], *, run: str
) -> None:
    """Unpack into a staging directory and publish from there; file by file, for others may live in the directory."""
    store, manifest = project.store(row.store), row.manifest
    scope = scope_of(manifest.export, leased(manifest.partition, manifest.last_partition))
    store.sweep(scope)
    with staged(store, scope, run, doing=f"restoring {store.uri(row.manifest_path)}") as staging:
        data = unpack(project.store(archive.store), archive.index_path, manifest.artifact_id, staging)
        name = row.manifest_path.rpartition("/")[2]
        placement = Placement(directory=row.directory, manifest_name=name, shared=True)
        store.publish(staging, placement, manifest.files, manifest=data, fence=recording)
