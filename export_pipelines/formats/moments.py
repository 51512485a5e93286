"""Days and moments as text, many at a time: the text of a day and of a second of the day comes from a table.

Only the usual ones: days and moments of the years 1900 to 2100, in UTC or without a timezone. For columns with others
there are the expressions of `export_pipelines.formats.render`, which make the same text five times slower.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

_FIRST, _LAST = -25_567, 47_846  # 1900-01-01 and 2100-12-31 as days since 1970-01-01
_DAY_SECONDS = 86_400
_UTC = {"UTC", "Etc/UTC"}
_PARTS = {"s": 1, "ms": 10**3, "us": 10**6}  # of a second
_FRACTION_AT, _FRACTION_BYTES = 19, 7  # 2026-03-29T02:00:00.000000

Bytes = npt.NDArray[np.void]
Numbers = npt.NDArray[np.signedinteger]


def suits(kind: pa.DataType) -> bool:
    """Whether `moments` knows columns of this type."""
    if types.is_timestamp(kind):
        return kind.unit in _PARTS and kind.tz in {None, *_UTC}
    return bool(types.is_date32(kind))


def moments(column: pa.Array) -> pa.Array | None:
    """The column, of a type that suits, as text; None if it holds unusual values."""
    return _days(column) if types.is_date32(column.type) else _moments(column, _PARTS[column.type.unit])


def _days(column: pa.Array) -> pa.Array | None:
    days = _values(column, np.dtype(np.int32), first=_FIRST, last=_LAST)
    return None if days is None else _texts(column, _day_table()[days - _FIRST])


def _moments(column: pa.Array, parts: int) -> pa.Array | None:
    day = _DAY_SECONDS * parts
    values = _values(column, np.dtype(np.int64), first=_FIRST * day, last=(_LAST + 1) * day - 1)
    if values is None:
        return None
    seconds, rest = _divided(values, parts)
    days, seconds = _divided(seconds, _DAY_SECONDS)
    zone = b"+00:00" if column.type.tz else b""
    broken = parts > 1 and bool(rest.any())
    layout = [("day", "V10"), ("t", "S1"), ("clock", "V8")]
    layout += [("point", "S1"), ("high", "V3"), ("low", "V3")] if broken else []
    rows = np.empty(len(values), [*layout, ("zone", f"S{len(zone)}")] if zone else layout)
    rows["day"], rows["t"], rows["clock"] = _day_table()[days - _FIRST], b"T", _clock_table()[seconds]
    if zone:
        rows["zone"] = zone
    if not broken:
        return _texts(column, rows)
    high, low = _divided(rest * np.int32(10**6 // parts), 1000)
    rows["point"], rows["high"], rows["low"] = b".", _digit_table()[high], _digit_table()[low]
    return _texts(column, rows, whole=rest == 0)


def _divided(values: Numbers, by: int) -> tuple[Numbers, Numbers]:
    """Quotient and remainder; numpy's own `divmod` takes several times as long."""
    quotients = values // by
    return quotients, (values - quotients * by).astype(np.int32)


def _values(column: pa.Array, stored: np.dtype[np.signedinteger], *, first: int, last: int) -> Numbers | None:
    """The numbers behind the column, NULL as 0; None if one of them is not between `first` and `last`."""
    if column.null_count:
        column = pc.fill_null(column, pa.scalar(0, pa.from_numpy_dtype(stored)).cast(column.type))
    values = np.frombuffer(column.buffers()[1] or b"", stored)[column.offset : column.offset + len(column)]
    usual = not len(values) or (values.min() >= first and values.max() <= last)
    return values if usual else None


def _texts(column: pa.Array, rows: npt.NDArray[np.void], *, whole: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """`rows` as texts, NULL where `column` has it. Those that are `whole` lose their fraction."""
    width = rows.dtype.itemsize
    ends = np.arange(len(rows) + 1, dtype=np.int32) * np.int32(width)
    data = np.ascontiguousarray(rows).view(np.uint8)
    if whole is not None and whole.any():
        kept = np.ones((len(rows), width), np.bool_)
        kept[whole, _FRACTION_AT : _FRACTION_AT + _FRACTION_BYTES] = False
        data = data[kept.reshape(-1)]
        ends[1:] -= np.cumsum(whole, dtype=np.int32) * np.int32(_FRACTION_BYTES)
    valid = column.is_valid().buffers()[1] if column.null_count else None
    buffers = [valid, pa.py_buffer(ends), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(rows), buffers)


@cache
def _day_table() -> Bytes:
    days = np.arange(_FIRST, _LAST + 1).astype("datetime64[D]")
    return np.datetime_as_string(days).astype("S10").view("V10")


@cache
def _clock_table() -> Bytes:
    seconds = np.arange(_DAY_SECONDS).astype("datetime64[s]")
    return np.array([text[11:] for text in np.datetime_as_string(seconds).tolist()], "S8").view("V8")


@cache
def _digit_table() -> Bytes:
    return np.array([f"{number:03}" for number in range(1000)], "S3").view("V3")
