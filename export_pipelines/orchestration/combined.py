"""A run of several partitions of one export: one artifact after the other, each shown as soon as it is published.

Dagster shows all partitions of a range as materialized at the end of the step, or none of them. Here each is shown when
it is there, so that those of the first months stay where the third one fails, or the process is killed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from export_pipelines.crash import passing
from export_pipelines.errors import ConditionSkip, SpecError
from export_pipelines.export import publish
from export_pipelines.ledger import readings
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.opening import Artifact
from export_pipelines.orchestration.checks import check_outputs, evaluations, published_anew
from export_pipelines.orchestration.failures import failing_clearly
from export_pipelines.orchestration.io_managers import Progress
from export_pipelines.orchestration.metadata import describe, describe_briefly, skipped
from export_pipelines.orchestration.ranges import Ranged, made_by, resumed_from
from export_pipelines.project import Project
from export_pipelines.spec.resolved import ResolvedExport
from export_pipelines.timing.combining import Span, spans
from export_pipelines.verify import not_as_written

Event = dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation | dg.Output[Any]

_SHOWN_ALREADY = {"__source_asset_observation__": True}
"""Metadata of an output for which Dagster logs no materializations: each partition has one already."""

_BACKFILL = "dagster/backfill"
_RECENT = 5


def materialize_range(context: dg.AssetExecutionContext, project: Project, export: ResolvedExport) -> Iterator[Event]:
    """Publish what each week, month, quarter or year holds of the run's partitions, in their order.

    What this run, or one that it continues after a failure, has already published is not published again. The first
    failure ends the step; a blocking check that fails ends it when all is published.
    """
    with failing_clearly():
        run, asked = _Run.of(context, project, export), context.partition_key_range
        if export.spec.combine is None and asked.start != asked.end:
            raise SpecError(
                f"export {export.name} makes one partition in a run, not {asked.start} to {asked.end}",
                hint="Set `combine` in its spec, or launch one run per partition",
            )
        several = list(spans(export.spec.partition, export.spec.combine, asked.start, asked.end, export.timezone))
    published: list[str] = []
    for span in several:
        with failing_clearly():
            made, old = run.made(span), run.was_damaged(span)
        artifact = made if isinstance(made, Artifact) else None
        if isinstance(made, ConditionSkip):
            yield from (skipped(context.asset_key, key, made) for key in span.keys)
        else:
            published.append(made.manifest.artifact_id)
            yield from run.shown(span, made)
            passing("materialized")
        yield from (published_anew(context.asset_key, key) for key in span.keys if artifact and old)
        yield from evaluations(export, context.asset_key, span.keys, artifact)
    if published:
        yield dg.Output(Ranged(tuple(published)), metadata=_SHOWN_ALREADY)
    yield from check_outputs(export, context.asset_key, context.selected_asset_check_keys)


@dataclass(frozen=True)
class _Run:
    """What holds during one step. `before` maps partitions to what need not be published again."""

    context: dg.AssetExecutionContext
    project: Project
    export: ResolvedExport
    before: Mapping[str, ArtifactRow]

    @classmethod
    def of(cls, context: dg.AssetExecutionContext, project: Project, export: ResolvedExport) -> _Run:
        run_ids = [context.run.run_id, *resumed_from(context.instance, context.run)]
        before = made_by(project.ledger, export.name, run_ids)
        same = {name: row for name, row in before.items() if row.manifest.spec_sha256 == export.spec_sha256}
        return cls(context, project, export, same)

    def made(self, span: Span) -> Artifact | ConditionSkip:
        """What is published of the span, now or before, or why it is skipped."""
        found = self.before.get(span.name)
        if found is not None and found.manifest.window.start == span.window.utc()[0]:
            self.context.log.info(f"partition {span.name} was published as artifact {found.manifest.artifact_id}")
            checks = [*found.manifest.checks, *([not_as_written()] if found.manifest.good and not found.good else [])]
            return Artifact(found, checks=checks)
        self.context.log.info(f"partition {span.name}")
        request = self.project.request(
            self.export.name, span.first, last_partition=span.last, run_id=self.context.run.run_id, shared_run=True
        )
        try:
            with self.project.open(request) as opened:
                return publish(opened, on_rows=Progress(self.context.log, opened))
        except ConditionSkip as skip:
            self.context.log.info(str(skip))
            return skip

    def was_damaged(self, span: Span) -> bool:
        """Whether an earlier artifact of any of the partitions is or was damaged."""
        return readings.had_damage(self.project.ledger, self.export.name, span.first, span.last)

    def shown(self, span: Span, artifact: Artifact) -> Iterator[dg.AssetMaterialization]:
        """One materialization for each partition; the last of them tells all, the others where to find it."""
        if self._is_shown(span, artifact):
            return
        store = self.project.store(artifact.row.store)
        tags = {_BACKFILL: found} if (found := self.context.run.tags.get(_BACKFILL)) else None
        brief = describe_briefly(artifact, store)
        for key in span.keys:
            metadata = describe(artifact, store) if key == span.keys[-1] else brief
            yield dg.AssetMaterialization(self.context.asset_key, partition=key, metadata=metadata, tags=tags)

    def _is_shown(self, span: Span, artifact: Artifact) -> bool:
        """Whether an earlier attempt of this step has shown it."""
        if self.before.get(span.name) is not artifact.row or artifact.manifest.run_id != self.context.run.run_id:
            return False
        last = dg.AssetRecordsFilter(self.context.asset_key, asset_partitions=[span.keys[-1]])
        records = self.context.instance.fetch_materializations(last, limit=_RECENT).records
        return any(record.run_id == self.context.run.run_id for record in records)
