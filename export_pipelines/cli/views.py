"""Artifacts, ticks and problems as parts of JSON documents. Field names are part of the interface: docs/cli.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from export_pipelines.cli.watermarks import watermarks
from export_pipelines.text import rate

if TYPE_CHECKING:
    from export_pipelines.ledger.artifacts import ArtifactRow
    from export_pipelines.ledger.ledger import Ledger
    from export_pipelines.ledger.runs import RunRow
    from export_pipelines.locations import Locations
    from export_pipelines.spec.problems import Problem
    from export_pipelines.storage.manifest import CheckResult
    from export_pipelines.timing.upcoming import Upcoming


def artifact(row: ArtifactRow, locations: Locations) -> dict[str, Any]:
    """One artifact and its files."""
    manifest = row.manifest
    files = [
        {**entry.model_dump(), "path": locations.uri(row.store, row.path_of(entry.name))} for entry in manifest.files
    ]
    return {
        "artifact_id": manifest.artifact_id,
        "export": manifest.export,
        "partition": manifest.partition,
        "last_partition": manifest.last_partition,
        "window_start": manifest.window.start,
        "window_end": manifest.window.end,
        "scheduled_at": manifest.scheduled_at,
        "created_at": manifest.created_at,
        "run_id": manifest.run_id,
        "store": row.store,
        "directory": locations.uri(row.store, row.directory),
        "rows": manifest.total_rows,
        "bytes": manifest.total_bytes,
        "seconds": manifest.seconds,
        "rows_per_second": rate(manifest.total_rows, manifest.seconds),
        "row_limit": manifest.row_limit,
        "corrects": manifest.corrects,
        "good": row.good,
        "checks": checks(manifest.checks),
        "watermarks": watermarks(manifest.watermarks),
        "files": files,
    }


def deletions(ledger: Ledger, rows: Sequence[ArtifactRow], locations: Locations) -> dict[str, dict[str, Any]]:
    """Artifact -> its last deletion, of those whose files were deleted."""
    from export_pipelines.ledger.archives import get
    from export_pipelines.ledger.deletions import of_artifacts

    gone = [row.manifest.artifact_id for row in rows if row.deleted_at is not None]
    found: dict[str, dict[str, Any]] = {}
    for artifact_id, history in of_artifacts(ledger, gone).items():
        done = [deletion for deletion in history if deletion.outcome == "deleted"]
        if done:
            last = done[-1]
            archive = get(ledger, last.archive_id) if last.sealed and last.archive_id else None
            where = locations.uri(archive.store, archive.file_path) if archive else None
            found[artifact_id] = {"at": last.ended_at, "by": last.by, "why": last.why, "archive": where}
    return found


def checks(results: Sequence[CheckResult]) -> list[dict[str, Any]]:
    """Whether checks held."""
    return [result.model_dump() for result in results]


def attempt(row: RunRow) -> dict[str, Any]:
    """One run and how it ended."""
    return {**{name: getattr(row, name) for name in type(row).__dataclass_fields__}, "seconds": row.seconds}


def tick(upcoming: Upcoming) -> dict[str, Any]:
    """One tick to come."""
    return {
        "tick": upcoming.tick,
        "tick_local": upcoming.tick.isoformat(),
        "partition": upcoming.partition,
        "skipped": upcoming.skipped or None,
        "day_off": upcoming.day_off or None,
        "moved_from": upcoming.moved_from,
    }


def problems(found: Sequence[Problem]) -> list[dict[str, Any]]:
    """Mistakes of the specs."""
    return [{"file": p.file, "line": p.line, "path": p.path, "message": p.message, "export": p.export} for p in found]
