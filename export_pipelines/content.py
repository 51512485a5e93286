"""A hash of what an export holds: names, types and values, however the rows are cut into batches.

Of each column several streams of bytes are hashed, each of which is the same wherever batches end: where the nulls are,
the values with nulls as zeros, and the lengths of texts. No Python object is made of a cell.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_Cells = npt.NDArray[Any]


class ContentHash:
    """Use: for each dataset `begin`, then `add` for each batch; then `hexdigest`, once."""

    def __init__(self) -> None:
        self._datasets: list[tuple[str, pa.Schema, list[_Column]]] = []

    def begin(self, dataset: str, schema: pa.Schema) -> None:
        """The following batches are the dataset's."""
        self._datasets.append((dataset, schema, [_Column() for _ in schema]))

    def add(self, batch: pa.RecordBatch) -> None:
        """Hash the rows of one batch of the dataset begun last."""
        for column, array in zip(self._datasets[-1][2], batch.columns, strict=True):
            column.add(array)

    def hexdigest(self) -> str:
        """The SHA-256 (hexadecimal) of all datasets in their order."""
        found = [
            [dataset, [[f.name, str(f.type), f.nullable, c.digests()] for f, c in zip(schema, columns, strict=True)]]
            for dataset, schema, columns in self._datasets
        ]
        return hashlib.sha256(json.dumps(found).encode()).hexdigest()


class _Column:
    """The streams of one column, or of what is nested in it."""

    def __init__(self) -> None:
        self._rows = 0
        self._nulls, self._lengths, self._values = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
        self._inner: list[_Column] = []

    def add(self, array: pa.Array) -> None:
        """Hash further rows."""
        array = _plain(array)
        missing = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
        if missing is not None:
            self._nulls.update((np.flatnonzero(missing) + self._rows).data)
        self._rows += len(array)
        if not len(array) or pa.types.is_null(array.type):
            return
        if pa.types.is_nested(array.type):
            self._add_nested(array)
        elif _is_text(array.type):
            self._add_text(array, missing)
        else:
            self._values.update(_cells(array, missing).data)

    def _add_text(self, array: pa.Array, missing: _Cells | None) -> None:
        lengths, data = _text(array)
        if missing is not None and lengths[missing].any():  # text below nulls
            lengths, data = _text(pc.fill_null(array, pa.scalar(b"", array.type)))
        self._lengths.update(lengths.data)
        self._values.update(data)

    def _add_nested(self, array: pa.Array) -> None:
        if pa.types.is_struct(array.type):
            inner = array.flatten()
        else:
            self._lengths.update(pc.fill_null(pc.list_value_length(array), 0).to_numpy().data)
            inner = [array.flatten()]
        self._inner = self._inner or [_Column() for _ in inner]
        for column, values in zip(self._inner, inner, strict=True):
            column.add(values)

    def digests(self) -> list[Any]:
        """Rows, hashes of the streams, and the same of what is nested."""
        streams = [stream.hexdigest() for stream in (self._nulls, self._lengths, self._values)]
        return [self._rows, *streams, *(column.digests() for column in self._inner)]


def _plain(array: pa.Array) -> pa.Array:  # noqa: PLR0911 - one line per family
    """The same values without an encoding: each type has one layout, and all others are turned into those."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(array.storage)
    if pa.types.is_dictionary(kind):
        return _plain(array.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return _plain(pc.run_end_decode(array))
    if pa.types.is_boolean(kind):
        return array.cast(pa.uint8())
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return array.cast(pa.large_binary())
    if pa.types.is_map(kind):
        pairs = pa.struct([kind.key_field, kind.item_field])
        return array.cast(pa.list_(pa.field("entries", pairs, nullable=False)))
    if pa.types.is_union(kind):  # of a hand-written asset, if at all
        return pa.array([repr(value) for value in array.to_pylist()], pa.string())
    return array


def _is_text(kind: pa.DataType) -> bool:
    return any(
        known(kind)
        for known in (pa.types.is_string, pa.types.is_binary, pa.types.is_large_string, pa.types.is_large_binary)
    )


def _text(array: pa.Array) -> tuple[_Cells, pa.Buffer]:
    """The lengths of texts or binaries in bytes, and all their bytes."""
    wide = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    ends = np.dtype(np.int64 if wide else np.int32)
    _, offsets, data = array.buffers()
    places = np.frombuffer(offsets, ends, len(array) + 1, array.offset * ends.itemsize)
    first, last = int(places[0]), int(places[-1])
    return np.diff(places), data.slice(first, last - first) if data else pa.py_buffer(b"")


def _cells(array: pa.Array, missing: _Cells | None) -> _Cells:
    """The values of a type of fixed width, as bytes; zeros for nulls, and one kind of not-a-number for all."""
    width = array.type.bit_width // 8
    data = array.buffers()[1]
    if not width or data is None:
        return np.zeros(len(array) * width, np.uint8)
    cells = np.frombuffer(data, _layout(array.type, width), len(array), array.offset * width)
    replaced = [(places, value) for places, value in _replaced(cells, missing) if places.any()]
    if replaced:
        cells = cells.copy()  # the memory is the batch's, which is still to be written
    for places, value in replaced:
        cells[places] = value
    return cells.view(np.uint8)


def _layout(kind: pa.DataType, width: int) -> np.dtype[Any]:
    if pa.types.is_floating(kind):
        return np.dtype(f"f{width}")
    return np.dtype(f"u{width}" if width in (1, 2, 4, 8) else f"V{width}")


def _replaced(cells: _Cells, missing: _Cells | None) -> Iterator[tuple[_Cells, Any]]:
    """Which cells get which value."""
    if cells.dtype.kind == "f":
        yield np.isnan(cells), np.nan
    if missing is not None:
        yield missing, np.zeros((), cells.dtype)
