"""Session: one connection and the streams that still read from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self

import pyarrow as pa

from export_pipelines.sources.base import Snapshot
from export_pipelines.sources.stream import RecordStream


class Session:
    """Closes the connection with the last of its streams, or when asked to."""

    def __init__(self, close: Callable[[], None]) -> None:
        """`close` ends the transaction and the connection; it must not raise."""
        self._close = close
        self._closed = False
        self._open: list[RecordStream] = []

    def stream(
        self, schema: pa.Schema, batches: Iterator[pa.RecordBatch], *, on_close: Callable[[], None]
    ) -> RecordStream:
        """A stream of this connection; `on_close` frees its cursor and must not raise."""

        def release() -> None:
            on_close()
            self._open.remove(stream)
            if not self._open:
                self.close()

        stream = RecordStream(schema, batches, on_close=release)
        self._open.append(stream)
        return stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Close if opening the streams failed; else they are still to be read."""
        if kind is not None:
            self.close()

    def snapshot(self, streams: Mapping[str, RecordStream]) -> Snapshot:
        """The streams as a Snapshot that closes this session."""
        if not streams:
            self.close()
        return Snapshot(dict(streams), self.close)

    def close(self) -> None:
        """Close what is still open. May be called more than once."""
        for stream in list(self._open):
            stream.close()
        if not self._closed:
            self._closed = True
            self._close()
