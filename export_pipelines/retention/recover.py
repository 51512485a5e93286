"""What an earlier pass that was killed had begun is ended, one way or the other."""

from __future__ import annotations

from export_pipelines.errors import ExportError
from export_pipelines.ledger import archives, artifacts, deletions
from export_pipelines.retention.archiving import settle
from export_pipelines.retention.deleting import has_manifest, remove
from export_pipelines.retention.passes import Pass
from export_pipelines.retention.report import unreported

_INTERRUPTED = "the pass was interrupted before it was deleted"


def recover(work: Pass) -> None:
    """Settle the archives and deletions that nobody works on any more. Raises LeaseHeldError.

    A deletion whose manifest is gone is finished. Otherwise nothing was touched yet, and the plan decides anew.
    """
    with work.working() as lease:
        for announced in archives.unsealed(work.project.ledger):
            try:
                settle(work, announced)
            except ExportError as error:
                work.fail(str(error))
        begun, left = [], deletions.underway(work.project.ledger)
        work.batches |= unreported(work, {row.batch for row in left})
        paths = artifacts.by_id(work.project.ledger, [row.artifact_id for row in left])
        for row in left:
            path = paths[row.artifact_id].manifest_path
            there = has_manifest(work, row, path)
            if there or not row.cleared:
                work.end([row], "kept", _INTERRUPTED)
            elif there is False:
                begun.append(row)
        remove(work, begun, lease)
