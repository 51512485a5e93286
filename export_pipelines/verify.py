"""Whether what is in the stores is what was published: every file re-read, nothing missing, nothing extra."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from export_pipelines.errors import ExportError
from export_pipelines.findings import (
    Finding,
    OnFile,
    Report,
    about,
    check_archive,
    check_artifact,
    check_files,
    check_present,
)
from export_pipelines.ledger import artifacts, readings
from export_pipelines.ledger.archives import ArchiveRow
from export_pipelines.ledger.artifacts import ArtifactRow, open_artifact
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.spec.naming import MANIFEST_NAME
from export_pipelines.storage.archive_index import archive_path, is_index
from export_pipelines.storage.base import Store, storage_error
from export_pipelines.storage.manifest import CheckResult
from export_pipelines.text import counted

__all__ = ["Finding", "Report", "is_manifest", "manifests", "reread", "verify", "verify_artifact"]

_REBUILD = "not in the ledger; exports ledger rebuild registers it"


def is_manifest(path: str) -> bool:
    """Whether the path is a manifest's: `metadata.json`, or `….metadata.json` in the flat layout."""
    name = path.rpartition("/")[2]
    return name == MANIFEST_NAME or name.endswith(f".{MANIFEST_NAME}")


def verify(store: Store, ledger: Ledger, *, export: str | None = None, on_file: OnFile = lambda _: None) -> Report:
    """Re-hash every published file and every archive of the store, or of one export.

    Finds files that differ from their manifest, are missing, or belong to no manifest, manifests that cannot be read or
    differ from the ledger's copy, and artifacts and archives that only the ledger or only the store knows. `on_file` is
    called with each path before it is read. Raises StorageUnavailableError if the store is not there.
    """
    known = {row.manifest_path: row for row in artifacts.find(ledger) if row.store == store.name}
    archives = {row.index_path: row for row in readings.archive_rows(ledger) if row.store == store.name}
    if known or any(row.sealed_at for row in archives.values()):
        check_present(store)
    report = Report()
    paths = _paths(store)
    listed = {path for path in paths if is_manifest(path) or is_index(path)}
    listed.update(row.file_path for row in archives.values())
    for path in filter(is_manifest, paths):
        listed |= _verify_artifact(store, path, known.pop(path, None), report, export=export, on_file=on_file)
    for path in filter(is_index, paths):
        listed |= _verify_archive(store, path, archives.pop(path, None), report, export=export, on_file=on_file)
    _report_lost(report, known.values(), archives.values(), export)
    if export is None:
        extra = [path for path in paths if path not in listed]
        report.problems.extend(Finding("unlisted", store.name, path, "no manifest lists this file") for path in extra)
    return report.without(_leaving(report, ledger))


def verify_artifact(store: Store, row: ArtifactRow) -> Report:
    """Re-hash the files of one registered artifact, and compare its manifest with the ledger's copy."""
    return check_artifact(store, row.manifest_path, known=row)[1]


def reread(store: Store, row: ArtifactRow) -> CheckResult:
    """Whether the files of an artifact, just published, are as its manifest says; what cannot be read is not."""
    try:
        report = check_files(store, row)
        message = "; ".join(f"{found.path}: {found.message}" for found in report.problems)
        values: dict[str, int | float | str] = {"files": report.files, "bytes": report.bytes}
    except (ExportError, OSError) as error:
        message, values = f"the published files cannot be read again: {error}", {}
    passed = not message
    message = message or f"{counted(len(row.manifest.files), 'file')} read again, as written"
    return CheckResult(name="reread", dataset=None, passed=passed, blocking=True, message=message, values=values)


def not_as_written() -> CheckResult:
    """What `reread` had found of an artifact that it spoiled."""
    message = "the published files were read again and are not as written"
    return CheckResult(name="reread", dataset=None, passed=False, blocking=True, message=message)


def manifests(store: Store, paths: Iterable[str]) -> Iterator[tuple[ArtifactRow | None, str, ExportError | None]]:
    """The manifests among the paths: as an artifact, or None with the error that reading it gave; and the path."""
    for path in paths:
        if not is_manifest(path):
            continue
        try:
            yield open_artifact(store, path), path, None
        except ExportError as error:
            yield None, path, error


def _paths(store: Store) -> list[str]:
    """All paths of the store. Raises ExportError if they cannot be listed."""
    try:
        return list(store.walk())
    except OSError as error:
        raise storage_error(f"listing {store.uri('')}", error) from error


def _verify_artifact(
    store: Store, path: str, known: ArtifactRow | None, report: Report, *, export: str | None, on_file: OnFile
) -> set[str]:
    """Read the artifact of the manifest at the path; return the paths of its files."""
    row, found = check_artifact(store, path, known=known, export=export, on_file=on_file)
    if row is not None and known is None and export in (None, row.manifest.export):
        found.artifacts = {path: all(found.artifacts.values())}  # not by its id: it may be a copy of a registered one
        found.problems.insert(0, about(row, "unregistered", path, _REBUILD))
    report.add(found)
    return {one.path_of(entry.name) for one in (row, known) if one for entry in one.manifest.files}


def _verify_archive(
    store: Store, path: str, known: ArchiveRow | None, report: Report, *, export: str | None, on_file: OnFile
) -> set[str]:
    """Read the archive of the index at the path; return the paths of both."""
    index, found = check_archive(store, path, known=known, export=export, on_file=on_file)
    if index is not None and known is None and export in (None, index.export):
        found.archives = {path: not found.problems}
        found.problems.insert(0, Finding("unregistered", store.name, path, _REBUILD, index.export))
    report.add(found)
    return {archive_path(path, index.format)} if index else set()


def _report_lost(
    report: Report, rows: Iterable[ArtifactRow], archives: Iterable[ArchiveRow], export: str | None
) -> None:
    """Report what the ledger has and the store has not."""
    for row in rows:
        if export in (None, row.manifest.export):
            report.artifacts[row.manifest.artifact_id] = False
            message = "the ledger has this artifact, the store has no manifest of it"
            report.problems.append(about(row, "missing", row.manifest_path, message))
    for archive in archives:
        if archive.sealed_at and export in (None, archive.export):
            report.archives[archive.archive_id] = False
            message = "the ledger has this archive, the store has no index of it"
            report.problems.append(Finding("missing", archive.store, archive.index_path, message, archive.export))


def _leaving(report: Report, ledger: Ledger) -> set[str]:
    """Those artifacts with findings that retention was deleting meanwhile."""
    found = {finding.artifact_id for finding in report.problems if finding.artifact_id}
    return readings.leaving(ledger, sorted(found))
