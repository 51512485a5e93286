"""Rows whose values in some columns, taken together, were there before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_SEEDS = (0x45585054, 0x524F5753)  # any two different numbers

Hashes = npt.NDArray[np.uint64]


class Repetitions:
    """Counts them over all batches.

    Of every row, 128 bits of hash are kept: two different keys among ten million rows are taken for one with a
    probability below 1e-24. Memory: 16 bytes a row while batches come, about 30 at the end, 60 if rows are repeated.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = list(columns)
        self._hashes: list[tuple[Hashes, ...]] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Take note of the rows. As in SQL, a row with NULL in one of the columns equals no other."""
        import polars as pl  # most exports have no such check

        keys = pl.DataFrame(pl.from_arrow(batch.select(self._columns))).drop_nulls()
        if keys.height:
            self._hashes.append(tuple(keys.hash_rows(seed=seed).to_numpy() for seed in _SEEDS))

    def count(self) -> int:
        """How many rows repeat an earlier one."""
        if not self._hashes:
            return 0
        ordered = self._all(0)
        ordered.sort()
        if not (ordered[1:] == ordered[:-1]).any():
            return 0
        del ordered
        return repeated(self._all(0), self._all(1))

    def _all(self, place: int) -> Hashes:
        return np.concatenate([pair[place] for pair in self._hashes])


def repeated(first: Hashes, second: Hashes) -> int:
    """How many of the pairs of numbers repeat an earlier pair."""
    order = np.argsort(first)
    first, second = first[order], second[order]
    alike = first[1:] == first[:-1]
    mixed = alike & (second[1:] != second[:-1])
    if not mixed.any():
        return int(np.count_nonzero(alike))
    # Keys that differ have the same first hash, which is rare: the pairs in question are counted one by one.
    suspect = np.isin(first, first[1:][mixed])
    pairs = list(zip(first[suspect].tolist(), second[suspect].tolist(), strict=True))
    certain = first[~suspect]
    return int(np.count_nonzero(certain[1:] == certain[:-1])) + len(pairs) - len(set(pairs))
