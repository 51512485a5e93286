"""Arrow types of columns: the few that files are written from, and how columns of other types become them.

Whatever the database, a column is one of: int64, float64, bool, string, binary, date32, time64[us], timestamp[us],
timestamp[us, UTC], decimal128(P,S) (and int32 or int16 where `types:` asks for it). So the same spec gives the same
schema on every database, and no field carries metadata of the database it came from.
"""

from __future__ import annotations

import bisect
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from export_pipelines.errors import ColumnTypeError, QueryError, SpecError

UTC_TIMESTAMP = pa.timestamp("us", "UTC")
UNBOUNDED_DECIMAL = pa.decimal128(38, 9)
"""The type of numbers without declared precision: 29 digits before the point, 9 after it."""

_DECLARED = {
    "int64": pa.int64(),
    "int32": pa.int32(),
    "int16": pa.int16(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": UTC_TIMESTAMP,
}
_DAYS = (-719_162, 2_932_896)  # 0001-01-01 and 9999-12-31, counted from 1970-01-01
_MICROSECONDS = (_DAYS[0] * 86_400_000_000, (_DAYS[1] + 1) * 86_400_000_000 - 1)
_OFFSET = r":\d\d.*(Z|[+-]\d\d(:?\d\d)?)$"
_HEX = np.array([f"{byte:02x}".encode() for byte in range(256)]).view(np.uint8).reshape(256, 2)
_UUID_DIGITS = np.array([place for place in range(36) if place not in (8, 13, 18, 23)])


def declared_type(name: str) -> pa.DataType:
    """The Arrow type of a name in `types:`, such as `timestamptz` or `decimal(18,2)`."""
    match = re.fullmatch(r"decimal\((\d+),(\d+)\)", name)
    return pa.decimal128(int(match[1]), int(match[2])) if match else _DECLARED[name]


def plain_type(given: pa.DataType) -> pa.DataType | None:  # noqa: PLR0911 - one line per family
    """The type that a column of type `given` is written as; None if it has no place in a file."""
    if pa.types.is_integer(given):
        return pa.int64()
    if pa.types.is_floating(given):
        return pa.float64()
    if _is_text(given) or pa.types.is_null(given):
        return pa.string()
    if pa.types.is_binary(given) or pa.types.is_large_binary(given) or pa.types.is_binary_view(given):
        return pa.binary()
    if pa.types.is_timestamp(given):
        return UTC_TIMESTAMP if given.tz else pa.timestamp("us")
    if pa.types.is_date(given):
        return pa.date32()
    if pa.types.is_time(given):
        return pa.time64("us")
    if pa.types.is_dictionary(given):
        return plain_type(given.value_type)
    if isinstance(given, pa.BaseExtensionType):
        return pa.string() if given.extension_name in ("arrow.json", "arrow.uuid") else None
    return given if pa.types.is_boolean(given) or pa.types.is_decimal(given) else None


def target_schema(
    fields: Iterable[pa.Field], types: Mapping[str, str], plain: Callable[[pa.Field], pa.DataType | None]
) -> pa.Schema:
    """The schema that files are written from: `types:` first, else what `plain` makes of the database's field.

    Raises QueryError if two columns share a name, SpecError if `types` names another column, ColumnTypeError if a type
    has no place in a file.
    """
    given = list(fields)
    check_names([field.name for field in given], types)
    return pa.schema([pa.field(field.name, _target(field, types, plain)) for field in given])


def check_names(names: list[str], types: Mapping[str, str]) -> None:
    """Raise QueryError if two columns share a name, SpecError if `types` names a column that is not there."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise QueryError(f"the query returns more than one column {twice[0]!r}", hint="Rename one with AS")
    unknown = sorted(set(types) - set(names))
    if unknown:
        raise SpecError(
            f"`types` names the column {unknown[0]!r}, which the query does not return",
            hint=f"It returns: {', '.join(names)}",
        )


def _target(field: pa.Field, types: Mapping[str, str], plain: Callable[[pa.Field], pa.DataType | None]) -> pa.DataType:
    natural = plain(field)
    if natural is None:
        raise unsupported(field.name, (field.metadata or {}).get(b"POSTGRESQL:type", str(field.type).encode()).decode())
    if field.name in types:
        return declared_type(types[field.name])
    if pa.types.is_decimal256(natural):
        raise ColumnTypeError(
            f"column {field.name!r} is numeric({natural.precision},{natural.scale}); files hold at most 38 digits",
            hint=f"Declare types: {{{field.name}: decimal(38,{min(natural.scale, 38)})}} or string",
        )
    return natural


def unsupported(column: str, database_type: str) -> ColumnTypeError:
    """The error for a column whose type has no place in a file."""
    return ColumnTypeError(
        f"column {column!r} has the database type {database_type}, which cannot be exported",
        hint=f'Turn it into text or a number in the SQL, for example CAST("{column}" AS text)',
    )


def conform(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, *, valid_text: bool = False
) -> Iterator[pa.RecordBatch]:
    """The batches with the columns cast to the types of `schema`, which has the same columns in the same order.

    Nothing is lost on the way, except that floating-point numbers are rounded to a decimal's scale. `valid_text`: the
    database promises that all text is UTF-8. Raises ColumnTypeError naming the column and the first value that does not
    fit.
    """
    for batch in batches:
        columns = [
            conform_column(array, field, valid_text=valid_text)
            for array, field in zip(batch.columns, schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def conform_column(column: pa.Array, field: pa.Field, *, valid_text: bool = False) -> pa.Array:
    """The column cast to the field's type. Raises ColumnTypeError naming the first value that does not fit."""
    column = _without_extension(column)
    if not valid_text:
        _check_text(column, field.name)
    try:
        return _cast(column, field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise misfit(field, _sample(column, field.type)) from error


def misfit(field: pa.Field, sample: object) -> ColumnTypeError:
    """The error for a value that does not fit its column's type."""
    name, wanted = field.name, _spec_name(field.type)
    return ColumnTypeError(
        f"column {name!r} is {wanted}, but the value {sample!r} does not fit", hint=_advice(name, field.type)
    )


def _cast(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    if column.null_count == len(column):
        return pa.nulls(len(column), wanted)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz))
    _check_range(column)
    if _is_text(column.type):
        column = _from_text(column, wanted)
    elif pa.types.is_integer(column.type):
        column = _from_integers(column, wanted)
    return column if column.type.equals(wanted) else column.cast(wanted)


def _from_text(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_time(wanted):
        return _joined("1970-01-01 ", column).cast(pa.timestamp("us"))
    if not (pa.types.is_timestamp(wanted) and wanted.tz):
        return column
    try:
        return column.cast(wanted)
    except pa.ArrowInvalid:  # some have no offset: those are UTC
        zoned = pc.match_substring_regex(column, _OFFSET)
        full = pc.if_else(pc.equal(pc.binary_length(column), 10), _joined(column, " 00:00"), column)
        return pc.if_else(zoned, column, _joined(full, "Z"))


def _joined(first: pa.Array | str, second: pa.Array | str) -> pa.Array:
    return pc.binary_join_element_wise(first, second, "")


def _from_integers(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_decimal(wanted):
        # Arrow refuses int64 -> decimal(12,2), even of 1, because 19 + 2 digits might be needed.
        return column.cast(pa.decimal128(38, 0)).cast(pa.decimal128(38, wanted.scale))
    if pa.types.is_boolean(wanted) and not _within(column, 0, 1):
        raise pa.ArrowInvalid("only 0 and 1 are booleans")
    return column


def _check_range(column: pa.Array) -> None:
    """PostgreSQL's `infinity` and years BC or above 9999 arrive as instants that no file can hold."""
    if pa.types.is_date32(column.type):
        fits = _within(column.view(pa.int32()), *_DAYS)
    elif pa.types.is_timestamp(column.type):
        fits = _within(column.view(pa.int64()), *_MICROSECONDS)
    else:
        return
    if not fits:
        raise pa.ArrowInvalid("not between the years 1 and 9999")


def _within(column: pa.Array, low: int, high: int) -> bool:
    least, most = pc.min_max(column).as_py().values()
    return bool(least is None or low <= least <= most <= high)


def _check_text(column: pa.Array, name: str) -> None:
    """SQLite keeps any bytes as text."""
    if not _is_text(column.type):
        return
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        raise ColumnTypeError(
            f"column {name!r} holds text that is not UTF-8", hint="Convert it in SQL, or export its bytes as a blob"
        ) from error


def _sample(column: pa.Array, wanted: pa.DataType) -> object:
    """The first value that does not fit, found by halving."""

    def fails(rows: int) -> bool:
        try:
            _cast(column.slice(0, rows), wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return True
        return False

    place = bisect.bisect_left(range(len(column) + 1), True, key=fails) - 1
    try:
        value = column[max(place, 0)].as_py()
    except (OverflowError, ValueError):
        return "a date or time outside of the years 1 to 9999"
    return value[:60] if isinstance(value, str | bytes) else value


def _without_extension(column: pa.Array) -> pa.Array:
    if not isinstance(column.type, pa.BaseExtensionType):
        return column
    if column.type.extension_name == "arrow.uuid":
        return uuid_text(column.storage)
    return column.storage


def uuid_text(column: pa.Array) -> pa.Array:
    """A column of 16 bytes as canonical text: `6d1f7e0a-0000-4000-8000-000000000000`."""
    rows = len(column)
    data = np.frombuffer(column.buffers()[1], np.uint8, rows * 16, column.offset * 16)
    text = np.full((rows, 36), ord("-"), np.uint8)
    text[:, _UUID_DIGITS] = _HEX[data.reshape(rows, 16)].reshape(rows, 32)
    ends = pa.py_buffer(np.arange(0, 36 * rows + 1, 36, dtype=np.int32))
    strings = pa.StringArray.from_buffers(rows, ends, pa.py_buffer(text))
    return pc.if_else(column.is_valid(), strings, pa.scalar(None, pa.string())) if column.null_count else strings


def _is_text(given: pa.DataType) -> bool:
    return any(known(given) for known in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _spec_name(given: pa.DataType) -> str:
    if pa.types.is_decimal(given):
        return f"decimal({given.precision},{given.scale})"
    return next((name for name, known in _DECLARED.items() if known.equals(given)), str(given))


def _advice(name: str, given: pa.DataType) -> str:
    if pa.types.is_decimal(given):
        return f"Round it in SQL, or declare what the values need: types: {{{name}: decimal(38,16)}} or string"
    if pa.types.is_temporal(given):
        return f'Change it in SQL, for example to text: CAST("{name}" AS text)'
    return f"Declare the type that all values have, for example types: {{{name}: string}}, or cast it in SQL"
