"""What an export will probably come to, by what it came to last time: rows and seconds."""

from __future__ import annotations

import logging

from sqlalchemy import select

from export_pipelines.errors import TransientError
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import artifacts, runs, watches

_log = logging.getLogger(__name__)


def likely_rows(ledger: Ledger, export: str, *, combined: bool) -> int | None:
    """The rows of the export's newest complete artifact, of those that combine several partitions or of the others.

    None if there is none, or if the ledger cannot be reached: nothing depends on an estimate.
    """
    c = artifacts.c
    query = select(c.rows).where(c.export == export, c.good, c.row_limit.is_(None))
    query = query.where(c.last_partition.is_not(None) if combined else c.last_partition.is_(None))
    latest = query.order_by(c.window_start.desc(), c.created_at.desc(), c.artifact_id).limit(1)
    try:
        with ledger.read() as connection:
            rows: int | None = connection.execute(latest).scalar()
            return rows
    except TransientError as error:
        _log.warning("estimating the rows of %s: %s", export, error)
        return None


def likely_seconds(ledger: Ledger) -> dict[str, float]:
    """Export -> how long its attempt took that published the latest partition, of the exports that have a schedule.

    From the lease until it was published, so that slow queries count. Those of which nothing is known are left out.
    Raises LedgerUnavailableError.
    """
    c, names = runs.c, select(watches.c.export).distinct().subquery()
    published = select(c.id).where(c.export == names.c.export, c.state == "published", c.finished_at.is_not(None))
    newest = published.order_by(c.partition.desc(), c.started_at.desc()).limit(1).correlate(names).scalar_subquery()
    query = select(c.export, c.started_at, c.finished_at).where(c.id.in_(select(newest).select_from(names)))
    with ledger.read() as connection:
        return {row.export: (row.finished_at - row.started_at).total_seconds() for row in connection.execute(query)}
