"""The index of an archive: what is packed in it, as JSON beside it.

It is published after the archive, as manifests are after their files, so an archive without an index does not exist. It
holds whole manifests, from which a lost ledger can be rebuilt. Its last key, `sha256`, is the hash of all bytes before
its value: damage is noticed whatever byte it hits. Whoever edits an index on purpose can hash it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from annotated_types import MinLen
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from export_pipelines.errors import DamagedArtifactError, StorageError, UnsafePathError
from export_pipelines.spec.naming import check_path
from export_pipelines.spec.retention import ArchiveFormat
from export_pipelines.storage.base import Store, storage_error
from export_pipelines.storage.manifest import FileEntry, Manifest
from export_pipelines.text import printable

INDEX_SUFFIX = ".archive.json"
MOST_INDEX_BYTES = 64_000_000
"""An index is read into memory as a whole: one of a month of hourly artifacts with 100 columns each has 10 MB."""

_HINT = "Restore it from a backup; until then nothing can be restored from the archive"
_KEY, _END = b',\n  "sha256": "', b'"\n}\n'
_DIGEST_LENGTH = 64
_MOST_VALUES = 200_000  # in one manifest: pydantic needs 1.4 kB for each one that is wrong

_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\z")]


def _refuse_swollen(value: object) -> object:
    """The JSON value, unless it holds so many values that checking them would take all memory."""
    pending, seen = [value], 0
    while pending:
        inner = pending.pop()
        parts = inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else ()
        seen += len(parts)
        if seen > _MOST_VALUES:
            raise ValueError(f"it holds more than {_MOST_VALUES:,} values")
        pending.extend(parts)
    return value


_Manifest = Annotated[Manifest, BeforeValidator(_refuse_swollen)]
_manifests: TypeAdapter[Manifest] = TypeAdapter(_Manifest)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


@dataclass(frozen=True, kw_only=True)
class ArchivedFile:
    """One member of an archive: its name there is its path in the store it came from. `name` is None for a manifest."""

    path: str
    name: str | None
    bytes: int
    sha256: str
    artifact: ArchivedArtifact


class ArchivedArtifact(_Part):
    """One artifact: where it was, what its manifest says, and the hash and length of the manifest's own bytes."""

    store: str
    manifest_path: str
    manifest: _Manifest
    manifest_sha256: _Sha256
    manifest_bytes: int = Field(ge=1, le=MOST_INDEX_BYTES)
    good: bool = Field(True, description="False too if a check failed after it was published; no manifest says that")

    @property
    def directory(self) -> str:
        """Directory of its files, relative to the store's root; "" is the root."""
        return self.manifest_path.rpartition("/")[0]

    def members(self) -> list[ArchivedFile]:
        """Its files and its manifest, by path."""
        prefix = f"{self.directory}/" if self.directory else ""
        found: list[tuple[str, str | None, int, str]]
        found = [(prefix + entry.name, entry.name, entry.bytes, entry.sha256) for entry in self.manifest.files]
        found.append((self.manifest_path, None, self.manifest_bytes, self.manifest_sha256))
        return [
            ArchivedFile(path=path, name=name, bytes=octets, sha256=sha256, artifact=self)
            for path, name, octets, sha256 in sorted(found, key=lambda member: member[0])
        ]

    def agrees_with(self, data: bytes) -> bool:
        """Whether the bytes are a manifest that says the same as the one in the index."""
        try:
            return _manifests.validate_json(data) == self.manifest
        except ValidationError:
            return False

    @model_validator(mode="after")
    def _plain(self) -> Self:
        for name in (self.store, self.manifest.artifact_id, *(entry.name for entry in self.manifest.files)):
            check_name(name)
        for member in self.members():
            check_path(member.path)
            if member.bytes < 0 or len(member.sha256) != _DIGEST_LENGTH:
                raise ValueError(f"{member.path}: no length or no SHA-256")
        return self


