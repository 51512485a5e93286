"""Which rows concern a partition: those of its own, and those that combine several and have it among them.

Keys of one kind are ordered as their text is. The tables have the columns `export`, `partition` and `last_partition`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Table, and_, select, true, union_all

from export_pipelines.spec.naming import ends_of

_Key = str | ColumnElement[Any]


def own(table: FromClause, export: _Key, partition: _Key) -> ColumnElement[bool]:
    """Rows of the export whose first or only partition this is."""
    return and_(table.c.export == export, table.c.partition == partition)


def combining(table: FromClause, export: _Key, partition: _Key) -> ColumnElement[bool]:
    """Rows of the export that combine several partitions, this one among them."""
    return and_(table.c.export == export, _around(table, partition))


def within(table: Table, export: str, first: str, last: str) -> ColumnElement[bool]:
    """Rows of the export that concern any of the partitions from `first` to `last`."""
    same = table.alias()
    among = same.c.partition == first if first == last else same.c.partition.between(first, last)
    return _either(table, same, and_(same.c.export == export, among), combining(same, export, first))


def of_span(table: Table, exports: Collection[str] | None, span: str) -> ColumnElement[bool]:
    """Rows of these exports, or of all, that concern the partition.

    Of several partitions, `2026-01-01--2026-01-31`, those that combine exactly these.
    """
    same, (first, last) = table.alias(), ends_of(span)
    of_these = true() if exports is None else same.c.export.in_(exports)
    if first != last:
        return _either(table, same, and_(of_these, same.c.partition == first, same.c.last_partition == last))
    return _either(table, same, and_(of_these, same.c.partition == first), and_(of_these, _around(same, first)))


def same_span(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    """Whether two rows have the same partitions of the same export."""
    same = and_(one.c.export == other.c.export, one.c.partition == other.c.partition)
    return and_(same, one.c.last_partition.is_not_distinct_from(other.c.last_partition))


def _either(table: Table, same: FromClause, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Rows of which one of the conditions holds; each is looked up by its index, which `or` would not do in SQLite.

    The conditions are about `same`, an alias of the table.
    """
    (key,) = table.primary_key.columns
    return key.in_(union_all(*(select(same.c[key.name]).where(condition) for condition in conditions)))


def _around(table: FromClause, partition: _Key) -> ColumnElement[bool]:
    """Of an expression, for which no index serves: that of `last_partition` finds the few rows that combine any."""
    c = table.c
    return and_(c.last_partition >= partition, c.partition.concat("") <= partition)
