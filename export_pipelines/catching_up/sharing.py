"""Which exports share a run. A run is a process that takes seconds to start, and makes one export after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

MOST_SECONDS = 300
"""What the exports of a run take together, as far as can be told. One that takes longer has a run to itself."""

_UNKNOWN_SECONDS = 1.0  # an export that was never published


def shared(items: Iterable[Item], size: int, seconds: Callable[[Item], float | None]) -> Iterator[list[Item]]:
    """The items in their order, at most `size` in a run, and no more than take `MOST_SECONDS` together.

    `seconds` tells how long one took last time, or None.
    """
    run: list[Item] = []
    total = 0.0
    for item in items:
        known = seconds(item)
        likely = _UNKNOWN_SECONDS if known is None else known
        if run and (len(run) == size or total + likely > MOST_SECONDS):
            yield run
            run, total = [], 0.0
        run.append(item)
        total += likely
    if run:
        yield run
