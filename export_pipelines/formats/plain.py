"""Arrow columns of any type as columns of the few types that text formats render."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

FIXED_OFFSET = re.compile(r"[+-]\d\d:\d\d")
INTERVAL = pa.struct([("months", pa.int32()), ("days", pa.int32()), ("nanoseconds", pa.int64())])

_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY_SECONDS = 86_400
_REFUSED = (types.is_map, types.is_union, types.is_list_view, types.is_large_list_view)
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # 0001-01-01 and 9999-12-31 as days since 1970-01-01


def plain(column: pa.Array) -> pa.Array:
    """The column without encodings, extensions and rare types; nested columns likewise inside.

    Dictionaries are decoded, extension types replaced by their storage, decimals become decimal128, calendar
    intervals become structs of type INTERVAL, times with a fixed offset become local times without one.
    Raises ValueError (pa.ArrowInvalid is one) if a value or the type cannot be represented.
    """
    kind = column.type
    if any(refused(kind) for refused in _REFUSED) or kind == pa.struct([]):
        raise ValueError(f"the type {kind} has no text form")
    if isinstance(kind, pa.BaseExtensionType):
        return plain(column.storage)
    for applies, convert in _RULES:
        if applies(kind):
            column = convert(column)
            break
    _check_range(column)
    return column


def unwrapped(kind: pa.DataType) -> pa.DataType:
    """The type that `plain` sees through dictionaries, run ends and extensions to; UUIDs stay what they are."""
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return unwrapped(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType) and not isinstance(kind, pa.UuidType):
        return unwrapped(kind.storage_type)
    return kind


def _decimal128(column: pa.Array) -> pa.Array:
    return column.cast(pa.decimal128(38, max(column.type.scale, 0)))


def _interval(column: pa.Array) -> pa.Array:
    parts = np.dtype([("months", "<i4"), ("days", "<i4"), ("nanoseconds", "<i8")])
    cells = np.frombuffer(column.buffers()[1], parts)[column.offset : column.offset + len(column)]
    children = [pa.array(cells[field.name], field.type) for field in INTERVAL]
    return pa.StructArray.from_arrays(children, fields=list(INTERVAL), mask=column.is_null())


def _list(column: pa.Array) -> pa.Array:
    values = plain(column.values)
    nested = pa.large_list(values.type) if types.is_large_list(column.type) else pa.list_(values.type)
    own = column.buffers()[:2]  # validity and offsets; the values have theirs
    return pa.Array.from_buffers(nested, len(column), own, column.null_count, column.offset, [values])


def _struct(column: pa.Array) -> pa.Array:
    children = [plain(column.field(i)) for i in range(column.type.num_fields)]
    names = [field.name for field in column.type]
    return pa.StructArray.from_arrays(children, names=names, mask=column.is_null())


_Rule = tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], pa.Array]]
_RULES: tuple[_Rule, ...] = (
    (types.is_dictionary, lambda column: plain(column.dictionary_decode())),
    (types.is_run_end_encoded, lambda column: plain(pc.run_end_decode(column))),
    (lambda kind: kind == pa.string_view(), lambda column: column.cast(pa.large_string())),
    (types.is_date64, lambda column: column.cast(pa.date32())),
    (lambda kind: types.is_decimal(kind) and not _is_usual_decimal(kind), _decimal128),
    (lambda kind: types.is_timestamp(kind) and bool(FIXED_OFFSET.fullmatch(kind.tz or "")), pc.local_timestamp),
    (lambda kind: kind == pa.month_day_nano_interval(), _interval),
    (types.is_fixed_size_list, lambda column: _list(column.cast(pa.list_(column.type.value_type)))),
    (lambda kind: types.is_list(kind) or types.is_large_list(kind), _list),
    (types.is_struct, _struct),
)


def _is_usual_decimal(kind: pa.DataType) -> bool:
    return bool(types.is_decimal128(kind)) and kind.scale >= 0


def _check_range(column: pa.Array) -> None:
    """Databases know dates such as `infinity` and 4713 BC, which ISO 8601 text cannot tell."""
    kind = column.type
    if types.is_date32(kind):
        low, high, stored = _FIRST_DAY, _LAST_DAY, pa.int32()
    elif types.is_timestamp(kind):
        second = _SECOND[kind.unit]
        low, high = _FIRST_DAY * _DAY_SECONDS * second, (_LAST_DAY + 1) * _DAY_SECONDS * second - 1
        stored = pa.int64()
    elif types.is_time(kind):
        low, high = 0, _DAY_SECONDS * _SECOND[kind.unit] - 1
        stored = pa.int32() if types.is_time32(kind) else pa.int64()
    else:
        return
    found = pc.min_max(column.view(stored)).as_py()
    if found["min"] is not None and (found["min"] < low or found["max"] > high):
        limits = "00:00:00 to 23:59:59.999999" if types.is_time(kind) else "the years 1 to 9999"
        raise ValueError(f"a value lies outside {limits}")
