"""Exports of what is new: between which values a run reads its datasets, and how far it got."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from export_pipelines.errors import ColumnTypeError, QueryError, SpecError
from export_pipelines.ledger import watermarks
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.sources.base import Snapshot
from export_pipelines.sources.bounds import Bounds, assumed_type, fitted, kind_of, kind_of_type, to_text
from export_pipelines.sources.stream import RecordStream
from export_pipelines.spec.datasets import DatasetSpec
from export_pipelines.spec.exports import ExportSpec
from export_pipelines.spec.sqltext import parameters
from export_pipelines.spec.watermark import WatermarkSpec
from export_pipelines.storage.manifest import Watermark
from export_pipelines.text import counted
from export_pipelines.timing.partitions import Window


def watermarks_of(spec: ExportSpec) -> dict[str, WatermarkSpec]:
    """Dataset -> its watermark, of those that have one."""
    return {name: dataset.watermark for name, dataset in spec.datasets.items() if dataset.watermark is not None}


class Marks:
    """The watermarks of one run. Use: `bind`, then `follow`; when all is read, `results`. Empty for most exports."""

    def __init__(self, bounds: Mapping[str, Bounds] | None = None) -> None:
        self.bounds = dict(bounds or {})
        self._read: dict[str, _Reading] = {}

    @classmethod
    def of(cls, ledger: Ledger, export: str, spec: ExportSpec, *, partition: str, window: Window) -> Marks:
        """Those of a run of the partition; only the holder of the whole export's lease can rely on them."""
        wanted = watermarks_of(spec)
        return cls(watermarks.bounds(ledger, export, wanted, partition=partition, window=window) if wanted else {})

    def bind(self, datasets: Mapping[str, DatasetSpec]) -> dict[str, DatasetSpec]:
        """The datasets with their bounds. Raises SpecError if the SQL of one cannot stop where it must."""
        for name, bounds in self.bounds.items():
            sql = datasets[name].sql
            if bounds.before and sql is not None and "watermark_end" not in parameters(sql):
                raise SpecError(
                    f"dataset {name!r}: the rows from some value on belong to partition {bounds.before}, which was "
                    "exported already, and the SQL does not use `:watermark_end`",
                    hint=f"Add `{bounds.column} <= :watermark_end`, or rows would be exported twice",
                )
        bound = {name: datasets[name].model_copy(update={"watermark": bounds}) for name, bounds in self.bounds.items()}
        return {**datasets, **bound}

    def follow(self, snapshot: Snapshot, datasets: Mapping[str, DatasetSpec]) -> Snapshot:
        """The same rows, of which the highest values are noted while they are read.

        Raises SpecError or ColumnTypeError if a column is not there or can be no watermark; the streams raise
        ColumnTypeError for NULL, and QueryError for rows that belong to another partition.
        """
        streams = dict(snapshot.streams)
        for name, bounds in self.bounds.items():
            stream = streams[name]
            reading = self._read[name] = _Reading(name, bounds, stream.schema, exact=datasets[name].sql is not None)
            streams[name] = RecordStream(stream.schema, reading.batches(stream), on_close=stream.close)
        return Snapshot(streams, snapshot.close)

    def results(self) -> dict[str, Watermark]:
        """Dataset -> what was read of it."""
        return {name: reading.result() for name, reading in self._read.items()}


