"""What an engine writes, kept as the pieces in which it came: a buffer that grows copies everything several times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, cast

_BLOCK_BYTES = 1 << 18
"""Pieces are changed in blocks that fit into the processor's cache."""


class Pieces:
    """A binary file, as far as the engines of polars need one."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    @property
    def file(self) -> BinaryIO:
        """Itself, as what the engine asks for."""
        return cast(BinaryIO, self)

    def write(self, data: bytes, /) -> int:
        """Keep `data`."""
        if data:
            self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def __iter__(self) -> Iterator[bytes]:
        """The pieces in order, each given away: what was taken is not kept."""
        self._pieces.reverse()
        while self._pieces:
            yield self._pieces.pop()

    def joined(self) -> bytes:
        """All of it."""
        return b"".join(self)


def blocks(piece: bytes) -> Iterator[bytes]:
    """The piece in blocks."""
    if len(piece) <= _BLOCK_BYTES:
        yield piece
        return
    view = memoryview(piece)
    for start in range(0, len(piece), _BLOCK_BYTES):
        yield bytes(view[start : start + _BLOCK_BYTES])
