"""What Celery workers start: `celery -A export_pipelines.orchestration.celery_app worker`.

A worker holds all imports and does a run in a child of its own, which ends with the run. So each run reads the specs
and the environment's `.env` anew, and returns its memory: Dagster keeps the job that a process loaded last.
"""

from __future__ import annotations

import dagster as dg
import pandas as pd  # noqa: F401  pyarrow imports it for the first array; children are forked with it
from celery import Celery
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tasks import create_execute_job_task, create_resume_job_task

import export_pipelines.orchestration.build  # noqa: F401  children are forked with it
from export_pipelines.errors import ConfigurationError
from export_pipelines.registry import FORMATS, SOURCES, STORES, resolve

_SETTINGS = {
    "worker_max_tasks_per_child": 1,
    # A run that a worker has fetched and not begun would wait with it for others to end, or be lost with it.
    "worker_disable_prefetch": True,
    "worker_prefetch_multiplier": 1,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
}


def celery_app() -> Celery:
    """The application that the instance's run launcher sends runs to, with their tasks.

    Broker and results are those of `dagster.yaml`, so that they are written down once. Raises ConfigurationError if the
    instance launches runs by other means.
    """
    with dg.DagsterInstance.get() as instance:
        launcher = instance.run_launcher
    if not isinstance(launcher, CeleryRunLauncher):
        raise ConfigurationError(
            f"the Dagster instance launches runs with {type(launcher).__name__}, not with Celery",
            hint="Let DAGSTER_HOME name a directory with deploy/celery/dagster.yaml",
        )
    made = launcher.celery
    made.conf.update(_SETTINGS)
    for registry in (SOURCES, FORMATS, STORES):
        for name in registry:
            resolve("part", registry, name)
    create_execute_job_task(made)
    create_resume_job_task(made)
    return made


app = celery_app()
