"""Whether what is in the stores is what was published: every file re-read, nothing missing, nothing extra."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from export_pipelines.errors import ExportError
from export_pipelines.ledger import artifacts
from export_pipelines.ledger.artifacts import ArtifactRow, open_artifact
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.spec.naming import MANIFEST_NAME
from export_pipelines.storage.base import Store
from export_pipelines.storage.manifest import CheckResult, FileEntry
from export_pipelines.text import counted

Kind = Literal["damaged", "missing", "unlisted", "unreadable", "unregistered"]
_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    kind: Kind
    store: str
    path: str
    message: str
    export: str | None = None
    partition: str | None = None


@dataclass
class Report:
    """What was checked and what was found."""

    artifacts: int = 0
    files: int = 0
    bytes: int = 0
    problems: list[Finding] = field(default_factory=list)


def manifests(store: Store, paths: Iterable[str]) -> Iterator[tuple[ArtifactRow | None, str, ExportError | None]]:
    """The manifests among the paths: as an artifact, or None with the error that reading it gave; and the path."""
    for path in paths:
        if not is_manifest(path):
            continue
        try:
            yield open_artifact(store, path), path, None
        except ExportError as error:
            yield None, path, error


def is_manifest(path: str) -> bool:
    """Whether the path is a manifest's: `metadata.json`, or `….metadata.json` in the flat layout."""
    name = path.rpartition("/")[2]
    return name == MANIFEST_NAME or name.endswith(f".{MANIFEST_NAME}")


def verify(
    store: Store, ledger: Ledger, *, export: str | None = None, on_file: Callable[[str], None] = lambda _: None
) -> Report:
    """Re-hash every published file of the store, or of one export.

    Finds files that differ from their manifest, are missing, or belong to no manifest, manifests that cannot be read,
    and artifacts that only the ledger or only the store knows. `on_file` is called with each path before it is read.
    """
    report = Report()
    findings = report.problems
    paths = list(store.walk())
    present = {path for path in paths if is_manifest(path)}
    listed = set(present)
    registered = {row.manifest_path: row for row in artifacts.find(ledger) if row.store == store.name}
    for row, path, error in manifests(store, paths):
        if row is None:
            findings.append(Finding("unreadable", store.name, path, str(error)))
            continue
        listed.update(row.path_of(entry.name) for entry in row.manifest.files)
        if export not in (None, row.manifest.export):
            continue
        report.artifacts += 1
        if path not in registered:
            findings.append(
                _finding("unregistered", row, path, "not in the ledger; exports ledger rebuild registers it")
            )
        for entry in row.manifest.files:
            on_file(row.path_of(entry.name))
            findings.extend(_check_file(store, row, entry, report))
    findings.extend(
        _finding("missing", row, path, "the ledger has this artifact, the store has no manifest of it")
        for path, row in registered.items()
        if path not in present and export in (None, row.manifest.export)
    )
    if export is None:
        extra = [path for path in paths if path not in listed]
        findings.extend(Finding("unlisted", store.name, path, "no manifest lists this file") for path in extra)
    return report


def verify_artifact(store: Store, row: ArtifactRow) -> Report:
    """Re-hash the files of one artifact."""
    report = Report(artifacts=1)
    report.problems.extend(f for entry in row.manifest.files for f in _check_file(store, row, entry, report))
    return report


def reread(store: Store, row: ArtifactRow) -> CheckResult:
    """Whether the files of an artifact, just published, are as its manifest says; what cannot be read is not."""
    try:
        report = verify_artifact(store, row)
        message = "; ".join(f"{found.path}: {found.message}" for found in report.problems)
        values: dict[str, int | float | str] = {"files": report.files, "bytes": report.bytes}
    except (ExportError, OSError) as error:
        message, values = f"the published files cannot be read again: {error}", {}
    passed = not message
    message = message or f"{counted(len(row.manifest.files), 'file')} read again, as written"
    return CheckResult(name="reread", dataset=None, passed=passed, blocking=True, message=message, values=values)


def rebuild(store: Store, ledger: Ledger) -> tuple[int, list[Finding]]:
    """Replace the ledger's artifacts of the store by what its manifests say: how many, and the unreadable ones."""
    found = list(manifests(store, store.walk()))
    unreadable = [Finding("unreadable", store.name, path, str(error)) for row, path, error in found if row is None]
    rows = [row for row, _, _ in found if row is not None]
    with ledger.write() as connection:
        artifacts.forget_all(connection, store.name)
        for row in rows:
            artifacts.register(connection, row)
    return len(rows), unreadable


def _check_file(store: Store, row: ArtifactRow, entry: FileEntry, report: Report) -> Iterator[Finding]:
    path = row.path_of(entry.name)
    report.files += 1
    size = store.size(path)
    if size is None:
        yield _finding("missing", row, path, "the file does not exist")
        return
    report.bytes += size
    if size != entry.bytes:
        yield _finding("damaged", row, path, f"{size} bytes, the manifest says {entry.bytes}")
        return
    digest = hashlib.sha256()
    with store.open(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != entry.sha256:
        yield _finding("damaged", row, path, f"sha256 {digest.hexdigest()}, the manifest says {entry.sha256}")


def _finding(kind: Kind, row: ArtifactRow, path: str, message: str) -> Finding:
    return Finding(kind, row.store, path, message, row.manifest.export, row.manifest.partition)
