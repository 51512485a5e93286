"""`max_concurrent` of a connection as the limit of its Dagster pool.

Dagster keeps pool limits in the instance and has no public way to set them from code. `dagster instance concurrency
set` calls the same storage methods as this module; no other module of this package does.
"""

from collections.abc import Mapping

import dagster as dg

from export_pipelines.project import Project

_INTERVAL_SECONDS = 60


def pool(connection: str) -> str:
    """The Dagster pool that limits how many exports read from the connection at once."""
    return f"source_{connection}"


def pool_limits(project: Project) -> dict[str, int]:
    """Pool -> limit, for every connection."""
    return {pool(name): spec.max_concurrent for name, spec in project.specs.connections.items()}


def apply_limits(instance: dg.DagsterInstance, wanted: Mapping[str, int]) -> list[str]:
    """Set the limits that differ; return what was changed, as sentences."""
    storage = instance.event_log_storage
    present = {limit.name: limit.limit for limit in storage.get_pool_limits() if not limit.from_default}
    changed = []
    for name, limit in sorted(wanted.items()):
        if present.get(name) != limit:
            storage.set_concurrency_slots(name, limit)
            changed.append(f"pool {name}: {limit} at once, before {present.get(name, 'the default')}")
    return changed


def pool_sensor(project: Project) -> dg.SensorDefinition:
    """Keeps the instance's limits equal to the specs; a limit that somebody set in the UI is set back."""
    wanted = pool_limits(project)

    @dg.sensor(
        name="pool_limits",
        description="Sets the limit of each connection's pool to its `max_concurrent`",
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def _sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        changed = apply_limits(context.instance, wanted)
        return dg.SkipReason("; ".join(changed) or "all limits are as the specs say")

    return _sensor
