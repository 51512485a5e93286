"""Long lists in pieces: databases and services take only so much at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

STATEMENT = 500
"""Values that one SQL statement is given: SQLite of old takes 999."""


def chunks(items: Collection[Item], size: int = STATEMENT) -> Iterator[Sequence[Item]]:
    """The items in their order, `size` at a time; the last piece may be shorter, and there is none without items."""
    every = items if isinstance(items, Sequence) else list(items)
    for begin in range(0, len(every), size):
        yield every[begin : begin + size]
