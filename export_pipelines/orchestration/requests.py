"""Requests for runs of scheduled exports: alike, whoever makes them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from hashlib import sha256
from zoneinfo import ZoneInfo

import dagster as dg

from export_pipelines.orchestration.assets import MAX_RUNTIME, SCHEDULED_AT, asset_key
from export_pipelines.orchestration.checks import check_keys
from export_pipelines.timing.ticks import Timing


def job_name(timing: Timing) -> str:
    """The name of the job that runs the timing's exports."""
    return f"exports_{timing.name}"


def run_request(timing: Timing, tick: datetime, partition: str, names: Sequence[str], *, key: str) -> dg.RunRequest:
    """A run of these exports of the timing for one partition.

    `key` says who asks for the how-manieth time; with the exports themselves it makes the run key, which Dagster
    accepts once.
    """
    digest = sha256(" ".join(names).encode()).hexdigest()[:12]
    members = [export for export in timing.exports if export.name in names]
    checks = [found for export in members for found in check_keys(export, asset_key(export.name))]
    local = tick.astimezone(ZoneInfo(timing.schedule.timezone))
    return dg.RunRequest(
        run_key=f"{key}:{timing.name}:{local.isoformat()}:{digest}",
        job_name=job_name(timing),
        partition_key=partition,
        asset_selection=[asset_key(name) for name in names],
        asset_check_keys=checks,  # None would be all there are
        tags={SCHEDULED_AT: local.isoformat(), MAX_RUNTIME: max_runtime(timing, names)},
    )


def max_runtime(timing: Timing, names: Collection[str]) -> str:
    """The longest limit among the exports that share the run, in seconds."""
    return str(max(export.spec.max_runtime_seconds for export in timing.exports if export.name in names))
