"""What every source does: run named queries read-only, on one snapshot, and stream their results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from export_pipelines.sources.stream import RecordStream
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.datasets import DatasetSpec


@dataclass(frozen=True)
class Snapshot:
    """The open results of one export's datasets; closing it closes them and ends the transaction."""

    streams: Mapping[str, RecordStream]
    close: Any = field(default=lambda: None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class Source(ABC):
    """One connection of the specs. Creating a Source connects to nothing."""

    def __init__(self, name: str, spec: ConnectionSpec, url: str) -> None:
        """`url` is the connection's URL with its secrets resolved; it is never shown."""
        self.name = name
        self.spec = spec
        self._url = url

    @abstractmethod
    def open(self, datasets: Mapping[str, DatasetSpec], *, values: Mapping[str, Any]) -> Snapshot:
        """Execute the datasets' queries and return their streams, in the same order, before any row was read.

        `values` holds what every query may use: `window_start` and `window_end` (aware, UTC), `window_start_date` and
        `window_end_date` (local dates) and `partition` (text). Rows of all datasets come from one consistent state
        where the database can give it. Raises SourceUnavailableError, QueryError, ColumnTypeError.
        """
