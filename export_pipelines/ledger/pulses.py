"""Signs of life, and figures that only a running Dagster knows: each name has one value, the latest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select, text

from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import Instant, pulses

OBSERVER = "observer"
"""The sensor that watches Dagster; `at` is when it last looked."""

SENDER = "sender"
"""The drain of the outbox."""

DIGESTS = "digests"
"""Since when summaries are due; never changed."""

READING_SINCE = "reading_since"
"""Since when published files are read again and again; never changed."""

READ = "read"
"""The last time that a share of the published files was read again."""

QUEUED_RUNS = "queued_runs"
RUNNING_RUNS = "running_runs"

_PUT = text(
    """
    insert into export_pulses (name, at, value) values (:name, :at, :value)
    on conflict (name) do update set at = excluded.at, value = excluded.value
    """
).bindparams(bindparam("at", type_=Instant))
_FIRST = text(
    "insert into export_pulses (name, at) values (:name, :at) on conflict (name) do nothing",
).bindparams(bindparam("at", type_=Instant))


@dataclass(frozen=True)
class Pulse:
    """The latest value of one name."""

    at: datetime
    value: float | None


def put(ledger: Ledger, now: datetime, **values: float | None) -> None:
    """Set the named values as of `now`."""
    with ledger.write() as connection:
        connection.execute(_PUT, [{"name": name, "at": now, "value": value} for name, value in values.items()])


def first(ledger: Ledger, name: str, now: datetime) -> datetime:
    """When the name was first seen; `now` if that is now."""
    with ledger.write() as connection:
        connection.execute(_FIRST, {"name": name, "at": now})
        at: datetime = connection.execute(select(pulses.c.at).where(pulses.c.name == name)).scalar_one()
        return at


def read(ledger: Ledger) -> dict[str, Pulse]:
    """Name -> its latest value."""
    with ledger.read() as connection:
        return {row.name: Pulse(row.at, row.value) for row in connection.execute(select(pulses))}
