"""Checks of exports as Dagster's asset checks. They run in the step that publishes, after it has published."""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
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

INTEGRITY = "integrity"
"""The check of the published files. The job `verify` fails it for a partition whose files it finds damaged; it passes
when they are right again, or the partition is produced anew. The step of an export does not evaluate it otherwise: a
result for everything that is published would cost half as much CPU time again as a small export does."""


def check_specs(export: ResolvedExport, key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """One spec per check that the export's own step evaluates; `key` is its asset. A blocking one stops what follows.

    Checks have the asset's partitions: without them, Dagster counts each run of a partition as a second, skipped
    evaluation of the check.
    """
    partitions = partitions_def(Partitioning.of(export))
    with _previews():
        return [
            dg.AssetCheckSpec(name, asset=key, description=text, blocking=blocking, partitions_def=partitions)
            for name, text, blocking in _planned(export)
        ]


def check_keys(export: ResolvedExport, key: dg.AssetKey) -> list[dg.AssetCheckKey]:
    """The keys of `check_specs`. Whoever requests the asset names all of them, or Dagster refuses."""
    return [dg.AssetCheckKey(key, name) for name, _, _ in _planned(export)]


def integrity_specs(exports: Mapping[dg.AssetKey, ResolvedExport]) -> list[dg.AssetCheckSpec]:
    """The spec of the check `integrity` of each asset."""
    text = "The published files, read again from time to time, are as they were written"
    with _previews():
        return [
            dg.AssetCheckSpec(
                INTEGRITY, asset=key, description=text, partitions_def=partitions_def(Partitioning.of(export))
            )
            for key, export in exports.items()
        ]


def _planned(export: ResolvedExport) -> list[tuple[str, str, bool]]:
    """Name, description, and whether it is blocking."""
    planned = [(check.name, check.description, check.blocking) for check in planned_checks(export.spec)]
    if has_deadline(export):
        planned.append((DEADLINE, "Each partition is published by the deadline of the schedule", False))
    return planned


@contextmanager
def _previews() -> Iterator[None]:
    """Without the warning that partitions of checks are a preview."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        yield


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


def evaluations(
    export: ResolvedExport, key: dg.AssetKey, partitions: Sequence[str], artifact: Artifact | None
) -> Iterator[dg.AssetCheckEvaluation]:
    """What `check_results` says, for each of the partitions that an artifact combines; `key` is the asset.

    Dagster takes a result of a step for one that concerns no partition if the run has several. The one of the last
    partition has the numbers and blocks what follows, so that it is counted once.
    """
    blocking = {name: blocks for name, _, blocks in _planned(export)}
    for result in check_results(export, artifact):
        name = result.check_name or ""
        for partition in partitions:
            last = partition == partitions[-1]
            yield dg.AssetCheckEvaluation(
                asset_key=key,
                check_name=name,
                passed=result.passed,
                severity=result.severity,
                description=result.description,
                metadata=result.metadata if last else None,
                blocking=blocking[name] and last,
                partition=partition,
            )


def check_outputs(
    export: ResolvedExport, key: dg.AssetKey, selected: Collection[dg.AssetCheckKey]
) -> Iterator[dg.Output[None]]:
    """The outputs of the checks that are asked for, on which steps that come after blocking ones depend."""
    for spec in check_specs(export, key):
        if spec.key in selected:
            yield dg.Output(None, output_name=spec.get_python_identifier())


def published_anew(key: dg.AssetKey, partition: str) -> dg.AssetCheckEvaluation:
    """The check `integrity` of a partition of which damage was known, now that its files are new; `key` is the asset.

    The step evaluates it although it is none of its checks, so that Dagster neither plans nor awaits it each time.
    """
    return dg.AssetCheckEvaluation(
        asset_key=key, check_name=INTEGRITY, partition=partition, passed=True, description="published anew"
    )


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
