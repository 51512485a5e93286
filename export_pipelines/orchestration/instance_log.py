"""What the Dagster instance knows, read through calls that Dagster does not promise to keep.

No other module uses them: `get_records_for_run`, `all_instigator_state`, `get_ticks`, `report_run_failed`,
`get_run_ids`, `delete_logs`, `get_asset_check_execution_history` and the files of the SQLite storage. The tests of this
module fail when Dagster changes them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster import AssetCheckEvaluation
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.events import DagsterEventType
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.scheduler.instigation import InstigatorType, TickStatus
from dagster._core.storage.tags import ROOT_RUN_ID_TAG, WILL_RETRY_TAG

from export_pipelines.chunks import chunks

_PAGE = 1000
_KEYS = 200
_ABANDONED = timedelta(minutes=10)  # a run that was created and never queued: whoever created it died
_TICKS = 100
PARTITION = "dagster/partition"
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_WAITING = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]
_AT_WORK = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_OVER = [*_ENDED, dg.DagsterRunStatus.CANCELED]
_PRODUCED = {DagsterEventType.ASSET_MATERIALIZATION_PLANNED, DagsterEventType.ASSET_MATERIALIZATION}
_TOLD = {
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.RUN_FAILURE,
    DagsterEventType.ASSET_CHECK_EVALUATION,
}


@dataclass(frozen=True)
class EndedRun:
    """A run that succeeded or failed. `will_retry` is None while Dagster has not decided."""

    run: dg.DagsterRun
    at: datetime
    updated_at: datetime
    will_retry: bool | None

    @property
    def failed(self) -> bool:
        """Whether it failed."""
        return self.run.status == dg.DagsterRunStatus.FAILURE


@dataclass
class RunLog:
    """What a run's events tell: step -> error, the error of the whole run, and the checks that did not pass."""

    steps: dict[str, str] = field(default_factory=dict)
    error: str = ""
    checks: list[AssetCheckEvaluation] = field(default_factory=list)


@dataclass(frozen=True)
class FailedTick:
    """A schedule or sensor whose function raised."""

    what: str
    tick_id: int
    at: datetime
    error: str


def ended_runs(instance: dg.DagsterInstance, after: datetime) -> list[EndedRun]:
    """Runs that changed after the instant (aware) and have ended, in the order in which they changed."""
    found: dict[str, EndedRun] = {}
    while True:
        filters = dg.RunsFilter(statuses=_ENDED, updated_after=after.astimezone(UTC))
        records = instance.get_run_records(filters, limit=_PAGE, order_by="update_timestamp", ascending=True)
        new = [record for record in records if record.dagster_run.run_id not in found]
        for record in new:
            found[record.dagster_run.run_id] = _ended(record, instance)
        if len(records) < _PAGE or not new:
            return list(found.values())
        after = _utc(records[-1].update_timestamp) - timedelta(microseconds=1)  # others may have ended just then


def _ended(record: dg.RunRecord, instance: dg.DagsterInstance) -> EndedRun:
    updated_at = _utc(record.update_timestamp)
    at = datetime.fromtimestamp(record.end_time, UTC) if record.end_time else updated_at
    tag = record.dagster_run.tags.get(WILL_RETRY_TAG)
    undecided = tag is None and instance.run_retries_enabled and record.dagster_run.status in _ENDED
    will_retry = None if undecided else tag == "true"
    return EndedRun(record.dagster_run, at, updated_at, will_retry)


def active_runs(instance: dg.DagsterInstance, now: datetime) -> list[dg.DagsterRun]:
    """Runs that are queued or at work, without those that nobody will ever start."""
    records = instance.get_run_records(dg.RunsFilter(statuses=_WAITING + _AT_WORK))
    return [
        record.dagster_run
        for record in records
        if record.dagster_run.status != dg.DagsterRunStatus.NOT_STARTED
        or now - _utc(record.create_timestamp) < _ABANDONED
    ]


def ended_runs_of(
    instance: dg.DagsterInstance, partitions: Sequence[str], *, after: datetime
) -> list[tuple[datetime, EndedRun]]:
    """Runs of these partitions that were created after the instant (aware) and are over, in the order of creation."""
    found = []
    for keys in chunks(partitions, _KEYS):
        tags = {PARTITION: list(keys)}
        filters = dg.RunsFilter(statuses=_OVER, tags=tags, created_after=after.astimezone(UTC))
        for record in instance.get_run_records(filters):
            found.append((_utc(record.create_timestamp), _ended(record, instance)))
    return sorted(found, key=lambda pair: pair[0])


