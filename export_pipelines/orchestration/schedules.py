"""One Dagster schedule and job per named timing."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import dagster as dg

from export_pipelines.orchestration.assets import MAX_RUNTIME, SCHEDULE, SCHEDULED_AT, asset_key
from export_pipelines.orchestration.checks import INTEGRITY, check_keys
from export_pipelines.timing.calendars import Calendar
from export_pipelines.timing.ticks import Timing, batches


def timing_job(timing: Timing) -> dg.UnresolvedAssetJobDefinition:
    """The job that runs any of the timing's exports, in one process, without the check that reads files again."""
    keys = [asset_key(export.name) for export in timing.exports]
    integrity = dg.AssetSelection.checks(*(dg.AssetCheckKey(key, INTEGRITY) for key in keys))
    return dg.define_asset_job(
        f"exports_{timing.name}",
        selection=dg.AssetSelection.assets(*keys) - integrity,
        description=f"Exports of schedule {timing.schedule_name}, {timing.partitioning.kind} partitions",
        executor_def=dg.in_process_executor,
        tags={SCHEDULE: timing.schedule_name, MAX_RUNTIME: _max_runtime(timing, [e.name for e in timing.exports])},
    )


def timing_schedule(timing: Timing, job: dg.UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """The schedule that requests the last complete partition at every tick, `batch_size` exports a run."""
    calendar_spec = timing.exports[0].calendar
    checks = {export.name: check_keys(export, asset_key(export.name)) for export in timing.exports}
    calendar = Calendar(calendar_spec) if calendar_spec else None

    @dg.schedule(
        name=timing.name,
        job=job,
        cron_schedule=timing.schedule.cron,
        execution_timezone=timing.schedule.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=timing.schedule.description or f"{len(timing.exports)} exports, {timing.partitioning.kind}",
    )
    def _schedule(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        tick = context.scheduled_execution_time
        plan = batches(timing, tick, calendar=calendar)
        if isinstance(plan, str):
            yield dg.SkipReason(plan)
            return
        for number, batch in enumerate(plan, 1):
            yield dg.RunRequest(
                run_key=f"{timing.name}:{tick.isoformat()}:{number}",
                partition_key=batch.partition,
                asset_selection=[asset_key(name) for name in batch.exports],
                asset_check_keys=[key for name in batch.exports for key in checks[name]],  # None would be all there are
                tags={SCHEDULED_AT: tick.isoformat(), MAX_RUNTIME: _max_runtime(timing, batch.exports)},
            )

    return _schedule


def _max_runtime(timing: Timing, names: Collection[str]) -> str:
    """The longest limit among the exports that share the run, in seconds."""

    return str(max(export.spec.max_runtime_seconds for export in timing.exports if export.name in names))
