"""Runs that Dagster repeats because their process died: what that process has published is not published again."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from export_pipelines.ledger import artifacts
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.opening import Artifact, OpenExport, Request
from export_pipelines.orchestration.metadata import describe
from export_pipelines.orchestration.ranges import Ranged, resumed_from
from export_pipelines.project import Project


def open_unless_published(
    project: Project, instance: dg.DagsterInstance, run: dg.DagsterRun, request: Request
) -> OpenExport | ArtifactRow:
    """The export's datasets, opened; or what runs that this one continues after a failure have published of the same.

    Raises what `Project.open` raises.
    """
    earlier = resumed_from(instance, run)
    found = _same(project, request, earlier)
    if found is not None:
        return found
    opened = project.open(request)
    found = _same(project, request, earlier)  # opening registers what the dead process could not register any more
    if found is None:
        return opened
    with opened:
        opened.succeed("skipped", rows=0, error=f"run {found.manifest.run_id[:8]} has published it")
    return found


def earlier_artifact(project: Project, instance: dg.DagsterInstance, export: str, run_id: str) -> list[ArtifactRow]:
    """The newest artifact of the latest run that this one continues after a failure, or none."""
    run = instance.get_run_by_id(run_id)
    for earlier in resumed_from(instance, run) if run else ():
        found = artifacts.find(project.ledger, export=export, run_id=earlier, limit=1)
        if found:
            return found
    return []


def shown_again(project: Project, row: ArtifactRow) -> dg.Output[Ranged]:
    """The output of a step that had nothing left to publish; `row` is what Dagster is told of."""
    artifact = Artifact(row, checks=row.manifest.checks)
    return dg.Output(Ranged((row.manifest.artifact_id,)), metadata=describe(artifact, project.store(row.store)))


def _same(project: Project, request: Request, run_ids: Sequence[str]) -> ArtifactRow | None:
    """The good, complete artifact of the request's partition by the first of these runs that has one, by equal spec."""
    for run_id in run_ids:
        for row in artifacts.find(project.ledger, export=request.export.name, run_id=run_id):
            manifest = row.manifest
            alike = manifest.spec_sha256 == request.export.spec_sha256 and manifest.span == request.span
            if row.good and alike and manifest.row_limit is None:
                return row
    return None
