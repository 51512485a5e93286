"""RecordStream: a query's result, read once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from types import TracebackType
from typing import Self

import pyarrow as pa


class RecordStream:
    """A schema that is known now and record batches that come later, once.

    `close` frees what produces the batches (a cursor, a file); it may be called at any time, more than once. Leaving
    the context or reading to the end closes too.
    """

    def __init__(
        self, schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, on_close: Callable[[], None] = lambda: None
    ) -> None:
        self.schema = schema
        self._batches: Iterator[pa.RecordBatch] = iter(batches)
        self._on_close = on_close
        self._started = False
        self._closed = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """The batches, none of them empty. Raises RuntimeError when asked a second time."""
        if self._started or self._closed:
            raise RuntimeError("this RecordStream was read or closed before; open the dataset again")
        self._started = True
        try:
            for batch in self._batches:
                if batch.num_rows:
                    yield batch
        finally:
            self.close()

    def peek(self) -> pa.RecordBatch | None:
        """The first batch, which is read now and still comes when the stream is read; None if there are no rows."""
        if self._started or self._closed:
            raise RuntimeError("this RecordStream was read or closed before; open the dataset again")
        first = next((batch for batch in self._batches if batch.num_rows), None)
        if first is not None:
            self._batches = chain([first], self._batches)
        return first

    def close(self) -> None:
        """Free what produces the batches."""
        if not self._closed:
            self._closed = True
            self._on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
