"""Dagster's runs of long ago are forgotten, as far as the ledger has what they tell.

Dagster shows a partition as materialized as long as it has the event, and the event goes with its run. So a run stays
as long as a file of it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import dagster as dg

from export_pipelines.chunks import chunks
from export_pipelines.ledger import runs
from export_pipelines.ledger.runs import RunRow
from export_pipelines.ledger.vacuum import LEAST_DAYS, Vacuumed, days_of, runs_with_files, vacuum
from export_pipelines.orchestration import instance_log
from export_pipelines.orchestration.observer import OPS_JOBS, export_of
from export_pipelines.project import Project

LEAST_RUN_LOG_DAYS = 7
"""The observer looks back for three days when it starts anew."""

_LIMIT = 1000
_PAGE = 100


@dataclass(frozen=True)
class Forgotten:
    """Runs of Dagster that were deleted, that stay for a reason, and that this pass did not get to."""

    deleted: int = 0
    kept: int = 0
    remaining: int = 0


@dataclass(frozen=True)
class Tidied:
    """What was deleted of the ledger's history and of Dagster's; None is what is switched off."""

    ledger: Vacuumed | None
    dagster: Forgotten | None


def tidy(project: Project, instance: dg.DagsterInstance, now: datetime) -> Tidied:
    """Forget old runs of Dagster by EXPORT_RUN_LOG_DAYS, then the ledger's old history by EXPORT_HISTORY_DAYS.

    Raises ConfigurationError if one of them is wrong, LedgerUnavailableError.
    """
    history = days_of(project.settings, "EXPORT_HISTORY_DAYS", least=LEAST_DAYS)
    logs = days_of(project.settings, "EXPORT_RUN_LOG_DAYS", least=LEAST_RUN_LOG_DAYS)
    return Tidied(
        dagster=None if logs is None else forget_old_runs(project, instance, now, days=logs),
        ledger=None if history is None else vacuum(project.ledger, now, days=history),
    )


def forget_old_runs(
    project: Project, instance: dg.DagsterInstance, now: datetime, *, days: int, limit: int = _LIMIT
) -> Forgotten:
    """Delete the runs that produced exports, or looked after them, and ended more than `days` ago; at most `limit`.

    A run stays while a file that it published is there, if the ledger does not tell how each of its exports ended, if
    it produced assets that are not exports, and while a later run is a retry of it. Raises LedgerUnavailableError.
    """
    old = instance_log.ended_before(instance, now - timedelta(days=days))
    history = days_of(project.settings, "EXPORT_HISTORY_DAYS", least=LEAST_DAYS)
    beyond = set(instance_log.ended_before(instance, now - timedelta(days=history))) if history else set()
    published = runs_with_files(project.ledger, old)
    candidates = [run_id for run_id in old if run_id not in published]
    deleted, kept = 0, len(published)
    for number, page in enumerate(chunks(candidates, _PAGE)):
        attempts = runs.last_by_run(project.ledger, page)
        for position, run in enumerate(instance_log.runs_of(instance, page), number * _PAGE):
            if deleted == limit:
                return Forgotten(deleted, kept, len(candidates) - position)
            verdict = _may_go(instance, run, attempts.get(run.run_id, {}), told=run.run_id in beyond)
            if verdict:
                instance_log.forget_run(instance, run.run_id)
            deleted, kept = deleted + (verdict is True), kept + (verdict is False)
    return Forgotten(deleted, kept)


def _may_go(
    instance: dg.DagsterInstance, run: dg.DagsterRun, attempts: Mapping[str, RunRow], *, told: bool
) -> bool | None:
    """Whether the run may be deleted; None if it has nothing to do with exports.

    `told`: it is older than all that the ledger remembers, so that the ledger need not know how its exports ended.
    """
    keys = instance_log.planned_assets(instance, run)
    exports = {name for key in keys if (name := export_of(key))}
    if not exports and not attempts and run.job_name not in OPS_JOBS:
        return None
    if any(not export_of(key) and key.path[-1] not in attempts for key in keys):
        return False
    if any(row.state == "running" for row in attempts.values()) or not (told or exports <= attempts.keys()):
        return False
    return not instance_log.is_retried(instance, run.run_id)
