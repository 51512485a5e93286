"""Which exports are queued or at work, and how runs ended that did not publish."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import dagster as dg

from export_pipelines.catching_up.decide import Active, Ended
from export_pipelines.ledger import leases, runs
from export_pipelines.ledger.due import DueRow
from export_pipelines.ledger.runs import RunRow
from export_pipelines.orchestration import instance_log
from export_pipelines.orchestration.assets import asset_key
from export_pipelines.orchestration.instance_log import PARTITION, EndedRun
from export_pipelines.orchestration.observer import export_of
from export_pipelines.orchestration.ranges import range_of
from export_pipelines.orchestration.requests import job_name
from export_pipelines.project import Project
from export_pipelines.text import first_sentence
from export_pipelines.timing.ticks import timings

_SKEW = timedelta(minutes=1)  # by which the clocks of the ledger's and Dagster's machines may differ
_UNDECIDED = timedelta(minutes=2)  # Dagster marks a failed run as to be retried a moment after it failed
_RETRYING = timedelta(minutes=10)  # after that, a retry that was promised is not a run yet and never will be


def active_exports(project: Project, instance: dg.DagsterInstance, now: datetime) -> dict[str, list[Active]]:
    """Export -> its runs that are queued or at work, whoever launched them; `exports run` counts as well.

    An export that a run has produced already is not at work in it. Raises LedgerUnavailableError.
    """
    jobs = {job_name(timing): {e.name for e in timing.exports} for timing in timings(project.specs.exports.values())}
    found = instance_log.active_runs(instance, now)
    attempts = runs.last_by_run(project.ledger, [run.run_id for run in found])
    active: dict[str, list[Active]] = {}
    for run in found:
        last = (range_of(run) or (None, None))[1]  # of several partitions, the last one ends it
        rows = [row for row in attempts.get(run.run_id, {}).values() if row.state in ("published", "skipped")]
        over = {row.export for row in rows if last in (None, row.last_partition or row.partition)}
        planned = exports_of(run, jobs)
        for name in planned - over:
            active.setdefault(name, []).append(Active(run.run_id, run.tags.get(PARTITION), alone=len(planned) == 1))
    for lease in leases.held(project.ledger):
        partition = None if lease.partition == leases.WHOLE else lease.partition
        known = {one.partition for one in active.get(lease.export, ())}
        if not known or partition not in {None, *known}:
            active.setdefault(lease.export, []).append(Active("exports run", partition, alone=False))
    return active


def exports_of(run: dg.DagsterRun, jobs: Mapping[str, set[str]]) -> set[str]:
    """The exports that the run is to produce: those selected, or all of its job; `jobs` maps job -> exports."""
    selected = {name for key in run.asset_selection or () if (name := export_of(key))}
    if selected or run.asset_selection or run.asset_check_selection:
        return selected
    steps = run.step_keys_to_execute
    return {n for n in jobs.get(run.job_name, ()) if not steps or asset_key(n).to_python_identifier() in steps}


def ended_exports(
    project: Project, instance: dg.DagsterInstance, rows: Iterable[DueRow], now: datetime
) -> dict[tuple[str, str], Ended]:
    """(export, partition) -> how its last run ended since it was requested, of those of these rows that have one."""
    asked = {(row.export, row.partition): row for row in rows if row.requested_at is not None}
    if not asked:
        return {}
    jobs = {job_name(timing): {e.name for e in timing.exports} for timing in timings(project.specs.exports.values())}
    partitions = sorted({partition for _, partition in asked})
    since = min(row.requested_at for row in asked.values() if row.requested_at) - _SKEW
    last: dict[tuple[str, str], EndedRun] = {}
    for created, found in instance_log.ended_runs_of(instance, partitions, after=since):
        partition = found.run.tags[PARTITION]
        for name in exports_of(found.run, jobs):
            row = asked.get((name, partition))
            if row is not None and row.requested_at is not None and created >= row.requested_at - _SKEW:
                last[name, partition] = found
    attempts = runs.last_by_run(project.ledger, [found.run.run_id for found in last.values()])
    return {
        (name, partition): _ended(found, attempts.get(found.run.run_id, {}).get(name), now)
        for (name, partition), found in last.items()
    }


def _ended(found: EndedRun, attempt: RunRow | None, now: datetime) -> Ended:
    age = now - found.at
    retried = age < _UNDECIDED if found.will_retry is None else found.will_retry and age < _RETRYING
    if found.run.status == dg.DagsterRunStatus.CANCELED:
        reason = "its run was canceled"
    else:
        reason = first_sentence(attempt.error) if attempt and attempt.error else "its run ended without publishing it"
    return Ended(found.at, reason, retried=retried)
