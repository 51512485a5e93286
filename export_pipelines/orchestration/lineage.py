"""The tables that exports read, as external assets: `sources/<connection>/<table>`."""

from __future__ import annotations

import re
from collections.abc import Iterable

import dagster as dg

from export_pipelines.sources.lineage import tables_read
from export_pipelines.spec.resolved import ResolvedExport


def upstream_keys(export: ResolvedExport) -> list[dg.AssetKey]:
    """Keys of the tables the export reads, sorted; the connection itself where a query's tables cannot be told."""
    names = {_plain(table) for tables in tables_read(export).values() for table in tables or {""}}
    return [dg.AssetKey(["sources", export.spec.source, *([name] if name else [])]) for name in sorted(names)]


def external_assets(exports: Iterable[ResolvedExport]) -> list[dg.AssetSpec]:
    """One external asset per table that any export reads."""
    keys = {key for export in exports for key in upstream_keys(export)}
    return [dg.AssetSpec(key, group_name="sources", kinds={"table"}) for key in sorted(keys, key=str)]


def _plain(name: str) -> str:
    """A table's name as part of an asset key."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)
