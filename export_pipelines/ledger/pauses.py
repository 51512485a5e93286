"""Pauses of exports and schedules. They are ended, never deleted, so that it stays known who paused what, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, or_, select, update

from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import pauses

Kind = Literal["export", "schedule"]


@dataclass(frozen=True)
class PauseRow:
    """One pause, from `at` to `until`, or to `ended_at` if somebody ended it before.

    `by` and `ended_by` are names of users. With `catch_up`, what it skipped is due all the same.
    """

    id: int
    kind: Kind
    name: str
    at: datetime
    until: datetime | None
    by: str
    why: str
    ended_at: datetime | None
    ended_by: str | None
    catch_up: bool

    def covers(self, instant: datetime) -> bool:
        """Whether the instant lies in the pause."""
        end = min((end for end in (self.until, self.ended_at) if end is not None), default=None)
        return self.at <= instant and (end is None or instant < end)

    @property
    def reason(self) -> str:
        """Who paused what, since when and why, in one line."""
        what = "" if self.kind == "export" else f"schedule {self.name} "
        until = f" until {self.until:%Y-%m-%d %H:%M} UTC" if self.until else ""
        return f"{what}paused by {self.by} since {self.at:%Y-%m-%d %H:%M} UTC{until}" + (
            f": {self.why}" * bool(self.why)
        )


@dataclass(frozen=True)
class Pauses:
    """Pauses that can be asked about."""

    rows: Collection[PauseRow] = ()

    def of(self, export: str, schedules: Collection[str], instant: datetime) -> PauseRow | None:
        """The pause of the export, or of one of the names of its schedule, that covers the instant."""
        for row in self.rows:
            mine = row.name == export if row.kind == "export" else row.name in schedules
            if mine and row.covers(instant):
                return row
        return None

    def skipping(self, export: str, schedules: Collection[str], instant: datetime) -> PauseRow | None:
        """The same, unless it was decided that its ticks are due all the same."""
        return Pauses([row for row in self.rows if not row.catch_up]).of(export, schedules, instant)


def pauses_since(ledger: Ledger, since: datetime) -> Pauses:
    """Pauses that lasted until then at least, or last still."""
    c = pauses.c
    lasting = or_(c.ended_at.is_(None), c.ended_at >= since), or_(c.until.is_(None), c.until >= since)
    with ledger.read() as connection:
        return Pauses([_row(row) for row in connection.execute(select(pauses).where(*lasting).order_by(c.id))])


def history(ledger: Ledger, kind: Kind, name: str) -> list[PauseRow]:
    """All pauses of the export or schedule, oldest first."""
    query = select(pauses).where(pauses.c.kind == kind, pauses.c.name == name).order_by(pauses.c.id)
    with ledger.read() as connection:
        return [_row(row) for row in connection.execute(query)]


def pause(ledger: Ledger, kind: Kind, name: str, *, at: datetime, **values: Any) -> PauseRow:
    """Pause it; `values` hold until, by and why. A pause that lasts is ended, so that the new one counts alone."""
    with ledger.write() as connection:
        changes = {"ended_at": at, "ended_by": values["by"]}
        connection.execute(update(pauses).where(*_lasting(kind, name)).values(changes))
        new = {"kind": kind, "name": name, "at": at, "catch_up": False, **values}
        return _row(connection.execute(pauses.insert().values(new).returning(*pauses.c)).one())


def resume(ledger: Ledger, kind: Kind, name: str, *, at: datetime, by: str) -> list[PauseRow]:
    """End what lasts; return it."""
    with ledger.write() as connection:
        found = [_row(row) for row in connection.execute(select(pauses).where(*_lasting(kind, name)))]
        lasting = [row.id for row in found if row.covers(at)]
        changes = {"ended_at": at, "ended_by": by}
        connection.execute(update(pauses).where(pauses.c.id.in_(lasting)).values(changes))
        return [row for row in found if row.id in lasting]


def mark_caught_up(ledger: Ledger, rows: Iterable[PauseRow]) -> None:
    """Record that what these pauses skipped, and what is not noted yet, is due all the same."""
    with ledger.write() as connection:
        numbers = [row.id for row in rows]
        connection.execute(update(pauses).where(pauses.c.id.in_(numbers)).values(catch_up=True))


def _lasting(kind: Kind, name: str) -> tuple[Any, ...]:
    return pauses.c.kind == kind, pauses.c.name == name, pauses.c.ended_at.is_(None)


def _row(row: Row[Any]) -> PauseRow:
    return PauseRow(*(getattr(row, name) for name in PauseRow.__dataclass_fields__))
