"""Archives read again: compared as a whole, or one artifact taken out.

Both read the archive once, front to back, and compare all of it; only what is done with the members differs. An archive
is taken for hostile. A name in it is only compared with the names that the index expects, and never used: files are
created under the names in the index, which are plain ones, and nothing is longer than the index says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import BinaryIO

from export_pipelines.errors import DamagedArtifactError
from export_pipelines.retention.archive_bytes import (
    ArchiveFile,
    Feed,
    MalformedArchiveError,
    Member,
    from_zstd,
    inflated,
)
from export_pipelines.retention.archive_tar import tar_members
from export_pipelines.retention.archive_zip import zip_members
from export_pipelines.spec.retention import ArchiveFormat
from export_pipelines.storage.archive_index import ArchivedFile, ArchiveIndex, archive_path, open_index
from export_pipelines.storage.base import Staging, Store, storage_error
from export_pipelines.text import counted, printable

_HINT = "The archive is damaged, or somebody changed it: restore it from a backup"


def reread(target: Store, index_path: str) -> ArchiveIndex:
    """The index at this path, if its archive holds exactly what it says: name, length and SHA-256 of each member.

    If it equals what `pack` returned, everything arrived. Raises DamagedArtifactError if anything is
    missing, superfluous or different, StorageError if there is no index, StorageUnavailableError.
    """
    index = open_index(target, index_path)
    _read(target, index, index_path, lambda member: None)
    return index


def unpack(target: Store, index_path: str, artifact_id: str, staging: Staging) -> bytes:
    """Write the files of one artifact into the staging directory; returns the bytes of its manifest.

    The caller discards the staging if this raises: DamagedArtifactError if anything in the archive, also in other
    artifacts, is not as it should be, StorageError, StorageUnavailableError.
    """
    index = open_index(target, index_path)
    chosen = index.artifact(artifact_id)

    def create(member: ArchivedFile) -> BinaryIO | None:
        return staging.create(member.name) if member.artifact is chosen and member.name is not None else None

    try:
        manifests = _read(target, index, index_path, create)
    except OSError as error:
        raise storage_error(f"unpacking the archive {target.uri(index_path)} into {staging.path}", error) from error
    return manifests[artifact_id]


def _read(
    target: Store, index: ArchiveIndex, index_path: str, create: Callable[[ArchivedFile], BinaryIO | None]
) -> dict[str, bytes]:
    """Compare the archive with its index, and write members to the files that `create` gives.

    Returns artifact id -> bytes of the manifest.
    """
    path = archive_path(index_path, index.format)
    with _telling(target.uri(path)):
        size = target.size(path)
        if size != index.file.bytes:
            found = "it is missing" if size is None else f"it has {size:,} bytes"
            raise MalformedArchiveError(f"{found}, its index says {index.file.bytes:,} bytes")
        with target.open(path) as stored:
            file = ArchiveFile(stored, target.uri(path))
            manifests = _compare(_members(file, index.format), index, create)
            for _ in file.chunks():
                pass
        if (file.bytes, file.sha256) != (index.file.bytes, index.file.sha256):
            raise MalformedArchiveError(f"its SHA-256 is {file.sha256}, its index says {index.file.sha256}")
    return manifests


def _members(file: ArchiveFile, format: ArchiveFormat) -> Iterator[Member]:
    if format == "zip":
        return zip_members(Feed(file.chunks()))
    return tar_members(Feed(inflated(file.chunks(), gzip=True) if format == "tar.gz" else from_zstd(file)))


def _compare(
    members: Iterator[Member], index: ArchiveIndex, create: Callable[[ArchivedFile], BinaryIO | None]
) -> dict[str, bytes]:
    expected = {member.path: member for member in index.members()}
    missing = dict(expected)
    manifests: dict[str, bytes] = {}
    for found in members:
        name = printable(found.path)
        member = missing.pop(found.path, None)
        if member is None:
            how = "is in it twice" if found.path in expected else "does not belong there"
            raise MalformedArchiveError(f"member {name[:300]!r} {how}")
        if found.size != member.bytes:
            raise MalformedArchiveError(f"member {name!r} has {found.size:,} bytes, the index says {member.bytes:,}")
        if member.name is None:
            data = b"".join(_checked(found, member))
            manifests[member.artifact.manifest.artifact_id] = data
            if not member.artifact.agrees_with(data):
                raise MalformedArchiveError(f"the manifest {name!r} is not the one in the index")
        else:
            _copy(found, member, create(member))
    if missing:
        raise MalformedArchiveError(f"member {min(missing)!r} is missing, of {counted(len(expected), 'member')}")
    return manifests


def _copy(found: Member, member: ArchivedFile, file: BinaryIO | None) -> None:
    with file or nullcontext():
        for piece in _checked(found, member):
            if file:
                file.write(piece)


def _checked(found: Member, member: ArchivedFile) -> Iterator[bytes]:
    """The member's data. Raises MalformedArchiveError, at the end, if it is not what the index says."""
    digest = hashlib.sha256()
    try:
        for piece in found.data:
            digest.update(piece)
            yield piece
    except MalformedArchiveError as error:
        raise MalformedArchiveError(f"member {member.path!r}: {error}") from error
    if digest.hexdigest() != member.sha256:
        raise MalformedArchiveError(
            f"member {member.path!r} has SHA-256 {digest.hexdigest()}, the index says {member.sha256}"
        )


@contextmanager
def _telling(where: str) -> Iterator[None]:
    try:
        yield
    except MalformedArchiveError as error:
        raise DamagedArtifactError(f"archive {where}: {error}", hint=_HINT) from error