class _Reading:
    """The watermark of one dataset while its rows are read."""

    def __init__(self, dataset: str, bounds: Bounds, schema: pa.Schema, *, exact: bool) -> None:
        """`exact`: rows outside of the bounds are an error; else the database may give some, which are left out."""
        self._what = f"dataset {dataset!r}: the watermark {bounds.column!r}"
        self._bounds = bounds
        self._exact = exact
        if bounds.column not in schema.names:
            raise SpecError(f"{self._what} is no column of the result", hint=f"It has: {', '.join(schema.names)}")
        self._type = schema.field(bounds.column).type
        self._kind = kind_of_type(str(self._type))
        if self._kind is None and not pa.types.is_string(self._type):
            raise self._unfit()
        self._after, self._until = self._comparable()
        self._highest: Any = None

    def batches(self, stream: RecordStream) -> Iterator[pa.RecordBatch]:
        """The rows between the bounds."""
        for batch in stream:
            if self._kind is None:  # only now, because SQLite does not know the type of a column without rows
                raise self._unfit()
            inside = self._inside(batch, batch.column(self._bounds.column))
            if inside.num_rows:
                high = pc.max(inside.column(self._bounds.column)).as_py()
                self._highest = high if self._highest is None else max(self._highest, high)
                yield inside

    def result(self) -> Watermark:
        """What the rows were. Without any, the mark stays where it was."""
        after, highest = self._after, self._highest
        if after is not None and (highest is None or highest < after):
            highest = after
        arrow_type = str(self._type) if self._kind or after is None else assumed_type(after)
        texts = [None if value is None else to_text(value) for value in (after, highest)]
        return Watermark(column=self._bounds.column, type=arrow_type, after=texts[0], up_to=texts[1])

    def _inside(self, batch: pa.RecordBatch, column: pa.Array) -> pa.RecordBatch:
        if column.null_count:
            raise self._null(column.null_count)
        low, high = pc.min_max(column).as_py().values()
        early = self._after is not None and low <= self._after
        late = self._bounds.nothing or (self._until is not None and high > self._until)
        if not early and not late:
            return batch
        if self._exact and late:
            raise self._ahead(high)
        if self._exact and self._bounds.since:  # not of `initial`: databases compare dates and instants variously
            raise self._again(low)
        if self._bounds.nothing:
            return batch.slice(0, 0)
        keep = pc.greater(column, pa.scalar(self._after)) if early else pa.array([True] * len(column))
        return batch.filter(pc.and_(keep, pc.less_equal(column, pa.scalar(self._until))) if late else keep)

    def _comparable(self) -> tuple[Any, Any]:
        """The bounds as values of the column's kind. Raises SpecError, or ColumnTypeError if the column has changed."""
        bounds, kind = self._bounds, self._kind
        if kind is None:
            return bounds.after, bounds.until
        for value, partition in ((bounds.after, bounds.since), (bounds.until, bounds.before)):
            if value is not None and partition and kind_of(value) != kind:
                raise self._changed(value, partition)
        after = None if bounds.after is None else fitted(bounds.after, kind)
        if bounds.after is not None and after is None:
            hint = "Give `initial` a value of that type"
            raise SpecError(f"{self._what} is {self._type}, and its `initial` is {to_text(bounds.after)}", hint=hint)
        return after, bounds.until

    def _unfit(self) -> ColumnTypeError:
        hint = "Choose a column of whole numbers, decimals, dates or timestamps"
        if pa.types.is_string(self._type):
            hint += f"; a SQLite column gets such a type with types: {{{self._bounds.column}: timestamptz}}"
        return ColumnTypeError(f"{self._what} is {self._type}, which databases compare in different ways", hint=hint)

    def _changed(self, value: Any, partition: str) -> ColumnTypeError:
        said = f"{self._what} is {self._type}, but partition {partition} was exported with {to_text(value)}"
        hint = "Declare its former type in `types`; or begin anew: with SQL that gives the column another name"
        return ColumnTypeError(said, hint=hint)

    def _null(self, rows: int) -> ColumnTypeError:
        hint = "Nobody would ever export them. Give them a value, or leave them out with a condition `is not null`"
        if not self._exact:
            hint = hint.replace("a condition `is not null`", f"filters: {{{self._bounds.column}: {{is_null: false}}}}")
        return ColumnTypeError(f"{self._what} is NULL in {counted(rows, 'row')}", hint=hint)

    def _again(self, low: Any) -> QueryError:
        said = f"{self._what} is {to_text(low)} in a row, and partition {self._bounds.since} was exported"
        hint = f"The SQL must give each row once: `{self._bounds.column} > :watermark`"
        return QueryError(f"{said} up to {to_text(self._after)}", hint=hint)

    def _ahead(self, high: Any) -> QueryError:
        said = f"{self._what} is {to_text(high)} in a row, and that belongs to partition {self._bounds.before}"
        return QueryError(said, hint=f"The SQL must stop before it: `{self._bounds.column} <= :watermark_end`")
