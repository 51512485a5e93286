"""What has happened in Dagster, as events: how runs ended, which checks and ticks failed.

Everything is looked at again for a while and recorded once, because Dagster's storages show rows late and out of order.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from export_pipelines.chunks import chunks
from export_pipelines.ledger import pulses, runs
from export_pipelines.ledger.runs import RunRow
from export_pipelines.notify import events
from export_pipelines.notify.events import Sighting
from export_pipelines.notify.kinds import Kind
from export_pipelines.orchestration import instance_log
from export_pipelines.orchestration.assets import asset_key
from export_pipelines.orchestration.checks import DEADLINE, INTEGRITY
from export_pipelines.orchestration.instance_log import PARTITION, EndedRun, RunLog
from export_pipelines.orchestration.ranges import left_of, name_of, range_of
from export_pipelines.orchestration.upkeep import RETENTION, TELLING, VERIFY
from export_pipelines.project import Project

_OVERLAP = timedelta(minutes=5)
_FIRST_LOOK = timedelta(days=3)
_UNDECIDED = timedelta(minutes=2)
_BATCH = 100
_SECONDS = 30.0  # a tick may take 60 s; what is left waits for the next one
_RUN_KINDS: tuple[Kind, ...] = ("succeeded", "skipped", "empty", "failed", "interrupted", "check_failed", "job_failed")
OPS_JOBS = (RETENTION, VERIFY)
"""Jobs that produce no exports but look after them."""

_DIED = "The process ended without a word: killed, out of memory, or the machine went down"


def observe(
    project: Project, instance: dg.DagsterInstance, *, since: datetime | None, names: Collection[str], now: datetime
) -> datetime:
    """Record what is new since then, or in the last three days; return from when on to look the next time.

    `names` are our schedules and sensors.
    """
    start = (since or now - _FIRST_LOOK) - _OVERLAP
    events.record(project, [*_of_ticks(instance, names, start), *_of_specs(project, now)])
    waiting, working = instance_log.queue(instance)
    pulses.put(
        project.ledger, now, **{pulses.OBSERVER: None, pulses.QUEUED_RUNS: waiting, pulses.RUNNING_RUNS: working}
    )
    return _observe_runs(project, instance, start, now)


def _observe_runs(project: Project, instance: dg.DagsterInstance, start: datetime, now: datetime) -> datetime:
    """Record how runs ended, for a limited time; everything before the returned instant has been looked at."""
    ended = instance_log.ended_runs(instance, start)
    done = events.known_runs(project.ledger, [found.run.run_id for found in ended], _RUN_KINDS)
    fresh = [found for found in ended if found.run.run_id not in done]
    deadline = time.monotonic() + _SECONDS
    for batch in chunks(fresh, _BATCH):
        attempts = runs.last_by_run(project.ledger, [found.run.run_id for found in batch])
        ours = [(found, attempts.get(found.run.run_id, {})) for found in batch]
        sightings = [
            seen
            for found, mine in ours
            if _concerns_us(found.run, mine)
            for seen in _of_run(project, instance, found, mine, now)
        ]
        events.record(project, sightings)
        if time.monotonic() > deadline:
            return batch[-1].updated_at
    return now


def _concerns_us(run: dg.DagsterRun, attempts: Mapping[str, RunRow]) -> bool:
    """Whether the run has to do with exports; whole jobs may."""
    selected = [*(run.asset_selection or ()), *(key.asset_key for key in run.asset_check_selection or ())]
    return bool(attempts) or not selected or any(export_of(key) for key in selected)


def _of_run(
    project: Project, instance: dg.DagsterInstance, found: EndedRun, attempts: Mapping[str, RunRow], now: datetime
) -> Iterator[Sighting]:
    """How each export of the run ended."""
    if found.failed and found.will_retry is None and now - found.at < _UNDECIDED:
        return  # Dagster marks a failed run as to be retried a moment after it failed
    log = instance_log.run_log(instance, found.run.run_id)
    if found.run.job_name in OPS_JOBS:  # what it found out about exports is an event already
        if found.failed and not found.will_retry and log.steps.keys() != {TELLING}:
            cause = next(iter(log.steps.values()), "") or log.error or _DIED
            yield _job_failed(found, found.run.job_name, cause)
        return
    if found.failed and INTEGRITY in log.steps and not found.will_retry:
        # files could not be read; that is no export's failure
        yield _job_failed(found, f"check {INTEGRITY} in {found.run.job_name}", log.steps[INTEGRITY])
    if range_of(found.run):
        yield from _of_range(project, found, log)
        return
    for check in log.checks:
        yield from _of_check(found, check, attempts.get(export_of(check.asset_key)))
    if found.failed:
        yield from _of_failed_run(found, log, attempts)
    else:
        yield from (_produced(row) for row in attempts.values() if row.state in ("published", "skipped"))


def _of_range(project: Project, found: EndedRun, log: RunLog) -> Iterator[Sighting]:
    """A run of several partitions makes several artifacts of an export: each is told, and once what is not there."""
    by_export = runs.by_run(project.ledger, found.run.run_id)
    for name in sorted({*by_export, *_planned(found.run)}):
        rows = {row.span: row for row in by_export.get(name, ())}
        ends = {row.last_partition or row.partition: row for row in rows.values()}
        failed = [check for check in log.checks if export_of(check.asset_key) == name and check.partition in ends]
        for check in failed:
            yield from _of_check(found, check, ends[check.partition or ""])
        done = [row for row in rows.values() if row.state in ("published", "skipped")]
        yield from (_produced(row) for row in done)
        left = left_of(project, name, found.run, list(rows.values())) if found.failed else ""
        error = log.steps.get(asset_key(name).to_python_identifier())
        if not left and error and not any(check.blocking for check in failed):
            left = name_of(found.run) or ""
        if left and found.will_retry:
            yield _not_produced("interrupted", found, name, left, {"cause": _DIED, "will_retry": True})
        elif left:
            cause, advice = _cause(next((row for row in rows.values() if row not in done), None), error, log.error)
            yield _not_produced("failed", found, name, left, {"cause": cause, "advice": advice})


def _of_failed_run(found: EndedRun, log: RunLog, attempts: Mapping[str, RunRow]) -> Iterator[Sighting]:
    """A failed run may have produced some of its exports."""
    for name in sorted({*attempts, *_planned(found.run)}):
        row = attempts.get(name)
        error = log.steps.get(asset_key(name).to_python_identifier())
        blocked = any(check.blocking and export_of(check.asset_key) == name for check in log.checks)
        if row is not None and row.state in ("published", "skipped") and (error is None or blocked):
            if not blocked:  # a failed check is an event of its own
                yield _produced(row)
        elif found.will_retry:
            yield _not_produced(
                "interrupted", found, name, _partition(found, row), {"cause": _DIED, "will_retry": True}
            )
        else:
            cause, advice = _cause(row, error, log.error)
            yield _not_produced("failed", found, name, _partition(found, row), {"cause": cause, "advice": advice})


def _partition(found: EndedRun, row: RunRow | None) -> str | None:
    return row.partition if row else found.run.tags.get(PARTITION)


def _job_failed(found: EndedRun, what: str, cause: str) -> Sighting:
    return Sighting(
        key=f"job_failed:{found.run.run_id}",
        kind="job_failed",
        happened_at=found.at,
        run_id=found.run.run_id,
        details={"what": what, "cause": cause},
    )


def _planned(run: dg.DagsterRun) -> set[str]:
    """Names of the exports that the run was to produce; those that it got to, where it was to produce all of a job."""
    steps = run.step_keys_to_execute
    keys = [key for key in run.asset_selection or () if export_of(key)]
    return {export_of(key) for key in keys if steps is None or key.to_python_identifier() in steps}


def _produced(row: RunRow) -> Sighting:
    kind: Kind = "skipped" if row.state == "skipped" else "succeeded" if row.rows else "empty"
    why = row.error or "no rows, and `on_empty` is skip"  # older attempts have no reason
    which = f":{row.span}" if row.last_partition else ""
    return Sighting(
        key=f"{kind}:{row.run_id}:{row.export}{which}",
        kind=kind,
        happened_at=row.finished_at or row.started_at,
        export=row.export,
        partition=row.span,
        run_id=row.run_id,
        details={"reason": why} if kind == "skipped" else {"artifact_id": row.artifact_id},
    )


def _not_produced(kind: Kind, found: EndedRun, name: str, partition: str | None, details: dict[str, Any]) -> Sighting:
    return Sighting(
        key=f"{kind}:{found.run.run_id}:{name}",
        kind=kind,
        happened_at=found.at,
        export=name,
        partition=partition,
        run_id=found.run.run_id,
        details=details,
    )


def _cause(row: RunRow | None, error: str | None, of_run: str) -> tuple[str, str]:
    """Why it failed, and what to do about it."""
    if row is not None and row.state == "failed" and row.error:
        hint = row.hint or ""
        return row.error.removesuffix(hint).rstrip().removesuffix("."), hint
    if row is not None and row.state in ("running", "died"):
        return _DIED, "Look at the run's log and the memory of the machine, then run it again"
    if error:
        return error, ""
    return f"It was not started: {of_run or 'the run ended before'}", "Look at the run in Dagster, then run it again"


def _of_check(found: EndedRun, check: dg.AssetCheckEvaluation, row: RunRow | None) -> Iterator[Sighting]:
    """A failed check of an export, blocking or not, of ours or of others; `row` is the attempt that it is about."""
    name = export_of(check.asset_key)
    if not name or check.check_name in (DEADLINE, INTEGRITY):
        return
    serious = check.blocking or check.severity == dg.AssetCheckSeverity.ERROR
    which = f":{row.span}" if row and row.last_partition else ""
    yield Sighting(
        key=f"check_failed:{found.run.run_id}:{name}:{check.check_name}{which}",
        kind="check_failed",
        level="failure" if serious else "warning",
        happened_at=found.at,
        export=name,
        partition=row.span if row else check.partition or found.run.tags.get(PARTITION),
        run_id=found.run.run_id,
        details={
            "check": check.check_name,
            "cause": check.description or "the check did not pass",
            "blocking": bool(check.blocking),
            "artifact_id": row.artifact_id if row else None,
        },
    )


def export_of(key: dg.AssetKey) -> str:
    """The name of the export whose asset has this key, or ""."""
    return key.path[1] if len(key.path) == 2 and key.path[0] == "exports" else ""


def _of_ticks(instance: dg.DagsterInstance, names: Collection[str], start: datetime) -> Iterator[Sighting]:
    for tick in instance_log.failed_ticks(instance, names, after=start):
        yield Sighting(
            key=f"tick_failed:{tick.what}:{tick.tick_id}",
            kind="tick_failed",
            happened_at=tick.at,
            details={"what": tick.what, "cause": tick.error},
        )


def _of_specs(project: Project, now: datetime) -> Iterator[Sighting]:
    """Exports that are left out because of mistakes, and mistakes that belong to no export; anew when they change."""
    found: dict[str | None, list[str]] = {name: list(map(str, p)) for name, p in project.specs.quarantined.items()}
    for problem in project.specs.problems:
        if problem.export is None and not any(str(problem) in texts for texts in found.values()):
            found.setdefault(None, []).append(str(problem))
    for name, texts in found.items():
        digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]
        yield Sighting(
            key=f"quarantined:{name or ''}:{digest}",
            kind="quarantined",
            happened_at=now,
            export=name,
            details={"problems": texts, "cause": texts[0] if texts else ""},
        )
