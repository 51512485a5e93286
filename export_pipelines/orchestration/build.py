"""From a project to everything that Dagster loads."""

from __future__ import annotations

import logging

import dagster as dg

from export_pipelines.orchestration.assets import export_asset, io_manager_key
from export_pipelines.orchestration.integrity import integrity_checks, verify_job
from export_pipelines.orchestration.io_managers import io_manager
from export_pipelines.orchestration.lineage import external_assets
from export_pipelines.orchestration.retention import retention_job
from export_pipelines.orchestration.schedules import timing_job, timing_schedule
from export_pipelines.orchestration.sensors import sensors
from export_pipelines.orchestration.upkeep import upkeep_schedule
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
    schedules = [timing_schedule(project, timing, job) for timing, job in planned]
    upkeep = [retention_job(project), verify_job(project)]
    schedules += [made for job in upkeep if (made := upkeep_schedule(project, job))]
    return dg.Definitions(
        assets=[*(export_asset(project, export) for export in exports), *external_assets(exports)],
        asset_checks=integrity_checks(project, exports),
        jobs=[*(job for _, job in planned), *upkeep],
        schedules=schedules,
        sensors=sensors(project, [schedule.name for schedule in schedules], [job for _, job in planned]),
        resources={io_manager_key(store): io_manager(project, store) for store in project.specs.stores},
        executor=dg.in_process_executor,
    )
