"""Which rows concern a partition: those of its own, and those that combine several and have it among them.

Keys of one kind are ordered as their text is.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, or_

from export_pipelines.spec.naming import ends_of

_Key = str | ColumnElement[Any]


def own(table: FromClause, export: _Key, partition: _Key) -> ColumnElement[bool]:
    """Rows of the export whose first or only partition this is. `table` has `last_partition`."""
    return and_(table.c.export == export, table.c.partition == partition)


def combining(table: FromClause, export: _Key, partition: _Key) -> ColumnElement[bool]:
    """Rows of the export that combine several partitions, this one among them."""
    c = table.c
    return and_(c.export == export, c.last_partition >= partition, c.partition <= partition)


def within(table: FromClause, export: str, first: str, last: str) -> ColumnElement[bool]:
    """Rows of the export that concern any of the partitions from `first` to `last`."""
    c = table.c
    among = and_(c.export == export, c.partition >= first, c.partition <= last)
    return or_(among, combining(table, export, first))


def of_span(table: FromClause, span: str) -> ColumnElement[bool]:
    """Rows that concern the partition; of several, `2026-01-01--2026-01-31`, those that combine exactly these."""
    c = table.c
    first, last = ends_of(span)
    if first != last:
        return and_(c.partition == first, c.last_partition == last)
    return or_(c.partition == first, and_(c.last_partition >= first, c.partition <= first))


def same_span(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    """Whether two rows have the same partitions of the same export."""
    same = and_(one.c.export == other.c.export, one.c.partition == other.c.partition)
    return and_(same, one.c.last_partition.is_not_distinct_from(other.c.last_partition))
