"""One Dagster asset per export: `exports/<name>`."""

from collections.abc import Iterator
from datetime import datetime

import dagster as dg

from export_pipelines.conditions import decides_late
from export_pipelines.crash import passing
from export_pipelines.errors import ConditionSkip
from export_pipelines.export import write
from export_pipelines.ledger import readings
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.opening import Artifact, OpenExport, Request
from export_pipelines.orchestration.checks import check_results, check_specs, published_anew
from export_pipelines.orchestration.combined import Event, materialize_range
from export_pipelines.orchestration.failures import failing_clearly, retry_policy
from export_pipelines.orchestration.freshness import freshness_policy
from export_pipelines.orchestration.io_managers import Progress
from export_pipelines.orchestration.lineage import upstream_keys
from export_pipelines.orchestration.metadata import skipped
from export_pipelines.orchestration.partitions import partitions_def
from export_pipelines.orchestration.pools import pool
from export_pipelines.orchestration.ranges import Ranged
from export_pipelines.orchestration.repeated import open_unless_published, shown_again
from export_pipelines.orchestration.signatures import with_known_signature
from export_pipelines.orchestration.upstream import upstream_deps
from export_pipelines.project import Project
from export_pipelines.spec.resolved import ResolvedExport
from export_pipelines.timing.ticks import Partitioning

SCHEDULED_AT = "exports/scheduled_at"
SCHEDULE = "exports/schedule"
MAX_RUNTIME = "dagster/max_runtime"
_Yielded = dg.Output[OpenExport] | dg.Output[Ranged] | dg.AssetCheckResult | Event


def asset_key(export: str) -> dg.AssetKey:
    """The key of the export's asset."""
    return dg.AssetKey(["exports", export])


def io_manager_key(store: str) -> str:
    """The resource key of the store's IO manager."""
    return f"artifacts_{store.replace('-', '_')}"


def export_asset(project: Project, export: ResolvedExport) -> dg.AssetsDefinition:
    """The asset of the export: opens the datasets; the store's IO manager writes and publishes them."""
    spec = export.spec

    @dg.asset(
        key=asset_key(export.name),
        description=spec.description or None,
        deps=[*upstream_keys(export), *upstream_deps(project, export)],
        partitions_def=partitions_def(Partitioning.of(export)),
        io_manager_key=io_manager_key(spec.store),
        group_name=(spec.org or "exports").replace("-", "_").replace(".", "_"),
        owners=list(spec.owners),
        tags=dict(spec.tags) | ({"org": spec.org} if spec.org else {}),
        kinds={f.type for f in spec.formats},
        pool=pool(spec.source),
        retry_policy=retry_policy(spec.retries),
        code_version=export.spec_sha256[:12],
        output_required=False,  # a run that is skipped has none
        check_specs=check_specs(export, asset_key(export.name)),
        freshness_policy=freshness_policy(export),
    )
    @with_known_signature
    def _export(context: dg.AssetExecutionContext) -> Iterator[_Yielded]:
        if context.has_partition_key_range:
            yield from materialize_range(context, project, export)
            return
        with failing_clearly():
            request = project.request(
                export.name, context.partition_key, run_id=context.run.run_id, scheduled_at=_scheduled_at(context.run)
            )
            opened, skip = _opened(project, request, context)
            before = None if isinstance(opened, OpenExport) else opened
        if skip is not None:
            context.log.info(str(skip))
            yield skipped(asset_key(export.name), context.partition_key, skip)
        if before is not None:
            context.log.info(f"run {before.manifest.run_id} has published this as {before.manifest.artifact_id}")
            yield shown_again(project, before)
            yield from check_results(export, Artifact(before, checks=before.manifest.checks))
            return
        if isinstance(opened, OpenExport):
            yield dg.Output(opened)  # the IO manager publishes before the next line
            passing("materialized")
            with failing_clearly():
                damaged = readings.had_damage(project.ledger, export.name, context.partition_key)
            if damaged:
                yield published_anew(asset_key(export.name), context.partition_key)
        yield from check_results(export, opened.artifact if isinstance(opened, OpenExport) else None)

    if spec.combine is None:
        return _export
    return _export.with_attributes(backfill_policy=dg.BackfillPolicy.single_run())  # as an argument above it warns


def _opened(
    project: Project, request: Request, context: dg.AssetExecutionContext
) -> tuple[OpenExport | ArtifactRow | None, ConditionSkip | None]:
    """The datasets, or what a run that this one repeats has published of them, or why the run is skipped.

    Where only the whole content decides that, everything is written to staging first: an output that the IO manager got
    would be materialized.
    """
    try:
        opened = open_unless_published(project, context.instance, context.run, request)
        if isinstance(opened, OpenExport) and decides_late(request):
            with opened.closed_on_error():
                write(opened, on_rows=Progress(context.log, opened))
    except ConditionSkip as skip:
        return None, skip
    return opened, None


def _scheduled_at(run: dg.DagsterRun) -> datetime | None:
    """When the schedule meant the run to start; None if a person or a backfill asked for it."""
    text = run.tags.get(SCHEDULED_AT)
    return datetime.fromisoformat(text) if text else None
