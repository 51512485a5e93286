"""Artifacts packed into an archive in another store, each file compared with its manifest on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from export_pipelines.crash import passing
from export_pipelines.errors import DamagedArtifactError, StorageError, UnsafePathError
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.retention.archive_pack import Packer, open_packer
from export_pipelines.retention.archive_plan import SCOPE, ArchivePlan
from export_pipelines.storage.archive_index import MOST_INDEX_BYTES, ArchivedArtifact, ArchivedFile, ArchiveIndex
from export_pipelines.storage.base import NO_FENCE, Store, staged, storage_error
from export_pipelines.storage.manifest import FileEntry, parse_manifest

_CHUNK_BYTES = 1 << 20
_MEDIA_TYPES = {"zip": "application/zip", "tar.gz": "application/gzip", "tar.zst": "application/zstd"}


class DamagedSourceError(DamagedArtifactError):
    """The artifact `artifact_id` cannot be archived, because it is not what its manifest says."""

    def __init__(self, row: ArtifactRow, reason: str) -> None:
        manifest = row.manifest
        super().__init__(
            f"archiving {manifest.export}, partition {manifest.span}, artifact {manifest.artifact_id}: {reason}",
            hint="It stays where it is. Restore its files from a backup, or run the export again",
        )
        self.artifact_id = manifest.artifact_id


def pack(
    originals: Store,
    rows: Sequence[ArtifactRow],
    target: Store,
    *,
    archive: ArchivePlan,
    fence: AbstractContextManager[object] = NO_FENCE,
) -> ArchiveIndex:
    """Publish an archive of the artifacts `rows`, all of them of one export in `originals`, in `target`.

    Members are ordered by window, then by path. Memory does not grow with the files. Returns the index that was
    published; `reread` tells whether the archive arrived. Raises DamagedSourceError, StorageError,
    StorageUnavailableError, and whatever the fence raises; then nothing is left of the archive.
    """
    if not rows or any(row.store != originals.name or row.manifest.export != archive.export for row in rows):
        raise ValueError(f"artifacts of {archive.export!r} in store {originals.name!r} are needed, at least one")
    ordered = sorted(rows, key=lambda row: (row.manifest.window.start, row.manifest.window.end, row.manifest_path))
    doing = f"packing {target.uri(archive.index_path)}"
    with staged(target, SCOPE, archive.archive_id, doing=doing) as staging:
        with staging.create(archive.file_name) as file, open_packer(archive.format, file) as packer:
            artifacts = _pack_all(originals, ordered, packer)
        index = ArchiveIndex(
            archive_id=archive.archive_id,
            created_at=archive.created_at,
            export=archive.export,
            format=archive.format,
            file=_entry(staging.path / archive.file_name, archive),
            artifacts=artifacts,
        )
        target.publish(staging, archive.placement, [index.file], manifest=_json_of(index), fence=fence)
    passing("archive_written")
    return index


def _pack_all(originals: Store, rows: Sequence[ArtifactRow], packer: Packer) -> list[ArchivedArtifact]:
    artifacts: list[ArchivedArtifact] = []
    packed: set[str] = set()
    for row in rows:
        artifact, manifest = _look_at(originals, row)
        for member in artifact.members():
            if member.path in packed:
                raise DamagedSourceError(row, f"{member.path} belongs to another artifact as well")
            packed.add(member.path)
            data = [manifest] if member.name is None else _content(originals, row, member)
            packer.add(member.path, data, size=member.bytes, modified_at=row.manifest.created_at)
        artifacts.append(artifact)
    return artifacts


def _look_at(originals: Store, row: ArtifactRow) -> tuple[ArchivedArtifact, bytes]:
    """The artifact with the bytes of its manifest, if that says what the ledger says."""
    path = row.manifest_path
    data = b"".join(_chunks(originals, row, path, most=MOST_INDEX_BYTES))
    try:
        manifest = parse_manifest(data, where=originals.uri(path))
        artifact = ArchivedArtifact(
            store=row.store,
            manifest_path=path,
            manifest=manifest,
            manifest_sha256=hashlib.sha256(data).hexdigest(),
            manifest_bytes=len(data),
            good=row.good,
        )
    except (DamagedArtifactError, UnsafePathError, ValidationError) as error:
        raise DamagedSourceError(row, str(error)) from error
    if manifest != row.manifest:
        raise DamagedSourceError(row, f"the manifest {originals.uri(path)} is not the one in the ledger")
    return artifact, data


def _content(originals: Store, row: ArtifactRow, member: ArchivedFile) -> Iterator[bytes]:
    """The file in pieces. Raises DamagedSourceError, before it ends, if it is not as the manifest says."""
    digest, seen = hashlib.sha256(), 0
    for chunk in _chunks(originals, row, member.path, most=member.bytes):
        digest.update(chunk)
        seen += len(chunk)
        yield chunk
    if seen != member.bytes:
        raise DamagedSourceError(row, f"{member.path} has {seen:,} bytes, the manifest says {member.bytes:,}")
    if digest.hexdigest() != member.sha256:
        raise DamagedSourceError(row, f"{member.path} has SHA-256 {digest.hexdigest()}, the manifest another one")


def _chunks(originals: Store, row: ArtifactRow, path: str, *, most: int) -> Iterator[bytes]:
    """The file in pieces of 1 MB. Raises DamagedSourceError if there is none, or once it is longer than `most`."""
    where = originals.uri(path)
    with _reading(row, where):
        if originals.size(path) is None:
            raise DamagedSourceError(row, f"there is no file {where}")
        file = originals.open(path)
    with file:
        seen = 0
        while chunk := _read(file, row, where):
            seen += len(chunk)
            if seen > most:
                raise DamagedSourceError(row, f"{where} has more than {most:,} bytes")
            yield chunk


def _read(file: BinaryIO, row: ArtifactRow, where: str) -> bytes:
    with _reading(row, where):
        return file.read(_CHUNK_BYTES)


@contextmanager
def _reading(row: ArtifactRow, where: str) -> Iterator[None]:
    try:
        yield
    except UnsafePathError as error:
        raise DamagedSourceError(row, str(error)) from error
    except OSError as error:  # here, so that it is not taken for one of writing the archive
        raise storage_error(f"reading {where}", error) from error


def _entry(staged: Path, archive: ArchivePlan) -> FileEntry:
    with staged.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    return FileEntry(
        name=archive.file_name,
        dataset=None,
        format=archive.format,
        media_type=_MEDIA_TYPES[archive.format],
        rows=0,
        bytes=size,
        sha256=sha256,
    )


def _json_of(index: ArchiveIndex) -> bytes:
    data = index.to_json()
    if len(data) > MOST_INDEX_BYTES:
        raise StorageError(
            f"the index of archive {index.file.name} has {len(data):,} bytes, which is too much to read it again",
            hint="Pack fewer artifacts into one archive",
        )
    return data
