"""Numbers of attempts that are no longer in the ledger, so that what counts since its beginning never shrinks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, text

from export_pipelines.ledger.tables import runs, totals

_ADD = text(
    """
    insert into export_totals as totals (export, state, attempts, rows, bytes)
    values (:export, :state, :attempts, :rows, :bytes)
    on conflict (export, state) do update
       set attempts = totals.attempts + excluded.attempts,
           rows = totals.rows + excluded.rows,
           bytes = totals.bytes + excluded.bytes
    """
)


@dataclass(frozen=True)
class Total:
    """Attempts of one export that ended in one state, and what they published."""

    export: str
    state: str
    attempts: int
    rows: int
    bytes: int


def add(connection: Connection, numbers: Collection[int]) -> None:
    """Add the attempts of these numbers, which are about to be deleted in the caller's transaction."""
    c = runs.c
    sums = (func.count(), func.coalesce(func.sum(c.rows), 0), func.coalesce(func.sum(c.bytes), 0))
    query = select(c.export, c.state, *sums).where(c.id.in_(numbers)).group_by(c.export, c.state)
    names = Total.__dataclass_fields__
    values = [dict(zip(names, row, strict=True)) for row in connection.execute(query)]
    if values:
        connection.execute(_ADD, values)


def read(connection: Connection) -> list[Total]:
    """The total of each export and state."""
    return [Total(*row) for row in connection.execute(select(totals))]
