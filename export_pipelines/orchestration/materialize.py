"""Materialize partitions now, in this process, as runs of the Dagster instance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import dagster as dg

from export_pipelines.orchestration.assets import asset_key, export_asset, io_manager_key
from export_pipelines.orchestration.io_managers import io_manager
from export_pipelines.project import Project
from export_pipelines.spec.resolved import ResolvedExport
from export_pipelines.timing.partitions import last_complete
from export_pipelines.timing.ticks import Partitioning


@dataclass(frozen=True)
class Materialized:
    """How one export's partition went."""

    export: str
    partition: str
    run_id: str
    success: bool


def materialize_last(
    project: Project, exports: Sequence[ResolvedExport], *, now: datetime, on_batch: Callable[[int], None]
) -> list[Materialized]:
    """Materialize the last complete partition of each export, one run per partitioning.

    `on_batch` is called with the number of exports after each run. The runs belong to the instance of DAGSTER_HOME,
    so that the Dagster UI shows them.
    """
    ordered = sorted(exports, key=lambda export: (Partitioning.of(export), export.name))
    results: list[Materialized] = []
    with dg.DagsterInstance.get() as instance:
        for partitioning, members in groupby(ordered, key=Partitioning.of):
            batch = list(members)
            partition = last_complete(partitioning.kind, now, partitioning.timezone)
            results.extend(_materialize(project, batch, partition, instance))
            on_batch(len(batch))
    return sorted(results, key=lambda result: result.export)


def _materialize(
    project: Project, batch: Sequence[ResolvedExport], partition: str, instance: dg.DagsterInstance
) -> list[Materialized]:
    stores = {export.spec.store for export in batch}
    result = dg.materialize(
        [export_asset(project, export) for export in batch],
        partition_key=partition,
        instance=instance,
        resources={io_manager_key(store): io_manager(project, store) for store in stores},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},  # the instance keeps the events
        raise_on_error=False,
    )
    made = {event.step_key for event in result.get_step_success_events()}
    steps = {export.name: asset_key(export.name).to_python_identifier() for export in batch}
    return [Materialized(name, partition, result.run_id, step in made) for name, step in steps.items()]
