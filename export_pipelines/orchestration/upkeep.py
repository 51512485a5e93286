"""What the jobs share that look after published files: their schedule, their time limit, how lists are shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dagster as dg

from export_pipelines.errors import ConfigurationError
from export_pipelines.ledger.workers import working
from export_pipelines.orchestration.assets import MAX_RUNTIME
from export_pipelines.orchestration.failures import failing_clearly
from export_pipelines.project import Project
from export_pipelines.spec.cron import check_cron

RETENTION = "retention"
VERIFY = "verify"
VARIABLES = {RETENTION: "EXPORT_CLEANUP_SCHEDULE", VERIFY: "EXPORT_VERIFY_SCHEDULE"}
"""Job -> the variable with its cron expression."""

TAGS = {MAX_RUNTIME: str(6 * 60 * 60)}
TELLING = "report"
"""The op of `retention` that fails after it has told what went wrong; nobody need be told once more."""

LISTED = 50
"""Lines of a list in metadata and messages."""


def upkeep_schedule(project: Project, job: dg.JobDefinition) -> dg.ScheduleDefinition | None:
    """The job by its variable, in UTC; None if that is `off`. Raises ConfigurationError if it is no cron expression."""
    variable = VARIABLES[job.name]
    cron = project.settings.cron(variable)
    if cron is None:
        return None
    try:
        cron = check_cron(cron)
    except ValueError as error:
        raise ConfigurationError(
            f"environment variable {variable}: {error}", hint="Write a cron expression, or off"
        ) from error
    return dg.ScheduleDefinition(
        name=job.name,
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"{job.description}, by {variable}",
    )


@contextmanager
def at_work(context: dg.OpExecutionContext, project: Project) -> Iterator[None]:
    """Errors as Dagster needs them, and the ledger knows that the run is alive."""
    with failing_clearly(), working(project.ledger, context.run_id, "-", ttl_seconds=project.settings.lease_seconds):
        yield


def listed(name: str, texts: Sequence[str]) -> dict[str, dg.MetadataValue[str]]:
    """The first lines of a list as metadata; nothing for an empty one."""
    lines = [f"- {text}" for text in texts[:LISTED]]
    more = [f"- and {len(texts) - LISTED:,} more"] if texts[LISTED:] else []
    return {name: dg.MetadataValue.md("\n".join(lines + more))} if lines else {}
