"""What holds for an export while its missing partitions are made up for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

from export_pipelines.catching_up.upstream import levels
from export_pipelines.errors import SpecError
from export_pipelines.ledger.pauses import Pauses
from export_pipelines.project import Project
from export_pipelines.spec.after import AfterSpec
from export_pipelines.timing.partitions import first_key, window_of
from export_pipelines.timing.ticks import Partitioning, Timing, timings

Misfire = Literal["all", "latest", "skip"]
Overlap = Literal["queue", "skip", "cancel"]


def _fits(_partition: str) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The rules of one export. `timing` names the job that makes it; `paused` is about now.

    `after` is what it waits for; exports of another `level` may be among that, so they do not share a run. `unfit`
    gives the reason why the export, as it is now, has no such partition, or "".
    """

    timing: str
    batch_size: int = 250
    misfire: Misfire = "all"
    overlap: Overlap = "queue"
    attempts: int = 3
    paused: bool = False
    after: AfterSpec | None = None
    level: int = 0
    unfit: Callable[[str], str] = _fits


def policies(project: Project, pauses: Pauses, now: datetime) -> dict[str, Policy]:
    """Export -> what holds for it now, of all exports that have a schedule and no mistake."""
    planned = list(timings(project.specs.exports.values()))
    depth = {name: level for timing in planned for name, level in levels(timing.exports).items()}
    return {
        export.name: Policy(
            timing=timing.name,
            batch_size=timing.schedule.batch_size,
            misfire=timing.schedule.misfire,
            overlap=export.spec.overlap,
            attempts=export.spec.catch_up_attempts,
            paused=pauses.of(export.name, timing.names, now) is not None,
            after=export.spec.waits_for,
            level=depth[export.name],
            unfit=partial(_unfit, timing.partitioning),
        )
        for timing in planned
        for export in timing.exports
    }


def timing_of(project: Project) -> Mapping[str, Timing]:
    """Export -> its timing, of those that have one."""
    return {export.name: timing for timing in timings(project.specs.exports.values()) for export in timing.exports}


def _unfit(partitioning: Partitioning, partition: str) -> str:
    """Why there is no such partition, or ""."""
    kind, timezone = partitioning.kind, partitioning.timezone
    try:
        window = window_of(kind, partition, timezone)
    except SpecError:
        return f"the export's partitions are {kind} now, in {timezone}"
    first = first_key(kind, partitioning.start, timezone)
    before = window.utc() < window_of(kind, first, timezone).utc()
    return f"lies before the first partition, {first}" if before else ""
