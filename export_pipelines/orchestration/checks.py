"""Checks of exports as Dagster's asset checks. They run in the step that publishes, after it has published."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import dagster as dg

from export_pipelines.checks.plan import planned_checks
from export_pipelines.opening import Artifact
from export_pipelines.orchestration.partitions import partitions_def
from export_pipelines.spec.resolved import ResolvedExport
from export_pipelines.storage.manifest import CheckResult
from export_pipelines.timing.ticks import Partitioning

DEADLINE = "deadline"
"""The check of exports whose schedule has a deadline. The sensor `deadlines` fails it for the partition that is late;
producing that partition, and no other one, makes it pass."""


def check_specs(export: ResolvedExport, key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """One spec per check; `key` is the export's asset. A blocking one stops what comes after the asset.

    Checks have the asset's partitions: without them, Dagster counts each run of a partition as a second, skipped
    evaluation of the check.
    """
    partitions = partitions_def(Partitioning.of(export))
    planned = [(check.name, check.description, check.blocking) for check in planned_checks(export.spec)]
    if has_deadline(export):
        planned.append((DEADLINE, "Each partition is published by the deadline of the schedule", False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(name, asset=key, description=text, blocking=blocking, partitions_def=partitions)
            for name, text, blocking in planned
        ]


def has_deadline(export: ResolvedExport) -> bool:
    """Whether the export's schedule says by when it must be published."""
    return export.schedule is not None and export.schedule.deadline_minutes is not None


def check_results(export: ResolvedExport, artifact: Artifact | None) -> Iterator[dg.AssetCheckResult]:
    """One result per spec, as Dagster demands: also where nothing was published, which no check objects to."""
    found = {result.name: result for result in artifact.checks} if artifact else {}
    for check in planned_checks(export.spec):
        result = found.get(check.name)
        if result is None:
            yield dg.AssetCheckResult(passed=True, check_name=check.name, description="nothing was published")
        else:
            yield check_result(result)
    if has_deadline(export):
        done = "published" if artifact else "skipped on purpose"
        yield dg.AssetCheckResult(passed=True, check_name=DEADLINE, description=f"this partition is {done}")


def check_result(result: CheckResult) -> dg.AssetCheckResult:
    """The result as Dagster has it: a failed check that does not block is a warning."""
    return dg.AssetCheckResult(
        passed=result.passed,
        check_name=result.name,
        description=result.message,
        severity=dg.AssetCheckSeverity.ERROR if result.blocking else dg.AssetCheckSeverity.WARN,
        metadata={name: _plotted(value) for name, value in result.values.items()},
    )


def _plotted(value: float | str) -> dg.MetadataValue[Any]:
    """Numbers as numbers, which the UI plots; those that are text to keep their digits, too."""
    if isinstance(value, int):
        return dg.MetadataValue.int(value)
    try:
        number = float(value)
    except ValueError:
        return dg.MetadataValue.text(str(value))
    return dg.MetadataValue.float(number) if math.isfinite(number) else dg.MetadataValue.text(str(value))
