"""What SQLite says about a query's columns, and how each of them is read so that its Arrow type is certain.

The ADBC driver takes a column's type from the values of its first batch: a column that begins with NULLs is int64 until
a text ends the export. So every query gets a first row of our own that fixes the types (`UNION ALL` keeps it first; it
is dropped on arrival, and costs nothing measurable), and the types come from the declarations, not the values.
"""

# ruff: noqa: S608 - the pieces of SQL are our own, quoted, or the dataset's query itself

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from export_pipelines.sources.query import Query
from export_pipelines.sources.types import UNBOUNDED_DECIMAL, UTC_TIMESTAMP, declared_type

_FAMILIES = (
    (r"BOOL", pa.bool_()),
    (r"(TIMESTAMP|DATETIME) ?TZ|(TIMESTAMP|DATETIME).* WITH TIME ZONE", UTC_TIMESTAMP),
    (r"TIMESTAMP|DATETIME", pa.timestamp("us")),
    (r"DATE$", pa.date32()),
    (r"TIME$|TIME WITHOUT", pa.time64("us")),
    (r".*INT|(BIG|SMALL)?SERIAL", pa.int64()),
    (r".*(CHAR|TEXT|CLOB)|STRING|JSON|UUID|ENUM", pa.string()),
    (r"REAL|DOUBLE|FLOAT", pa.float64()),
    (r"(VAR)?BINARY|BYTEA", pa.binary()),
)
_DECIMAL = re.compile(r"(?:DECIMAL|NUMERIC|NUMBER)(?: ?\( ?(\d+) ?(?:, ?(\d+) ?)?\))?$")


@dataclass(frozen=True)
class SqliteColumn:
    """A column of a query. `type` is None while only its values can tell."""

    name: str
    declaration: str
    type: pa.DataType | None
    exact: bool  # read as text, not as a number, so that every digit arrives

    @property
    def first_value(self) -> str:
        """The SQL literal that fixes the driver's type."""
        return {"any": "NULL", "int64": "NULL", "double": "0.5", "string": "''", "binary": "x''"}[self.driver_type]

    @property
    def driver_type(self) -> str:
        """The Arrow type that the driver must deliver; "any" while unknown."""
        if self.type is None:
            return "any"
        if pa.types.is_integer(self.type) or pa.types.is_boolean(self.type):
            return "int64"
        if pa.types.is_floating(self.type) or (pa.types.is_decimal(self.type) and not self.exact):
            return "double"
        return "binary" if pa.types.is_binary(self.type) else "string"

    def expression(self, place: str) -> str:
        """SQL that reads the column, known as `place` in the query."""
        if self.driver_type != "string":
            return place
        if self.type is not None and pa.types.is_decimal(self.type):
            rounded = f"printf('%!.{self.type.scale}f', {place})"
            return f"case typeof({place}) when 'real' then {rounded} else cast({place} as text) end"
        return f"cast({place} as text)"

    def resolved(self, seen: pa.DataType) -> SqliteColumn:
        """The column, now with the type that its values have."""
        return replace(self, type=seen)


def sqlite_column(name: str, declaration: str, types: Mapping[str, str]) -> SqliteColumn:
    """The column as `types:` or its declaration in the database describe it."""
    if name in types:
        return SqliteColumn(name, declaration, declared_type(types[name]), exact=True)
    declared = sqlite_type(declaration)
    # A double holds 15 digits exactly, and reading it is three times as fast as reading text.
    small = declared is not None and pa.types.is_decimal(declared) and declared.precision <= 15
    return SqliteColumn(name, declaration, declared, exact=not small)


def sqlite_type(declaration: str) -> pa.DataType | None:
    """The type of a declaration such as `decimal(12,2)`; None for what says nothing, such as an expression's affinity.

    `BLOB` says nothing, because SQLite also calls columns so that were declared without any type.
    """
    text = " ".join(declaration.upper().split())
    decimal = _DECIMAL.match(text)
    if decimal:
        return _decimal(int(decimal[1]), int(decimal[2] or 0)) if decimal[1] else UNBOUNDED_DECIMAL
    bare = re.sub(r" ?\(.*?\)", "", text)
    return next((known for pattern, known in _FAMILIES if re.match(pattern, bare)), None)


def typed_query(query: Query, columns: list[SqliteColumn]) -> Query:
    """The query with the first row that fixes the types, and every column read as its type needs."""
    first = ", ".join(f"{column.first_value} as {_quoted(column.name)}" for column in columns)
    rest = ", ".join(column.expression(f"c{place}") for place, column in enumerate(columns))
    return _over(query, len(columns), f"select {first} union all select {rest} from export_rows")


def probing_query(query: Query, width: int, place: int) -> Query:
    """A query for the `storage` class of the first value in the column at `place`, of `width` columns."""
    return _over(
        query, width, f"select typeof(c{place}) as storage from export_rows where c{place} is not null limit 1"
    )


def offender_query(query: Query, width: int, place: int, classes: tuple[str, ...]) -> Query:
    """A query for the first `value`, as text, of the column at `place` whose storage class is none of `classes`."""
    named = ", ".join(f"'{name}'" for name in (*classes, "null"))
    shown = f"substr(cast(c{place} as text), 1, 60)"
    return _over(
        query, width, f"select {shown} as value from export_rows where typeof(c{place}) not in ({named}) limit 1"
    )


def _over(query: Query, width: int, outer: str) -> Query:
    """`outer` reading from the query as `export_rows(c0, c1, …)`.

    Columns go by place: SQLite takes a quoted name that it does not know for a text.
    """
    places = ", ".join(f"c{number}" for number in range(width))
    return Query(f"with export_rows({places}) as not materialized (\n{query.sql}\n) {outer}", query.params)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _decimal(precision: int, scale: int) -> pa.DataType:
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(min(precision, 76), min(scale, 76))
