"""How long a partition waits for others, and how that is said. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from export_pipelines.ledger.due import DueRow
from export_pipelines.spec.after import AfterSpec
from export_pipelines.text import moment

_LATE = timedelta(minutes=10)
"""After its tick, nobody was there to wait when the row was noted."""


@dataclass(frozen=True)
class Lack:
    """One partition of an export, or one asset, that is still to come. `state` is what is known of it, in words.

    `due`: a tick asked for it, and it is neither made nor skipped nor given up yet.
    """

    name: str
    state: str = ""
    due: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({self.state})" if self.state else self.name


def is_waiting(row: DueRow) -> bool:
    """Whether it may have to wait: what was requested once does not wait again."""
    return row.state == "due" and row.attempts == 0


def waits_since(row: DueRow) -> datetime:
    """Since when it waits: its tick, or later, if nobody was there or it was skipped: when it was noted, or due again.

    So others have as long to be caught up with.
    """
    since = max(row.tick, row.next_attempt_at or row.tick)
    late = row.noted_at is not None and row.noted_at - row.tick > _LATE
    return max(since, row.noted_at) if late and row.noted_at else since


def waits_until(row: DueRow, after: AfterSpec) -> datetime:
    """Until when the partition waits at most."""
    return waits_since(row) + timedelta(minutes=after.deadline_minutes)


def listed(missing: Sequence[object]) -> str:
    """`students`, `students and grades (failed)`, `students, grades and asset dbt/orders`."""
    *head, last = map(str, missing)
    return f"{', '.join(head)} and {last}" if head else last


def missed(missing: Sequence[Lack], until: datetime) -> str:
    """Why a partition is not made when its time is over."""
    return f"waited for {listed(missing)} until {moment(until)}"
