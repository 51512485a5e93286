"""Second step: what must be archived is packed, and read again where it is then."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import cast

from export_pipelines.crash import passing
from export_pipelines.errors import DamagedArtifactError, ExportError
from export_pipelines.findings import about
from export_pipelines.ledger import archives, artifacts, deletions
from export_pipelines.ledger.archives import ArchiveRow
from export_pipelines.ledger.deletions import DeletionRow
from export_pipelines.notify.damage import record_damage
from export_pipelines.retention.archive_plan import plan_archive
from export_pipelines.retention.archive_read import reread
from export_pipelines.retention.archive_write import DamagedSourceError, pack
from export_pipelines.retention.passes import Pass
from export_pipelines.spec.retention import ArchiveFormat
from export_pipelines.storage.base import Removal


def archive(work: Pass) -> None:
    """Archive what waits for it. Artifacts that cannot be archived are kept. Raises LeaseHeldError."""
    with work.working() as lease:
        waiting = [row for row in deletions.underway(work.project.ledger, batch=work.order.batch) if not row.cleared]
        for group in _groups(_not_yet_archived(work, waiting)):
            if not work.may_go_on(lease):
                return
            _archive(work, group)


def _groups(rows: Iterable[DeletionRow]) -> list[list[DeletionRow]]:
    """Those that share an archive."""
    groups: dict[tuple[str | None, ...], list[DeletionRow]] = defaultdict(list)
    for row in rows:
        groups[row.export, row.store, row.archive_store, row.archive_format, row.archive_group].append(row)
    return list(groups.values())


def _not_yet_archived(work: Pass, rows: Iterable[DeletionRow]) -> Iterator[DeletionRow]:
    """The rows without those that an earlier pass archived; these archives are read again."""
    seen: dict[str, set[str]] = {}
    for row in rows:
        for archive_id in deletions.archived_as(work.project.ledger, row.artifact_id, row.archive_store or ""):
            if archive_id not in seen:
                seen[archive_id] = _still_there(work, archive_id)
            if row.artifact_id in seen[archive_id]:
                with work.project.ledger.write() as connection:
                    deletions.assign(connection, [row.id], archive_id)
                break
        else:
            yield row


def _still_there(work: Pass, archive_id: str) -> set[str]:
    """The artifacts of a sealed archive; none if it cannot be read."""
    found = archives.get(work.project.ledger, archive_id)
    if found is None:
        return set()
    try:
        index = reread(work.store(found.store), found.index_path)
    except ExportError as error:
        work.fail(str(error))
        return set()
    return {member.manifest.artifact_id for member in index.artifacts}


def _archive(work: Pass, rows: Sequence[DeletionRow]) -> None:
    """Make one archive of the artifacts. Those whose files are damaged stay where they are."""
    left = list(rows)
    while left:
        try:
            _make(work, left)
            return
        except DamagedSourceError as error:
            damaged = [row for row in left if row.artifact_id == error.artifact_id]
            work.keep(damaged, error)
            _tell(work, damaged, error)
            left = [row for row in left if row not in damaged]
        except ExportError as error:
            work.keep(left, error)
            return


def _tell(work: Pass, rows: Iterable[DeletionRow], error: ExportError) -> None:
    found = artifacts.by_id(work.project.ledger, [row.artifact_id for row in rows]).values()
    damage = [about(row, "damaged", row.manifest_path, str(error)) for row in found]
    record_damage(work.project, damage, datetime.now(UTC))


def _make(work: Pass, rows: Sequence[DeletionRow]) -> None:
    """Announce the archive, write it, read it again, and seal it. Raises ExportError; then nothing may be deleted."""
    first, now, ledger = rows[0], datetime.now(UTC), work.project.ledger
    originals, target = work.store(first.store), work.store(first.archive_store or "")
    sources = list(artifacts.by_id(ledger, [row.artifact_id for row in rows]).values())
    plan = plan_archive(
        sources,
        what=first.archive_group or first.span,
        format=cast(ArchiveFormat, first.archive_format),
        archive_id=uuid.uuid4().hex,
        created_at=now,
    )
    announced = ArchiveRow(
        archive_id=plan.archive_id,
        store=target.name,
        index_path=plan.index_path,
        file_path=plan.placement.path_of(plan.file_name),
        export=first.export,
        bytes=None,
        announced_at=now,
        sealed_at=None,
    )
    with ledger.write() as connection:
        archives.announce(connection, announced)
        deletions.assign(connection, [row.id for row in rows], plan.archive_id)
    try:
        pack(originals, sources, target, archive=plan)
    except ExportError:
        settle(work, announced)
        raise
    settle(work, announced)


def settle(work: Pass, announced: ArchiveRow) -> None:
    """Read an announced archive again and seal it; forget one that was never written; delete one that is damaged.

    Raises DamagedArtifactError then, StorageUnavailableError, StorageError.
    """
    target, ledger = work.store(announced.store), work.project.ledger
    if target.size(announced.index_path) is None:
        with ledger.write() as connection:
            archives.forget(connection, announced.archive_id)
        return
    try:
        index = reread(target, announced.index_path)
        expected = deletions.assigned(ledger, announced.archive_id)
        if expected != {member.manifest.artifact_id for member in index.artifacts}:
            raise DamagedArtifactError(
                f"the archive {target.uri(announced.index_path)} holds other artifacts than were packed",
                hint="Look at who else writes there",
            )
    except DamagedArtifactError:
        target.remove([Removal(manifest_path=announced.index_path, paths=[announced.file_path])])
        with ledger.write() as connection:
            archives.forget(connection, announced.archive_id)
        raise
    passing("archive_verified")
    with ledger.write() as connection:
        archives.seal(connection, announced.archive_id, octets=index.file.bytes, at=datetime.now(UTC))