def cancel(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Ask Dagster to end the run, queued or at work; whether it could be asked."""
    return instance.run_coordinator.cancel_run(run_id)


def run_log(instance: dg.DagsterInstance, run_id: str) -> RunLog:
    """What failed in the run."""
    log = RunLog()
    for record in instance.get_records_for_run(run_id, of_type=_TOLD).records:
        event = record.event_log_entry.dagster_event
        evaluation = record.event_log_entry.asset_check_evaluation
        if evaluation is not None:
            log.checks += [] if evaluation.passed else [evaluation]
        elif event is not None and event.is_step_failure:
            failure = event.step_failure_data.user_failure_data
            error = event.step_failure_data.error
            text = (failure and failure.description) or (error and error.message) or event.message
            log.steps[event.step_key or ""] = (text or "").strip()
        elif event is not None:
            log.error = (event.message or "").strip()
    return log


def failed_ticks(instance: dg.DagsterInstance, names: Collection[str], *, after: datetime) -> Iterator[FailedTick]:
    """Failed ticks of the schedules and sensors of these names."""
    for state in instance.all_instigator_state():
        if state.instigator_name not in names:
            continue
        kind = "schedule" if state.instigator_type == InstigatorType.SCHEDULE else "sensor"
        ticks = instance.get_ticks(
            state.instigator_origin_id,
            state.selector_id,
            after=after.timestamp(),
            limit=_TICKS,
            statuses=[TickStatus.FAILURE],
        )
        for tick in ticks:
            error = tick.error.message if tick.error else "no error was recorded"
            at = datetime.fromtimestamp(tick.timestamp, UTC)
            yield FailedTick(f"{kind} {state.instigator_name}", tick.tick_id, at, error.strip())


def end_dead_runs(instance: dg.DagsterInstance, run_ids: Sequence[str], reason: str) -> list[str]:
    """Mark those of the runs as failed that Dagster believes to be at work; return their ids.

    Dagster then retries them as `run_retries` of its configuration says.
    """
    runs = instance.get_runs(dg.RunsFilter(run_ids=list(run_ids), statuses=_AT_WORK))
    for run in runs:
        instance.report_run_failed(run, reason)
    return [run.run_id for run in runs]


def ended_before(instance: dg.DagsterInstance, instant: datetime) -> list[str]:
    """Ids of runs that are over and did not change since then (aware), the oldest first."""
    filters = dg.RunsFilter(statuses=_OVER, updated_before=instant.astimezone(UTC))
    return list(reversed(instance.get_run_ids(filters)))


def runs_of(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> list[dg.DagsterRun]:
    """Those of the runs that there are, in this order."""
    found = {run.run_id: run for run in instance.get_runs(dg.RunsFilter(run_ids=list(run_ids)))}
    return [found[run_id] for run_id in run_ids if run_id in found]


def planned_assets(instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[dg.AssetKey]:
    """The assets that the run was to produce, or did; what it was asked for if it ended before that was planned."""
    records = instance.get_records_for_run(run.run_id, of_type=_PRODUCED).records
    events = [record.event_log_entry.dagster_event for record in records]
    return {event.asset_key for event in events if event and event.asset_key} or set(run.asset_selection or ())


def is_retried(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether Dagster has a run that repeats this one: its page needs this one."""
    return bool(instance.get_runs(dg.RunsFilter(tags={ROOT_RUN_ID_TAG: run_id}), limit=1))


def forget_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Delete the run, its events, and what Dagster itself leaves behind: what the run printed, and its SQLite file."""
    from dagster._core.storage.event_log import SqliteEventLogStorage  # with alembic: a fifth of a second

    instance.delete_run(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id, "compute_logs"])
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        for suffix in ("", "-wal", "-shm"):
            Path(storage.path_for_shard(run_id) + suffix).unlink(missing_ok=True)


def is_reported(instance: dg.DagsterInstance, evaluation: AssetCheckEvaluation) -> bool:
    """Whether the check of this partition was reported before, outside of runs: Dagster refuses to do so twice."""
    records = instance.event_log_storage.get_asset_check_execution_history(
        evaluation.asset_check_key, limit=_PAGE, partition_filter=PartitionKeyFilter(key=evaluation.partition)
    )
    return any(record.run_id == RUNLESS_RUN_ID for record in records)


def queue(instance: dg.DagsterInstance) -> tuple[int, int]:
    """How many runs wait, and how many are at work."""
    waiting, working = (instance.get_runs_count(dg.RunsFilter(statuses=states)) for states in (_WAITING, _AT_WORK))
    return waiting, working


def _utc(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
