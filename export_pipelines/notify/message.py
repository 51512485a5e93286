"""A message on its way: the events that it tells of, and its text once it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self

from export_pipelines.notify.kinds import Kind
from export_pipelines.spec.recipients import Level


@dataclass(frozen=True)
class Event:
    """Something that happened, once. `details` depend on the kind and hold JSON values only."""

    id: int
    key: str
    kind: Kind
    level: Level
    export: str | None
    partition: str | None
    run_id: str | None
    happened_at: datetime
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Message:
    """Events for one recipient, oldest first; sent under the same id at every attempt."""

    message_id: str
    recipient: str
    created_at: datetime
    attempts: int
    events: Sequence[Event]


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A message in words."""

    message_id: str
    level: Level
    title: str
    """One line without control characters."""
    text: str
    html: str
    data: Mapping[str, Any]
    """The same for programs: JSON values."""


class Sender(Protocol):
    """One way to send, open for several letters."""

    def __enter__(self) -> Self:
        """Nothing is connected yet."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Close connections."""

    def route(self, recipient: Any) -> str:
        """What must be reachable to send to the recipient, without secrets: one failure stands for all that use it."""

    def send(self, letter: Letter, recipient: Any) -> str:
        """Hand the letter over; return which of several addresses were refused, or "".

        Raises RecipientUnavailableError if it may work later, RecipientRefusedError if it never will.
        """
