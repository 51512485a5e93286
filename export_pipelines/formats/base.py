"""What every format writer does, and what it is told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Generic, Protocol, TypeVar

import pyarrow as pa

Spec = TypeVar("Spec")


class Sink(Protocol):
    """Where a writer puts its bytes, in order; it cannot seek."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Append all of `data`, return its length in bytes."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """What a writer may print about the file besides its rows."""

    export: str
    partition: str
    description: str
    window_start: datetime  # aware, in the schedule's timezone
    window_end: datetime  # aware, exclusive
    created_at: datetime  # aware, in the schedule's timezone
    spreadsheet_safe: bool


class Writer(ABC, Generic[Spec]):
    """Writes one file. Calls come as: (begin, write*, end)+, close.

    begin is called once per dataset; only formats whose spec says `combines` get more than one dataset.
    The schema is known at `begin`, so a file without rows still has its header. Memory must not grow with rows.
    The writer never closes the sink.
    """

    media_type: ClassVar[str]
    extension: ClassVar[str]

    def __init__(self, sink: Sink, spec: Spec, document: Document) -> None:
        self.sink = sink
        self.spec = spec
        self.document = document

    @abstractmethod
    def begin(self, dataset: str, schema: pa.Schema) -> None:
        """Start a dataset: column names and types. Raises FormatError if the format cannot hold a column."""

    @abstractmethod
    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows. Raises FormatError if a value does not fit the format."""

    @abstractmethod
    def end(self) -> None:
        """The dataset has no more rows."""

    @abstractmethod
    def close(self) -> None:
        """Write what ends the file; afterwards the sink has all its bytes."""
