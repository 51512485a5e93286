"""Third step: files are deleted, the manifest of each artifact first, and the ledger keeps the proof."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from export_pipelines.chunks import chunks
from export_pipelines.crash import passing
from export_pipelines.errors import ExportError
from export_pipelines.ledger import artifacts, deletions
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.ledger.deletions import DeletionRow
from export_pipelines.ledger.leases import Lease
from export_pipelines.retention.passes import Pass
from export_pipelines.storage.base import Removal

_CHUNK = 50  # artifacts between two looks at the lease and the STOP file
_HALTED = "retention was stopped before it was deleted"
_NOT_ARCHIVED = "it is not archived yet"


def delete(work: Pass) -> None:
    """Delete what was decided and, where that must be, archived. Raises LeaseHeldError."""
    with work.working() as lease:
        rows = deletions.underway(work.project.ledger, batch=work.order.batch)
        cleared = [row for row in rows if row.cleared]
        remove(work, cleared, lease)
        left = deletions.underway(work.project.ledger, batch=work.order.batch)
        untouched = [row for row in left if row.error is None]
        work.end([row for row in untouched if row.cleared], "kept", _HALTED)
        work.end([row for row in untouched if not row.cleared], "kept", _NOT_ARCHIVED)


def remove(work: Pass, rows: Sequence[DeletionRow], lease: Lease) -> None:
    """Delete the files of the artifacts, store by store; one that cannot be deleted does not hold up the others."""
    by_store: dict[str, list[DeletionRow]] = defaultdict(list)
    for row in rows:
        by_store[row.store].append(row)
    for name, members in by_store.items():
        for chunk in chunks(members, _CHUNK):
            if not work.may_go_on(lease):
                return
            _remove(work, name, chunk)


def _remove(work: Pass, store: str, rows: Sequence[DeletionRow]) -> None:
    found = artifacts.by_id(work.project.ledger, [row.artifact_id for row in rows])
    removals = {key: _removal(artifact) for key, artifact in found.items()}
    try:
        failed = work.store(store).remove(list(removals.values()))
    except ExportError as error:
        failed = {removal.manifest_path: error for removal in removals.values()}
    work.end([row for row in rows if removals[row.artifact_id].manifest_path not in failed], "deleted")
    passing("deletion_recorded")
    for row in rows:
        path = removals[row.artifact_id].manifest_path
        if path in failed:
            _keep_or_retry(work, row, path, failed[path])


def _removal(found: ArtifactRow) -> Removal:
    paths = [found.path_of(entry.name) for entry in found.manifest.files]
    return Removal(manifest_path=found.manifest_path, paths=paths)


def _keep_or_retry(work: Pass, row: DeletionRow, path: str, error: ExportError) -> None:
    """An artifact whose manifest is still there is kept; of others, the next pass deletes the rest."""
    if has_manifest(work, row, path):
        work.keep([row], error)
        return
    work.fail(f"{row.export} {row.span}: {error}")
    with work.project.ledger.write() as connection:
        deletions.trouble(connection, row, str(error))


def has_manifest(work: Pass, row: DeletionRow, path: str) -> bool | None:
    """Whether the artifact's manifest is in its store; None if the store does not tell, which is noted."""
    try:
        return work.store(row.store).size(path) is not None
    except ExportError as error:
        work.fail(str(error))
        return None
