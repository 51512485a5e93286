"""Which exports share a run. A run is a process that takes seconds to start, and makes one export after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

MOST_SECONDS = 300
"""What the exports of a run take together, as far as can be told. One that takes longer has a run to itself."""

_UNKNOWN_SECONDS = 1.0  # an export that was never published


def shared(names: Sequence[str], size: int, seconds: Mapping[str, float]) -> Iterator[list[str]]:
    """The exports in their order, at most `size` in a run, and no more than take `MOST_SECONDS` together.

    `seconds` is how long each of them took last time.
    """
    run: list[str] = []
    total = 0.0
    for name in names:
        likely = seconds.get(name, _UNKNOWN_SECONDS)
        if run and (len(run) == size or total + likely > MOST_SECONDS):
            yield run
            run, total = [], 0.0
        run.append(name)
        total += likely
    if run:
        yield run
