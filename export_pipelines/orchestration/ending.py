"""Runs that are ended because a later partition of the same export is wanted."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from export_pipelines.catching_up.decide import Active
from export_pipelines.ledger import due
from export_pipelines.orchestration import instance_log
from export_pipelines.project import Project


def end_runs(
    project: Project, instance: dg.DagsterInstance, active: Iterable[Active], *, export: str, partition: str
) -> None:
    """Ask Dagster to end the runs of the export, and note what they were to make as skipped for the partition."""
    for run in active:
        if instance_log.cancel(instance, run.run_id) and run.partition is not None:
            reason = f"its run was ended in favour of partition {partition}, because `overlap` is cancel"
            with project.ledger.write() as connection:
                due.supersede(connection, export, run.partition, reason)
