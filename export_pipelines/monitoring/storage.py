"""What is in the stores and what still fits: counted from the manifests in the ledger, without reading the stores."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, String, func, select, text

from export_pipelines.errors import ExportError
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import Instant, archives, artifacts
from export_pipelines.project import Project
from export_pipelines.storage.base import Store
from export_pipelines.storage.local import LocalStore
from export_pipelines.text import percent, size


@dataclass(frozen=True)
class FormatSums:
    """What there is of one export in one format. An artifact with several formats counts in each of them."""

    export: str
    format: str
    artifacts: int
    files: int
    bytes: int
    oldest: datetime
    """When the window of the earliest partition begins."""
    newest: datetime
    """When the window of the latest partition begins."""


@dataclass(frozen=True)
class Capacity:
    """The disk that a store is on. `device` is the same for stores that share a disk."""

    free_bytes: int
    total_bytes: int
    device: int

    @property
    def free(self) -> float:
        """The free part, 0 to 1."""
        return self.free_bytes / self.total_bytes if self.total_bytes else 1.0


@dataclass(frozen=True)
class StoreSums:
    """What one store holds; bytes are those of data files, without manifests. `capacity` is None if it has no limit."""

    store: str
    artifacts: int = 0
    bytes: int = 0
    archives: int = 0
    archive_bytes: int = 0
    capacity: Capacity | None = None


_FILES = {
    "sqlite": (
        "json_each(case when json_valid(a.manifest) then a.manifest else '{}' end, '$.files') file",
        "file.value ->> '$.format'",
        "file.value ->> '$.bytes'",
    ),
    "postgresql": (
        "json_array_elements(cast(a.manifest as json) -> 'files') file",
        "file ->> 'format'",
        "cast(file ->> 'bytes' as bigint)",
    ),
}
"""Database -> the files of a manifest as rows, and the format and bytes of one."""


def by_format(ledger: Ledger, *, export: str | None = None) -> list[FormatSums]:
    """What there is of every export, or of one, in each format; by export and format."""
    files, format, octets = _FILES[ledger.url.get_backend_name()]
    query = text(
        f"""
        select a.export, {format} as format, count(distinct a.artifact_id) as artifacts, count(*) as files,
               sum({octets}) as bytes, min(a.window_start) as oldest, max(a.window_start) as newest
        from export_artifacts a, {files}
        where a.deleted_at is null and (cast(:export as varchar) is null or a.export = :export)
        group by 1, 2 order by 1, 2
        """  # noqa: S608 - of constants
    ).columns(export=String, format=String, bytes=BigInteger, oldest=Instant, newest=Instant)
    with ledger.read() as connection:
        rows = connection.execute(query, {"export": export})
        return [FormatSums(**{**row, "bytes": int(row["bytes"])}) for row in rows.mappings()]


def by_store(project: Project, *, export: str | None = None) -> list[StoreSums]:
    """What every store holds, of all exports or of one, by name; those of the specs, and others that hold something."""
    found = {name: StoreSums(name) for name in project.specs.stores}
    for name, values in _sums(project.ledger, export):
        found[name] = replace(found.get(name) or StoreSums(name), **values)
    return [replace(found[name], capacity=capacity(project, name)) for name in sorted(found)]


def capacity(project: Project, store: str) -> Capacity | None:
    """The disk that the store is on; None if it is on none, or that cannot be found out."""
    spec = project.specs.stores.get(store)
    if spec is None or spec.type != "local":
        return None
    try:
        return _disk(project.store(store))
    except (ExportError, OSError):  # whoever uses the store says so
        return None


def low(project: Project, sums: Iterable[StoreSums] | None = None) -> list[str]:
    """A sentence for each disk on which less than EXPORT_DISK_WARN_PERCENT is free."""
    most = project.settings.number("EXPORT_DISK_WARN_PERCENT") / 100
    if sums is None:
        sums = [StoreSums(name, capacity=capacity(project, name)) for name in sorted(project.specs.stores)]
    disks: dict[int, list[StoreSums]] = {}
    for one in sums:
        if one.capacity is not None and one.capacity.free < most:
            disks.setdefault(one.capacity.device, []).append(one)
    return [_sentence(members) for members in disks.values()]


def _sentence(members: list[StoreSums]) -> str:
    disk = members[0].capacity
    assert disk is not None
    names = " and ".join(one.store for one in members)
    what = f"The disk of store {names}" if len(members) == 1 else f"The disk of stores {names}"
    left = f"{size(disk.free_bytes)} of {size(disk.total_bytes)} are free, {percent(disk.free)}"
    return f"{what} is nearly full: {left}. Free space, or keep less: exports prune"


def _disk(store: Store) -> Capacity | None:
    if not isinstance(store, LocalStore):
        return None
    existing = next(path for path in (store.root, *store.root.parents) if path.exists())
    usage = shutil.disk_usage(existing)
    return Capacity(usage.free, usage.total, existing.stat().st_dev)


def _sums(ledger: Ledger, export: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Store -> how many artifacts and bytes, and how many archives and bytes, it holds."""
    a, p = artifacts.c, archives.c
    made = select(a.store, func.count(), func.sum(a.bytes)).where(a.deleted_at.is_(None)).group_by(a.store)
    packed = select(p.store, func.count(), func.sum(p.bytes)).where(p.sealed_at.is_not(None)).group_by(p.store)
    if export is not None:
        made, packed = made.where(a.export == export), packed.where(p.export == export)
    with ledger.read() as connection:
        for store, number, octets in connection.execute(made):
            yield store, {"artifacts": number, "bytes": int(octets or 0)}
        for store, number, octets in connection.execute(packed):
            yield store, {"archives": number, "archive_bytes": int(octets or 0)}
