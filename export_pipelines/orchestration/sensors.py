"""The sensors that watch and tell. All are on by default."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg

from export_pipelines.ledger import leases, runs, workers
from export_pipelines.notify import deadlines, events
from export_pipelines.notify.drain import drain
from export_pipelines.orchestration import instance_log
from export_pipelines.orchestration.assets import asset_key
from export_pipelines.orchestration.catch_up import catch_up
from export_pipelines.orchestration.checks import DEADLINE
from export_pipelines.orchestration.observer import observe
from export_pipelines.orchestration.pools import pool_sensor
from export_pipelines.project import Project

Jobs = Sequence["dg.UnresolvedAssetJobDefinition"]
Tick = Callable[[dg.SensorEvaluationContext], dg.SkipReason | dg.SensorResult]

_SEND_SECONDS = 20  # a tick may take 60 s; what is left waits for the next one
_RUNNING = dg.DefaultSensorStatus.RUNNING
NAMES = ("observer", "catch_up", "deadlines", "dead_runs", "notifications", "pool_limits")


def sensors(project: Project, schedules: Collection[str], jobs: Jobs) -> list[dg.SensorDefinition]:
    """All sensors of the project; `schedules` are the names of its schedules, `jobs` those of its timings."""
    return [
        observer_sensor(project, [*schedules, *NAMES]),
        catch_up_sensor(project, jobs),
        deadline_sensor(project),
        dead_run_sensor(project),
        sender_sensor(project),
        pool_sensor(project),
    ]


def _sensor(
    name: str,
    description: str,
    seconds: int,
    tick: Tick,
    *,
    jobs: Jobs | None = None,
) -> dg.SensorDefinition:
    made = dg.sensor(
        name=name, description=description, minimum_interval_seconds=seconds, default_status=_RUNNING, jobs=jobs or None
    )
    return made(tick)


def observer_sensor(project: Project, names: Sequence[str]) -> dg.SensorDefinition:
    """Records how runs ended, and which checks, ticks and specs failed."""

    def _tick(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        now = datetime.now(UTC)
        since = datetime.fromisoformat(context.cursor) if context.cursor else None
        reached = observe(project, context.instance, since=since, names=names, now=now)
        context.update_cursor(reached.isoformat())
        return dg.SkipReason(f"recorded what happened until {reached:%Y-%m-%d %H:%M:%S} UTC")

    text = "Records how exports ended, and failed checks, ticks and specs, for notifications"
    return _sensor("observer", text, 30, _tick)


def catch_up_sensor(project: Project, jobs: Jobs) -> dg.SensorDefinition:
    """Requests what ticks asked for and nobody made, and what has failed."""

    def _tick(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        done = catch_up(project, context.instance, datetime.now(UTC))
        skip = None if done.requests else done.message
        return dg.SensorResult(run_requests=list(done.requests), skip_reason=skip)

    text = "Requests partitions that a schedule should have made while Dagster was down, or that have failed"
    return _sensor("catch_up", text, 10, _tick, jobs=jobs)


def deadline_sensor(project: Project) -> dg.SensorDefinition:
    """Records exports that missed their deadline, and shows it as a failed check of the asset."""

    def _tick(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        found = list(deadlines.late(project, datetime.now(UTC)))
        known = events.known(project.ledger, [seen.key for _, seen in found])
        new = [(state, seen) for state, seen in found if seen.key not in known]
        events.record(project, [seen for _, seen in new])
        reason = "; ".join(f"{state.export}: {state.message}" for state, _ in new) or "nothing new is late"
        # A schedule may ask for a partition again, every night for the same month, so that it misses several deadlines.
        failed = [_evaluation(state) for state, _ in new]
        first = [one for one in failed if not instance_log.is_reported(context.instance, one)]
        return dg.SensorResult(skip_reason=reason, asset_events=first)

    text = "Reports exports whose partition is not published when the deadline of its schedule passes"
    return _sensor("deadlines", text, 60, _tick)


def _evaluation(state: deadlines.Punctuality) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=asset_key(state.export),
        check_name=DEADLINE,
        partition=state.due.partition if state.due else None,
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description=state.message,
    )


def dead_run_sensor(project: Project) -> dg.SensorDefinition:
    """Ends runs whose process died with its machine; Dagster itself would wait for ever."""

    def _tick(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        now = datetime.now(UTC)
        silent = workers.silent(project.ledger)
        noticed = _noticed(silent, json.loads(context.cursor or "{}"), now)
        context.update_cursor(json.dumps(noticed))
        patience = project.settings.lease_seconds / 2
        gone = [found for found in silent if found.dead or now.timestamp() - noticed[found.run_id][1] >= patience]
        if not gone:
            waiting = f"{len(noticed)} do not answer at the moment"
            return dg.SkipReason(waiting if noticed else "every run's process answers")
        ended = _bury(project, context.instance, gone, now)
        return dg.SkipReason(f"ended: {', '.join(ended) or 'none of Dagster'}")

    text = "Marks runs as failed whose process no longer answers, so that they are retried and reported"
    return _sensor("dead_runs", text, 30, _tick)


def _noticed(
    silent: Sequence[workers.Silent], before: Mapping[str, list[float]], now: datetime
) -> dict[str, list[float]]:
    """Run -> since when it is silent, and when that was noticed.

    Noticed once is not enough: after the ledger was away, all are silent until they renew.
    """
    found = {}
    for worker in silent:
        since, at = before.get(worker.run_id, [worker.since, now.timestamp()])
        found[worker.run_id] = [since, at] if since == worker.since else [worker.since, now.timestamp()]
    return found


def _bury(project: Project, instance: dg.DagsterInstance, gone: Sequence[workers.Silent], now: datetime) -> list[str]:
    """End the runs in Dagster and in the ledger, and release what they hold; ids of those that Dagster had running."""
    run_ids = list(dict.fromkeys(found.run_id for found in gone))
    ended = instance_log.end_dead_runs(instance, run_ids, "The process of this run no longer answers")
    runs.bury(project.ledger, run_ids, now)
    leases.free(project.ledger, {found.holder for found in gone})
    workers.forget(project.ledger, run_ids)
    return ended


def sender_sensor(project: Project) -> dg.SensorDefinition:
    """Sends what is in the outbox, for a limited time per tick."""

    def _tick(_context: dg.SensorEvaluationContext) -> dg.SkipReason:
        done = drain(project, seconds=_SEND_SECONDS)
        if done.busy:
            return dg.SkipReason("another sender is at work")
        return dg.SkipReason(f"{done.sent} sent, {done.waiting} waiting, {done.failed} refused")

    text = "Chooses who hears of new events, and sends what is due: e-mail, webhooks, Apprise"
    return _sensor("notifications", text, 30, _tick)
