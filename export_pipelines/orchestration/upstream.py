"""What partitions wait for: other exports, by the ledger, and assets of any code location, by Dagster's event log."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from datetime import UTC

import dagster as dg

from export_pipelines.catching_up.upstream import Key, Waiting, missing_exports, waiting
from export_pipelines.catching_up.waiting import Lack
from export_pipelines.project import Project
from export_pipelines.spec.resolved import ResolvedExport
from export_pipelines.timing.ticks import Partitioning


def missing(project: Project, instance: dg.DagsterInstance, keys: Iterable[Key]) -> dict[Key, list[Lack]]:
    """(export, partition) -> what is still to come of what its `after` names; where all is there, left out.

    Nothing is asked for exports without `after`. Raises LedgerUnavailableError.
    """
    rows = waiting(project, keys)
    found = missing_exports(project, rows)
    log = _Log(instance)
    for row in rows:
        absent = [Lack(f"asset {path}") for path in dict.fromkeys(row.after.assets) if not log.has(path, row)]
        if absent:
            found.setdefault((row.export.name, row.partition), []).extend(absent)
    return found


class _Log:
    """What has been materialized: one query for each asset, and one more for each partition of it."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._last: dict[str, dg.EventLogRecord | None] = {}
        self._known: dict[Key, bool] = {}

    def has(self, path: str, row: Waiting) -> bool:
        """Whether the asset has the partition; one without partitions, whether it was made since the window ended."""
        if path not in self._last:
            self._last[path] = self._newest(key_of(path))
        last = self._last[path]
        if last is None:
            return False
        if last.partition_key is None:
            return last.timestamp >= row.window.end.astimezone(UTC).timestamp()
        pair = path, row.partition
        if pair not in self._known:
            chosen = dg.AssetRecordsFilter(asset_key=key_of(path), asset_partitions=[row.partition])
            self._known[pair] = last.partition_key == row.partition or self._newest(chosen) is not None
        return self._known[pair]

    def _newest(self, chosen: dg.AssetKey | dg.AssetRecordsFilter) -> dg.EventLogRecord | None:
        return next(iter(self._instance.fetch_materializations(chosen, limit=1).records), None)


def key_of(path: str) -> dg.AssetKey:
    """The asset key of `dbt/orders`."""
    return dg.AssetKey(path.split("/"))


def upstream_deps(project: Project, export: ResolvedExport) -> list[dg.AssetDep]:
    """What the export waits for, for Dagster's graph. It orders them where one run makes several; it loads nothing."""
    after = export.spec.waits_for
    if after is None:
        return []
    mine = Partitioning.of(export)
    deps = []
    for name in dict.fromkeys(after.exports):
        other = project.specs.exports.get(name)
        later = other is not None and other.spec.start > mine.start
        deps.append(
            dg.AssetDep(dg.AssetKey(["exports", name]), partition_mapping=_as_far_as_it_goes() if later else None)
        )
    return deps + [dg.AssetDep(key_of(path)) for path in dict.fromkeys(after.assets)]


def _as_far_as_it_goes() -> dg.PartitionMapping:
    """Equal partitions where the other export has them; without it, Dagster refuses backfills of what lies before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)
