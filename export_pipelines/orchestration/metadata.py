"""What Dagster shows of a published artifact."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pyarrow as pa

from export_pipelines.errors import ConditionSkip
from export_pipelines.opening import Artifact
from export_pipelines.storage.base import Store
from export_pipelines.storage.manifest import Column, Manifest

_CELL_CHARACTERS = 60


def describe(artifact: Artifact, store: Store) -> dict[str, Any]:
    """Metadata of the materialization. Numbers are plotted by the UI over partitions."""
    manifest = artifact.manifest
    rows, seconds = manifest.total_rows, manifest.seconds
    entries: dict[str, Any] = {
        "dagster/row_count": rows,
        **({} if manifest.last_partition else {"dagster/partition_row_count": rows}),
        **describe_briefly(artifact, store),
        "bytes": manifest.total_bytes,
        "seconds": dg.MetadataValue.float(seconds),
        "rows/s": dg.MetadataValue.float(round(rows / seconds, 1) if seconds else 0.0),
        "files": _files(manifest),
    }
    if manifest.corrects:
        entries["correction of"] = manifest.corrects[:8]
    for name, columns in manifest.schemas.items():
        key = "dagster/column_schema" if len(manifest.schemas) == 1 else f"columns of {name}"
        entries[key] = _schema(columns)
    for name, mark in manifest.watermarks.items():
        entries[f"watermark of {name}"] = dg.MetadataValue.json(mark.model_dump())
    for name, table in artifact.preview.items():
        entries[f"preview of {name}"] = dg.MetadataValue.md(_markdown(table))
    return entries


def skipped(key: dg.AssetKey, partition: str, skip: ConditionSkip) -> dg.AssetObservation:
    """What the page of the asset (`key`) shows of a partition that a run skipped."""
    return dg.AssetObservation(key, partition=partition, description=str(skip), metadata={"skipped": skip.reason})


def describe_briefly(artifact: Artifact, store: Store) -> dict[str, Any]:
    """Where the artifact is, and which partitions it combines, if it does."""
    row, manifest = artifact.row, artifact.manifest
    uri = store.uri(row.directory) if row.directory else store.uri(row.manifest_path)
    combined = {"combines": manifest.span} if manifest.last_partition else {}
    return {
        "dagster/uri": uri,
        "path": dg.MetadataValue.path(uri),
        "artifact": manifest.artifact_id,
        **combined,
    }


def _files(manifest: Manifest) -> dg.MetadataValue[Any]:
    fields = ("name", "format", "rows", "bytes", "sha256")
    records = [dg.TableRecord({field: getattr(file, field) for field in fields}) for file in manifest.files]
    columns = [dg.TableColumn(field, "int" if field in ("rows", "bytes") else "string") for field in fields]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))


def _schema(columns: list[Column]) -> dg.TableSchema:
    return dg.TableSchema(columns=[dg.TableColumn(column.name, column.type) for column in columns])


def _markdown(table: pa.Table) -> str:
    header = [_cell(name) for name in table.column_names]
    rows = [[_cell(value) for value in row.values()] for row in table.to_pylist()]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, ["---"] * len(header), *rows])


def _cell(value: object) -> str:
    """A value as text that cannot break out of its cell or be read as markup."""
    text = "" if value is None else str(value)
    short = text if len(text) <= _CELL_CHARACTERS else text[: _CELL_CHARACTERS - 1] + "…"
    for special in "\\|<>`*_[]":
        short = short.replace(special, "\\" + special)
    return " ".join(short.split())
