"""Cells as text, whole columns at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from pyarrow import types

from export_pipelines.formats.render import Frames, as_text

Numbers = np.ndarray[Any, np.dtype[Any]]
_CHUNK_ROWS = 2_000  # rows that are text and operators at the same time; bounds memory for large batches


class Texts:
    """Renders the batches of one dataset for readers: as CSV does, but with a space between date and time."""

    def __init__(self, dataset: str, schema: pa.Schema) -> None:
        """Plan the rendering. Raises FormatError if a column has no text form."""
        self._frames = Frames(dataset, schema, render=_as_print, quick=False)

    def of(self, batch: pa.RecordBatch) -> Iterator[list[pl.Series]]:
        """The batch in chunks of rows: text columns in the schema's order, NULL kept.

        Raises FormatError if a value has no text form.
        """
        for start in range(0, batch.num_rows, _CHUNK_ROWS):
            for frame in self._frames.of(batch.slice(start, _CHUNK_ROWS)):
                yield [column.cast(pl.String) for column in frame]


def is_number(kind: pa.DataType) -> bool:
    """Whether a column is set flush right."""
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def is_rigid(kind: pa.DataType) -> bool:
    """Whether a column's values should not be broken: numbers, dates and times."""
    return is_number(kind) or bool(types.is_temporal(kind))


def ascii_widths(column: pl.Series, table: Numbers) -> Numbers:
    """The width of each text in the unit of `table` (256 entries, by byte); NULL is as wide as the empty text."""
    texts = column.to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    raw = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]] if data else np.zeros(0, np.uint8)
    sums = np.concatenate(([0], np.cumsum(table[raw])))
    widths: Numbers = np.diff(sums[ends - ends[0]])
    return widths


def _as_print(x: pl.Expr, kind: pa.DataType) -> pl.Expr | None:
    text = as_text(x, kind)
    return text.str.replace("T", " ", literal=True) if types.is_timestamp(kind) and text is not None else text
