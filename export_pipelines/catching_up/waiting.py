"""How long a partition waits for others, and how that is said. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from export_pipelines.ledger.due import DueRow
from export_pipelines.spec.after import AfterSpec
from export_pipelines.text import moment

_LATE = timedelta(minutes=10)
"""After its tick, nobody was there to wait when the row was noted."""


def is_waiting(row: DueRow) -> bool:
    """Whether it may have to wait: what was requested once does not wait again."""
    return row.state == "due" and row.attempts == 0


def waits_until(row: DueRow, after: AfterSpec) -> datetime:
    """Until when the partition waits at most: counted from its tick, or from when it was noted, if that was much later.

    After an outage, others have as long to be caught up with.
    """
    since = max(row.tick, row.next_attempt_at or row.tick)
    if row.noted_at is not None and row.noted_at - row.tick > _LATE:
        since = max(since, row.noted_at)
    return since + timedelta(minutes=after.deadline_minutes)


def listed(missing: Sequence[str]) -> str:
    """`students`, `students and grades (failed)`, `students, grades and asset dbt/orders`."""
    *head, last = missing
    return f"{', '.join(head)} and {last}" if head else last


def missed(missing: Sequence[str], until: datetime) -> str:
    """Why a partition is not made when its time is over."""
    return f"waited for {listed(missing)} until {moment(until)}"
