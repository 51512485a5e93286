"""One artifact or archive read again and compared with what its manifest, or index, says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from export_pipelines.errors import DamagedArtifactError, ExportError, StorageUnavailableError, UnsafePathError
from export_pipelines.ledger.archives import ArchiveRow
from export_pipelines.ledger.artifacts import ArtifactRow, open_artifact
from export_pipelines.storage.archive_index import ArchiveIndex, archive_path, open_index
from export_pipelines.storage.base import Store, storage_error
from export_pipelines.storage.manifest import FileEntry

Kind = Literal["damaged", "missing", "unlisted", "unreadable", "unregistered"]
OnFile = Callable[[str], None]
_CHUNK_BYTES = 1024 * 1024
_WRONG = (DamagedArtifactError, UnsafePathError)  # what is there is not what was written; other errors may pass


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    kind: Kind
    store: str
    path: str
    message: str
    export: str | None = None
    partition: str | None = None
    artifact_id: str | None = None


@dataclass
class Report:
    """What was read and what was found."""

    artifacts: dict[str, bool] = field(default_factory=dict)
    """Id, or the manifest's path where the ledger does not know it -> whether the artifact is as it was written.

    What could not be read is left out.
    """
    archives: dict[str, bool] = field(default_factory=dict)
    """The same of archives, with the index's path."""
    files: int = 0
    bytes: int = 0
    problems: list[Finding] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    """Why something could not be read: nothing is known about it."""

    def add(self, other: Report) -> None:
        """Take over what another one says."""
        self.artifacts |= other.artifacts
        self.archives |= other.archives
        self.files += other.files
        self.bytes += other.bytes
        self.problems += other.problems
        self.errors += other.errors

    def without(self, artifact_ids: Iterable[str]) -> Report:
        """The report, without what it says of these artifacts."""
        left_out = {*artifact_ids}
        self.artifacts = {key: sound for key, sound in self.artifacts.items() if key not in left_out}
        self.problems = [found for found in self.problems if found.artifact_id not in left_out]
        return self


def check_present(store: Store) -> None:
    """Raises StorageUnavailableError if the store, which should hold files, holds none: its disk may not be mounted."""
    try:
        first = next(iter(store.walk()), None)
    except OSError as error:
        raise storage_error(f"reading {store.uri('')}", error) from error
    if first is None:
        raise StorageUnavailableError(
            f"the store {store.name} is empty, and the ledger knows of files in it",
            hint=f"See that the disk or bucket of {store.uri('')} is there",
        )


def check_artifact(
    store: Store, path: str, *, known: ArtifactRow | None, export: str | None = None, on_file: OnFile = lambda _: None
) -> tuple[ArtifactRow | None, Report]:
    """Compare the manifest at the path with the ledger's copy, if it is known there, and the files with the manifest.

    Returns the artifact as well, None if its manifest cannot be read. With `export`, files of others are not read.
    """
    report = Report()
    row: ArtifactRow | None = None
    with _reporting(store, path, report, known):
        row = open_artifact(store, path)
    if row is not None and export not in (None, row.manifest.export):
        return row, Report()
    if known is not None and row is not None and row.manifest != known.manifest:
        report.problems.append(about(known, "damaged", path, "the manifest is not the one that the ledger has"))
    for entry in row.manifest.files if row else ():
        path = row.path_of(entry.name) if row else ""
        on_file(path)
        with _reporting(store, path, report, row):
            report.problems += [about(row, kind, path, text) for kind, text in _compare(store, path, entry, report)]
    found = known or row
    if found is not None and (report.problems or not report.errors):
        report.artifacts[found.manifest.artifact_id] = not report.problems
    return row, report


def check_files(store: Store, row: ArtifactRow) -> Report:
    """Compare the files of an artifact with its manifest. Raises ExportError if one cannot be read."""
    report = Report()
    for entry in row.manifest.files:
        path = row.path_of(entry.name)
        report.problems += [about(row, kind, path, text) for kind, text in _compare(store, path, entry, report)]
    return report


def check_archive(
    store: Store, path: str, *, known: ArchiveRow | None, export: str | None = None, on_file: OnFile = lambda _: None
) -> tuple[ArchiveIndex | None, Report]:
    """Compare the archive with its index, the file at the path.

    Returns the index as well, None if it cannot be read. With `export`, archives of others are not read.
    """
    report = Report()
    index: ArchiveIndex | None = None
    with _reporting(store, path, report, known):
        index = open_index(store, path)
    if index is not None and export not in (None, index.export):
        return index, Report()
    if index is not None:
        file = archive_path(path, index.format)
        on_file(file)
        with _reporting(store, file, report, index):
            found = _compare(store, file, index.file, report)
            report.problems += [Finding(kind, store.name, file, text, index.export) for kind, text in found]
    if known is not None and (report.problems or not report.errors):
        report.archives[known.archive_id] = not report.problems
    return index, report


def about(row: ArtifactRow, kind: Kind, path: str, message: str) -> Finding:
    """A finding about the artifact."""
    manifest = row.manifest
    return Finding(kind, row.store, path, message, manifest.export, manifest.span, manifest.artifact_id)


@contextmanager
def _reporting(
    store: Store, path: str, report: Report, of: ArtifactRow | ArchiveRow | ArchiveIndex | None
) -> Iterator[None]:
    """Report what reading the path meets: damage, or that the file is gone, or that nothing is known of it."""

    def _found(kind: Kind, message: str) -> None:
        if isinstance(of, ArtifactRow):
            report.problems.append(about(of, kind, path, message))
        else:
            report.problems.append(Finding(kind, store.name, path, message, of.export if of else None))

    try:
        yield
    except _WRONG as error:
        _found("unreadable", str(error))
    except ExportError as error:
        if not _is_gone(store, path):
            report.errors.append(str(error))
        elif of is not None:  # else it went after the paths were listed
            _found("missing", "the file does not exist")
    except OSError as error:
        report.errors.append(str(storage_error(f"reading {store.uri(path)}", error)))


def _is_gone(store: Store, path: str) -> bool:
    """Whether the store says for certain that there is no such file."""
    try:
        return store.size(path) is None
    except (ExportError, OSError):
        return False


def _compare(store: Store, path: str, entry: FileEntry, report: Report) -> list[tuple[Kind, str]]:
    """What is wrong with one file; counts it in the report. Raises ExportError if it cannot be read, OSError."""
    report.files += 1
    size = store.size(path)
    if size is None:
        return [("missing", "the file does not exist")]
    report.bytes += size
    if size != entry.bytes:
        return [("damaged", f"{size} bytes, the manifest says {entry.bytes}")]
    digest = hashlib.sha256()
    with store.open(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() == entry.sha256:
        return []
    return [("damaged", f"sha256 {digest.hexdigest()}, the manifest says {entry.sha256}")]
