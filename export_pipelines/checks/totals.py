"""Control totals: queries that run beside the datasets, on the same snapshot, and give one number each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa

from export_pipelines.checks.sums import Number
from export_pipelines.errors import PermanentError, QueryError
from export_pipelines.sources.base import Snapshot, Source
from export_pipelines.sources.bounds import Bounds
from export_pipelines.sources.stream import RecordStream
from export_pipelines.spec.datasets import DatasetSpec
from export_pipelines.text import counted

_KEY = "control total of "
"""Begins the name of a control query; the blanks keep it apart from every dataset's name."""


def open_with_totals(source: Source, datasets: Mapping[str, DatasetSpec], *, values: Mapping[str, Any]) -> Snapshot:
    """The datasets' streams and, behind them, those of their control queries.

    A control query that the database refuses gives a stream that raises why when it is read; it never keeps the
    datasets from being opened. Raises what `Source.open` raises.
    """
    queries = _control_queries(datasets)
    refused: dict[str, RecordStream] = {}
    while True:
        try:
            snapshot = source.open({**datasets, **queries}, values=values)
        except PermanentError as error:  # whose message names the dataset that is at fault
            name = next((name for name in queries if repr(name) in str(error)), None)
            if name is None:
                raise
            del queries[name]
            refused[name] = RecordStream(pa.schema([]), _refusal(error))
        else:
            return Snapshot({**snapshot.streams, **refused}, snapshot.close)


def split_totals(
    streams: Mapping[str, RecordStream],
) -> tuple[Mapping[str, RecordStream], Mapping[str, RecordStream]]:
    """The streams of the datasets, and the streams of the control queries by dataset."""
    totals = {name.removeprefix(_KEY): stream for name, stream in streams.items() if name.startswith(_KEY)}
    return {name: stream for name, stream in streams.items() if not name.startswith(_KEY)}, totals


def read_total(stream: RecordStream) -> Number:
    """The number that the control query gives; NULL is 0.

    Raises QueryError if it gives anything but one number, and what reading the source raises.
    """
    with stream:
        rows, seen = 0, None
        for batch in stream:
            rows += batch.num_rows
            seen = seen or batch
        if rows != 1 or seen is None or seen.num_columns != 1:
            raise _unusable(f"{counted(rows, 'row')} of {counted(len(stream.schema), 'column')}")
    value = seen.column(0)[0].as_py()
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _unusable(f"a {seen.schema.field(0).type}")
    return value


def _unusable(given: str) -> QueryError:
    return QueryError(f"the control query gives {given}", hint="It must give one row with one number")


def _control_queries(datasets: Mapping[str, DatasetSpec]) -> dict[str, DatasetSpec]:
    wanted = {name: dataset.checks.control_total for name, dataset in datasets.items() if dataset.checks}
    return {f"{_KEY}{name}": _query(total.sql, datasets[name]) for name, total in wanted.items() if total is not None}


def _query(sql: str, dataset: DatasetSpec) -> DatasetSpec:
    """The SQL as a dataset with the parameters of the one that it is the total of."""
    query = DatasetSpec(sql=sql, params=dataset.params)
    bounded = isinstance(dataset.watermark, Bounds)
    return query.model_copy(update={"watermark": dataset.watermark}) if bounded else query


def _refusal(error: PermanentError) -> Iterator[pa.RecordBatch]:
    raise error
    yield
