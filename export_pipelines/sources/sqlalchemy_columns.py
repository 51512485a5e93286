"""Columns of rows that come as Python objects: their types, and rows turned into a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from export_pipelines.errors import ColumnTypeError
from export_pipelines.sources.query import relation
from export_pipelines.sources.sqlite_columns import sqlite_type
from export_pipelines.sources.types import UNBOUNDED_DECIMAL, UTC_TIMESTAMP, plain_type
from export_pipelines.spec.datasets import DatasetSpec

_FAMILIES: tuple[tuple[type[Any], pa.DataType], ...] = (
    (sa.Boolean, pa.bool_()),
    (sa.Integer, pa.int64()),
    (sa.Float, pa.float64()),  # before Numeric, of which it is a subclass
    (sa.Date, pa.date32()),
    (sa.Time, pa.time64("us")),
    (sa.LargeBinary, pa.binary()),
    (sa.String, pa.string()),
    (sa.Uuid, pa.string()),
)


def column_types(connection: sa.Connection, dataset: DatasetSpec) -> Callable[[pa.Field], pa.DataType | None]:
    """What a column of the dataset is written as, given its field in the first batch.

    The table's definition decides, where the dataset has a table; then the values of the first batch. A number without
    known precision is decimal(38,9), a column without values text.
    """
    known = _definition(connection, dataset.table) if dataset.table else {}

    def plain(field: pa.Field) -> pa.DataType | None:
        if field.type.equals(pa.null()) or plain_type(field.type) is not None:
            found = known.get(field.name)
            if found is not None:
                return found
        return UNBOUNDED_DECIMAL if pa.types.is_decimal(field.type) else plain_type(field.type)

    return plain


def to_batch(names: list[str], rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    """The rows as a batch with the types of their values. Raises ColumnTypeError if a column mixes types."""
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return pa.RecordBatch.from_arrays([_array(*column) for column in zip(names, columns, strict=True)], names=names)


def _array(name: str, values: Sequence[Any]) -> pa.Array:
    try:
        array = pa.array([bytes(value) if isinstance(value, memoryview) else value for value in values])
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise ColumnTypeError(
            f"column {name!r} mixes values of several types: {error}", hint=f'Cast it in SQL: CAST("{name}" AS text)'
        ) from error
    return array


def _definition(connection: sa.Connection, table: str) -> dict[str, pa.DataType | None]:
    named = relation(table)
    if connection.dialect.name == "sqlite":  # SQLAlchemy would call `timestamptz` a number
        rows = connection.execute(sa.text("select name, type from pragma_table_info(:t)"), {"t": named.name})
        return {name: pa.binary() if kind.upper() == "BLOB" else sqlite_type(kind) for name, kind in rows}
    try:
        columns = sa.inspect(connection).get_columns(named.name, schema=named.schema)
    except sa.exc.NoSuchTableError:
        return {}  # the query will say so, better
    return {column["name"]: _arrow_type(column["type"]) for column in columns}


def _arrow_type(given: sa.types.TypeEngine[Any]) -> pa.DataType | None:
    if isinstance(given, sa.DateTime):
        return UTC_TIMESTAMP if given.timezone else pa.timestamp("us")
    found = next((known for family, known in _FAMILIES if isinstance(given, family)), None)
    if found is not None or not isinstance(given, sa.Numeric):
        return found
    if given.precision is None:
        return UNBOUNDED_DECIMAL
    precision, scale = given.precision, max(given.scale or 0, 0)
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(min(precision, 76), min(scale, 76))
