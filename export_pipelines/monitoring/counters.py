"""Numbers since the ledger began, which only grow, and how each export published last."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import func, select

from export_pipelines.ledger import totals
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.runs import RunRow, run_row
from export_pipelines.ledger.tables import runs

ENDED = ("published", "skipped", "failed", "died")


@dataclass
class Counters:
    """One export. Attempts that repeat each other inside one run are counted one by one, so that no number shrinks."""

    attempts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ENDED, 0))
    """State -> how many attempts ended so."""
    rows: int = 0
    bytes: int = 0
    last: RunRow | None = None
    """The newest attempt that published."""


def counters(ledger: Ledger) -> dict[str, Counters]:
    """Export -> its numbers; exports that never ran are left out."""
    c = runs.c
    number, rows, size = func.count(), func.sum(c.rows), func.sum(c.bytes)
    ended = select(c.export, c.state, number.label("number"), rows.label("rows"), size.label("bytes"))
    newest = select(func.max(c.id)).where(c.state == "published").group_by(c.export)
    found: dict[str, Counters] = {}
    with ledger.read() as connection:
        for row in connection.execute(ended.where(c.state.in_(ENDED)).group_by(c.export, c.state)):
            export = found.setdefault(row.export, Counters())
            export.attempts[row.state] = row.number
            export.rows += int(row.rows or 0)
            export.bytes += int(row.bytes or 0)
        for total in totals.read(connection):
            export = found.setdefault(total.export, Counters())
            export.attempts[total.state] += total.attempts
            export.rows += total.rows
            export.bytes += total.bytes
        for row in connection.execute(select(runs).where(c.id.in_(newest))):
            found[row.export].last = run_row(row)
    return found