class ArchiveIndex(_Part):
    """Everything about an archive. `file` is the archive itself, in the index's directory."""

    version: Literal[1] = 1
    archive_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}\z")]
    created_at: AwareDatetime
    export: str
    format: ArchiveFormat
    file: FileEntry
    artifacts: Annotated[list[ArchivedArtifact], FailFast(), MinLen(1)]

    def members(self) -> Iterator[ArchivedFile]:
        """All members of the archive."""
        for artifact in self.artifacts:
            yield from artifact.members()

    def artifact(self, artifact_id: str) -> ArchivedArtifact:
        """The artifact with this whole id. Raises DamagedArtifactError if it is not in the archive."""
        for artifact in self.artifacts:
            if artifact.manifest.artifact_id == artifact_id:
                return artifact
        raise DamagedArtifactError(
            f"archive {self.file.name} does not hold the artifact {artifact_id!r}", hint="Look for it in other archives"
        )

    def to_json(self) -> bytes:
        """The index as indented UTF-8 JSON that ends with its own hash."""
        head = self.model_dump_json(indent=2).removesuffix("\n}").encode() + _KEY
        return head + hashlib.sha256(head).hexdigest().encode() + _END

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_name(self.export)
        check_name(self.file.name)
        if self.file.bytes < 0 or len(self.file.sha256) != _DIGEST_LENGTH:
            raise ValueError("file: no length or no SHA-256")
        _refuse_repeated("artifact", [artifact.manifest.artifact_id for artifact in self.artifacts])
        _refuse_repeated("file", [member.path for member in self.members()])
        for artifact in self.artifacts:
            if artifact.manifest.export != self.export:
                raise ValueError(f"an artifact of {artifact.manifest.export!r} in an archive of {self.export!r}")
        return self


def is_index(path: str) -> bool:
    """Whether the path is that of an archive's index."""
    return path.endswith(INDEX_SUFFIX)


def archive_path(index_path: str, format: ArchiveFormat) -> str:
    """The path of the archive that the index at this path belongs to."""
    return f"{index_path.removesuffix(INDEX_SUFFIX)}.{format}"


def check_name(name: str) -> str:
    """The name, if it is one plain segment of a path. Raises UnsafePathError otherwise."""
    if "/" in name:
        raise UnsafePathError(
            f"{name!r} should be the name of a file and holds a slash", hint="Names in a manifest hold none"
        )
    return check_path(name)


def parse_index(data: bytes, *, where: str) -> ArchiveIndex:
    """The index in `data`. Raises DamagedArtifactError naming `where` if it is none."""
    cut = len(data) - len(_END) - _DIGEST_LENGTH
    head, digest, end = data[: max(cut, 0)], data[max(cut, 0) : cut + _DIGEST_LENGTH], data[cut + _DIGEST_LENGTH :]
    if end != _END or not head.endswith(_KEY) or hashlib.sha256(head).hexdigest().encode() != digest:
        raise DamagedArtifactError(
            f"archive index {where} was changed: its last key, sha256, is not the hash of what comes before",
            hint=_HINT,
        )
    try:
        return ArchiveIndex.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        reason = ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
        cause: Exception = error
    except UnsafePathError as error:
        reason, cause = str(error), error
    raise DamagedArtifactError(f"archive index {where} cannot be read: {printable(reason)}", hint=_HINT) from cause


def open_index(store: Store, path: str) -> ArchiveIndex:
    """The index at this path. Raises StorageError if there is none, DamagedArtifactError."""
    where = store.uri(path)
    size = store.size(path)
    if size is None or not is_index(path):
        raise StorageError(f"there is no archive index {where}", hint=f"Give a path that ends with {INDEX_SUFFIX}")
    if size > MOST_INDEX_BYTES:
        raise DamagedArtifactError(f"archive index {where} has more than {MOST_INDEX_BYTES:,} bytes", hint=_HINT)
    try:
        with store.open(path) as file:
            data = file.read(size + 1)
    except OSError as error:
        raise storage_error(f"reading {where}", error) from error
    index = parse_index(data, where=where)
    expected = archive_path(path, index.format).rpartition("/")[2]
    if index.file.name != expected:
        raise DamagedArtifactError(
            f"archive index {where} belongs to {index.file.name}, not to {expected}",
            hint="Give the index its name back",
        )
    return index


def _refuse_repeated(what: str, names: list[str]) -> None:
    if len(set(names)) < len(names):
        raise ValueError(f"the {what} {next(name for name in names if names.count(name) > 1)!r} is in it twice")
