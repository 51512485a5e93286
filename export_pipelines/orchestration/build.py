"""From a project to everything that Dagster loads."""

from __future__ import annotations

import logging

import dagster as dg

from export_pipelines.orchestration.assets import export_asset, io_manager_key
from export_pipelines.orchestration.io_managers import io_manager
from export_pipelines.orchestration.lineage import external_assets
from export_pipelines.orchestration.schedules import timing_job, timing_schedule
from export_pipelines.orchestration.sensors import sensors
from export_pipelines.project import Project
from export_pipelines.timing.ticks import timings

_log = logging.getLogger(__name__)


def build_definitions(project: Project) -> dg.Definitions:
    """Assets, jobs, schedules, sensors and IO managers of the project's valid exports.

    Broken specs are left out and logged, each with its file, line and message; they never take others down.
    """
    for problem in project.specs.problems:
        _log.warning("quarantined: %s", problem)
    exports = list(project.specs.exports.values())
    planned = [(timing, timing_job(timing)) for timing in timings(exports)]
    return dg.Definitions(
        assets=[*(export_asset(project, export) for export in exports), *external_assets(exports)],
        jobs=[job for _, job in planned],
        schedules=[timing_schedule(timing, job) for timing, job in planned],
        sensors=sensors(project, [timing.name for timing, _ in planned]),
        resources={io_manager_key(store): io_manager(project, store) for store in project.specs.stores},
        executor=dg.in_process_executor,
    )
