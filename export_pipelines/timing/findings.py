"""What was found about schedules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Conflict:
    """One finding. `kind` is twice, repeated, after, crowd, rare, never, clock or unused."""

    kind: str
    schedules: Sequence[str]
    message: str
    advice: str
    exports: Sequence[str] = ()
    at: datetime | None = None
    """The instant in question (aware), where there is one: the next, or the worst."""
