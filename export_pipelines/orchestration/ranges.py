"""Dagster runs of several partitions: which those are, and what an earlier run has already made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import dagster as dg

from export_pipelines.errors import SpecError
from export_pipelines.ledger import artifacts
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.runs import RunRow
from export_pipelines.project import Project
from export_pipelines.spec.naming import span_of
from export_pipelines.timing.partitions import keys_between

_START, _END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
_PARENT = "dagster/parent_run_id"
_RESUMED = ("dagster/is_resume_retry", "dagster/is_asset_resume_retry")
_MOST_PARENTS = 20


@dataclass(frozen=True)
class Ranged:
    """What an asset hands to its IO manager when all is published already, as in a run of several partitions."""

    artifact_ids: tuple[str, ...]


def range_of(run: dg.DagsterRun) -> tuple[str, str] | None:
    """The first and the last partition of a run that Dagster gave a range; None of one that has a single partition."""
    first, last = run.tags.get(_START), run.tags.get(_END)
    return (first, last) if first and last else None


def name_of(run: dg.DagsterRun) -> str | None:
    """What a run with a range is about, for people: `2026-01-01--2026-12-31`."""
    found = range_of(run)
    return span_of(found[0], found[1] if found[1] != found[0] else None) if found else None


def resumed_from(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    """Ids of the runs whose work this one continues after a failure, the latest first; none if it begins anew."""
    found: list[str] = []
    current: dg.DagsterRun | None = run
    while current is not None and _is_resumed(current) and len(found) < _MOST_PARENTS:
        found.append(current.tags[_PARENT])
        current = instance.get_run_by_id(found[-1])
    return found


def _is_resumed(run: dg.DagsterRun) -> bool:
    return _PARENT in run.tags and any(run.tags.get(tag) == "true" for tag in _RESUMED)


def made_by(ledger: Ledger, export: str, run_ids: Iterable[str]) -> dict[str, ArtifactRow]:
    """Partitions as `span_of` has them -> the newest complete artifact of the first of these runs that published them.

    Those of further runs must be good: what a blocking check objected to is published again.
    """
    found: dict[str, ArtifactRow] = {}
    for number, run_id in enumerate(run_ids):
        for row in artifacts.find(ledger, export=export, run_id=run_id):
            if row.manifest.row_limit is None and (row.good or number == 0):
                found.setdefault(row.manifest.span, row)
    return found


def left_of(project: Project, export: str, run: dg.DagsterRun, rows: Sequence[RunRow]) -> str:
    """Which partitions a run with a range did not get done, as `span_of` has them; "" if there are none.

    `rows` are the last attempts of the run at each of its artifacts.
    """
    first, last = range_of(run) or ("", "")
    done = [row.last_partition or row.partition for row in rows if row.state in ("published", "skipped")]
    failed = [row.partition for row in rows if row.state not in ("published", "skipped")]
    if not failed and last in done:
        return ""
    start = failed[-1] if failed else _following(project, export, max(done), last) if done else first
    return span_of(start, last if last != start else None)


def _following(project: Project, export: str, reached: str, last: str) -> str:
    """The partition after that one; the same one if the export has changed since."""
    known = project.specs.exports.get(export)
    try:
        keys = keys_between(known.spec.partition, reached, last, known.timezone) if known else iter(())
        return next(islice(keys, 1, None), reached)
    except SpecError:
        return reached
