"""One Dagster schedule and job per named timing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg

from export_pipelines.orchestration.assets import MAX_RUNTIME, SCHEDULE, asset_key
from export_pipelines.orchestration.checks import INTEGRITY
from export_pipelines.orchestration.requests import job_name, max_runtime, run_request
from export_pipelines.orchestration.tick import made_by
from export_pipelines.project import Project
from export_pipelines.timing.recurrence import crons
from export_pipelines.timing.ticks import Timing
from export_pipelines.timing.upcoming import asked_at

_NAMED = 5  # exports in the message of a tick


def timing_job(timing: Timing) -> dg.UnresolvedAssetJobDefinition:
    """The job that runs any of the timing's exports, in one process, without the check that reads files again."""
    keys = [asset_key(export.name) for export in timing.exports]
    integrity = dg.AssetSelection.checks(*(dg.AssetCheckKey(key, INTEGRITY) for key in keys))
    return dg.define_asset_job(
        job_name(timing),
        selection=dg.AssetSelection.assets(*keys) - integrity,
        description=f"Exports of schedule {timing.schedule_name}, {timing.partitioning.kind} partitions",
        executor_def=dg.in_process_executor,
        tags={SCHEDULE: timing.schedule_name, MAX_RUNTIME: max_runtime(timing, [e.name for e in timing.exports])},
    )


def timing_schedule(project: Project, timing: Timing, job: dg.UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """The schedule that requests the last complete partition at every tick, `batch_size` exports a run."""
    found = crons(timing.schedule)

    @dg.schedule(
        name=timing.name,
        job=job,
        cron_schedule=found if found[1:] else found[0],
        execution_timezone=timing.schedule.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=timing.schedule.description or f"{len(timing.exports)} exports, {timing.partitioning.kind}",
    )
    def _schedule(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        tick = context.scheduled_execution_time
        asked = asked_at(timing, tick)
        if asked.partition is None:  # the sensor `catch_up` notes days off
            yield dg.SkipReason(asked.skipped)
            return
        partition = asked.partition
        made = made_by(project, context.instance, timing, tick=tick, partition=partition, now=datetime.now(UTC))
        if made.reasons:
            context.log.info(_listed(made.reasons))
        if not made.runs:
            yield dg.SkipReason(_listed(made.reasons) or "others have requested all of it")
        for names in made.runs:
            yield run_request(timing, tick, partition, names, key="tick")

    return _schedule


def _listed(reasons: Sequence[str]) -> str:
    more = len(reasons) - _NAMED
    return "; ".join(reasons[:_NAMED]) + (f"; and {more:,} more" if more > 0 else "")
