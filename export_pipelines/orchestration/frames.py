"""What hand-written assets return, as datasets of an export."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pyarrow as pa

from export_pipelines.errors import ColumnTypeError, SpecError
from export_pipelines.opening import OpenExport, Request
from export_pipelines.project import Project
from export_pipelines.sources.base import Snapshot
from export_pipelines.sources.stream import RecordStream
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.exports import ExportSpec
from export_pipelines.spec.resolved import ResolvedExport, spec_sha256
from export_pipelines.timing.partitions import Window

SPEC_METADATA = "exports/spec"
"""Metadata key of a hand-written asset: a mapping with `formats` and other keys of an export's entry."""

_BATCH_ROWS = 65_536


def open_frames(context: dg.OutputContext, obj: Any, project: Project, store: str) -> OpenExport:
    """The asset's data under the partition's lease, ready to publish.

    The asset is partitioned by hour, day, week or month; its metadata `exports/spec` may give `formats` (default: csv),
    any other key of an export that concerns files, and `checks` by dataset. Raises SpecError, ColumnTypeError,
    LeaseHeldError.
    """
    frames = obj if isinstance(obj, Mapping) else {context.asset_key.path[-1]: obj}
    streams = {
        str(name): stream_of(frame, where=f"asset {context.asset_key.path[-1]}") for name, frame in frames.items()
    }
    request = _request(context, list(streams), project, store)
    return OpenExport(request, project.services(store)).open(lambda: Snapshot(streams))


def stream_of(frame: Any, *, where: str) -> RecordStream:
    """A pandas DataFrame, a pyarrow Table or a RecordBatchReader as a stream; its index is left out.

    Raises ColumnTypeError if it is something else.
    """
    if isinstance(frame, pa.RecordBatchReader):
        return RecordStream(frame.schema, frame, on_close=frame.close)
    if not isinstance(frame, pa.Table):
        if type(frame).__module__.partition(".")[0] != "pandas":
            raise ColumnTypeError(
                f"{where} returned {type(frame).__name__}",
                hint="Return a pandas DataFrame, a pyarrow Table or RecordBatchReader, or a dict of them by dataset",
            )
        frame = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    return RecordStream(frame.schema, frame.to_batches(max_chunksize=_BATCH_ROWS))


def _request(context: dg.OutputContext, datasets: list[str], project: Project, store: str) -> Request:
    name = context.asset_key.path[-1]
    if not context.has_asset_partitions or not isinstance(
        context.asset_partitions_def, dg.TimeWindowPartitionsDefinition
    ):
        raise SpecError(
            f"asset {name}: artifacts belong to a partition of time",
            hint="Give the asset a Daily-, Hourly-, Weekly- or MonthlyPartitionsDefinition",
        )
    given = dict((context.definition_metadata or {}).get(SPEC_METADATA) or {})
    checks = given.pop("checks", {})
    if unknown := sorted(set(checks) - set(datasets)):
        raise SpecError(
            f"asset {name}: checks of {unknown[0]!r}, which it did not return", hint=f"Datasets: {', '.join(datasets)}"
        )
    described = {dataset: {"table": dataset, "checks": checks.get(dataset)} for dataset in datasets}
    entry = {"formats": ["csv"], **given, "store": store, "source": "asset", "datasets": described}
    spec = ExportSpec.model_validate(entry)
    if spec.only_if is not None or spec.on_empty == "skip":
        raise SpecError(
            f"asset {name}: `only_if` and `on_empty: skip` are for exports: what an asset returned is materialized",
            hint="Set output_required=False, and yield no Output where nothing is to be published",
        )
    window = context.asset_partitions_time_window
    timezone = context.asset_partitions_def.timezone
    export = ResolvedExport(
        name=name,
        spec=spec,
        connection=ConnectionSpec(url="asset://"),
        store=project.specs.stores[store],
        schedule_name=None,
        schedule=None,
        calendar=None,
        timezone=timezone,
        max_rows=spec.max_rows or project.settings.max_records,
        spec_sha256=spec_sha256(name, spec, timezone),
    )
    return Request(
        export=export,
        partition=context.asset_partition_key,
        run_id=context.run_id,
        created_at=datetime.now(UTC),
        window=Window(window.start, window.end),
    )
