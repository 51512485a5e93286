"""What an archive will be called, known before anything is packed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.spec.naming import check_path, safe_partition
from export_pipelines.spec.retention import ArchiveFormat
from export_pipelines.storage.archive_index import INDEX_SUFFIX
from export_pipelines.storage.base import Placement

SCOPE = "_retention/archives"
"""Where archives are staged. No export is called so, as their names begin with a letter."""

_YEAR = re.compile(r"\d{4}(?=-)")


@dataclass(frozen=True, kw_only=True)
class ArchivePlan:
    """An archive to be. `archive_id` is a UUID in hexadecimal, `what` a partition or a month as safe text."""

    archive_id: str
    created_at: datetime
    export: str
    what: str
    year: int
    format: ArchiveFormat

    def __post_init__(self) -> None:
        check_path(self.index_path)

    @property
    def directory(self) -> str:
        """`{export}/{YYYY}`, relative to the root of the archive's store."""
        return f"{self.export}/{self.year:04}"

    @property
    def file_name(self) -> str:
        """Name of the archive."""
        return f"{self._stem}.{self.format}"

    @property
    def file_path(self) -> str:
        """Path of the archive, relative to the root."""
        return self.placement.path_of(self.file_name)

    @property
    def index_path(self) -> str:
        """Path of the index, relative to the root."""
        return self.placement.manifest_path

    @property
    def placement(self) -> Placement:
        """Where the archive and, last, its index are published."""
        return Placement(directory=self.directory, manifest_name=self._stem + INDEX_SUFFIX, shared=True)

    @property
    def _stem(self) -> str:
        return f"{self.export}_{self.what}_{self.archive_id[:8]}"


def plan_archive(
    rows: Sequence[ArtifactRow], *, what: str, format: ArchiveFormat, archive_id: str, created_at: datetime
) -> ArchivePlan:
    """The archive of these artifacts of one export, at least one. `what` is a partition key or a month, `2026-01`.

    Its year is the one in which the earliest window begins, in the schedule's timezone, as partition keys tell it.
    Raises UnsafePathError if a name cannot be used.
    """
    first = min((row.manifest for row in rows), key=lambda manifest: manifest.window.start)
    told = _YEAR.match(first.partition)
    return ArchivePlan(
        archive_id=archive_id,
        created_at=created_at,
        export=first.export,
        what=safe_partition(what),
        year=int(told[0]) if told else first.window.start.astimezone(UTC).year,
        format=format,
    )
