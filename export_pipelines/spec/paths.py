"""The directory of an artifact, from the export's path template."""

from __future__ import annotations

from datetime import datetime

from export_pipelines.spec.naming import DEFAULT_PATHS, safe_partition, stamp
from export_pipelines.spec.resolved import ResolvedExport


def path_template(export: ResolvedExport) -> str:
    """The export's template, or its layout's default."""
    return DEFAULT_PATHS[export.spec.layout] if export.spec.path is None else export.spec.path


def directory_of(
    export: ResolvedExport, partition: str, *, window_start: datetime, run_id: str, created_at: datetime
) -> str:
    """The directory, relative to the store's root; "" is the root.

    `window_start` is local (year, month and day are taken from it); both datetimes are aware.
    """
    return path_template(export).format(
        export=export.name,
        partition=safe_partition(partition),
        org=export.spec.org,
        stamp=stamp(created_at),
        run8=run_id[:8],
        run_id=run_id,
        year=f"{window_start:%Y}",
        month=f"{window_start:%m}",
        day=f"{window_start:%d}",
    )
