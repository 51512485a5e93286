"""What the ledger knows of every artifact, without reading manifests: for decisions about many of them at once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache

from sqlalchemy import Connection, Integer, String, cast, select, type_coerce

from export_pipelines.ledger.pins import held_until, pinned
from export_pipelines.ledger.tables import artifacts
from export_pipelines.spec.naming import span_of

_AT_ONCE = 1000  # rows fetched; one by one takes twice as long, all together more memory


@dataclass(slots=True)  # frozen ones take five times as long to create, and there are many
class Item:
    """One artifact. Instants are aware, in UTC; None is one that cannot be read. Nobody changes it."""

    artifact_id: str
    export: str
    partition: str
    window_start: datetime | None
    window_end: datetime | None
    created_at: datetime | None
    bytes: int
    store: str
    good: bool = True
    row_limit: int | None = None
    pinned: bool = False
    held_until: date | None = None
    """Legal hold: up to the end of this day."""
    undelivered: bool = False
    """Whether it still waits for a delivery."""
    unknown: str = ""
    """Why nothing may be concluded about it, or nothing."""
    last_partition: str | None = None
    """Where it combines several partitions: the last of them."""

    @property
    def span(self) -> str:
        """Its partition, or the first and the last one that it combines: `2026-01-01--2026-01-31`."""
        return span_of(self.partition, self.last_partition)


def inventory(connection: Connection, *, exports: Collection[str] | None = None) -> list[Item]:
    """Every artifact whose files are there, of all exports or of these, in no order. A damaged one is not good."""
    c = artifacts.c
    # As text, because one date that cannot be read must not hide all other artifacts.
    instants = [cast(column, String) for column in (c.window_start, c.window_end, c.created_at)]
    good = type_coerce(c.good & c.damaged_at.is_(None), Integer)  # as the database has it: quicker than row by row
    query = select(c.artifact_id, c.export, c.partition, *instants, c.bytes, c.store, good, c.row_limit)
    query = query.add_columns(c.last_partition)
    query = query.where(c.deleted_at.is_(None))
    if exports is not None:
        query = query.where(c.export.in_(exports))
    pins, holds = pinned(connection), held_until(connection)
    moment = cache(instant)  # artifacts share the windows of their partitions
    rows = connection.execute(query).yield_per(_AT_ONCE)
    return [
        Item(
            key, name, partition, moment(start), moment(end), moment(created), octets, store, bool(good), limit,
            key in pins, holds.get(key), False, "", last,
        )
        for key, name, partition, start, end, created, octets, store, good, limit, last in rows
    ]  # fmt: skip


def instant(text: str) -> datetime | None:
    """The instant (aware) that the database keeps in UTC, without an offset; None if the text cannot be read."""
    try:
        return datetime.fromisoformat(f"{text}+00:00")
    except ValueError:
        return None
