"""Pins and legal holds of artifacts. They are ended, never deleted, so that it stays known who set them and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, String, cast, select, update

from export_pipelines.errors import SpecError
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import artifacts, deletions, pins

Kind = Literal["pin", "hold"]


@dataclass(frozen=True)
class PinRow:
    """One pin, or one hold: `until` the end of that day, in the timezone of the export. `ended_at` is None until then.

    `by` and `ended_by` are names of users, as the operating system gives them.
    """

    id: int
    artifact_id: str
    kind: Kind
    until: date | None
    by: str
    why: str
    at: datetime
    ended_at: datetime | None
    ended_by: str | None
    ended_why: str | None


def pin(ledger: Ledger, artifact_id: str, *, by: str, why: str, at: datetime) -> PinRow:
    """Pin the artifact. If it is pinned already, that pin stays and is returned. Raises SpecError if it is gone."""
    with ledger.write() as connection:
        _refuse_gone(connection, artifact_id)
        row = connection.execute(_active(artifact_id, "pin")).first()
        return _pin(row) if row else _insert(connection, artifact_id, "pin", by=by, why=why, at=at)


def hold(ledger: Ledger, artifact_id: str, *, until: date, by: str, why: str, at: datetime) -> PinRow:
    """Hold the artifact up to the end of that day. Several holds stand side by side; the longest counts.

    Raises SpecError if it is gone.
    """
    with ledger.write() as connection:
        _refuse_gone(connection, artifact_id)
        return _insert(connection, artifact_id, "hold", until=until, by=by, why=why, at=at)


def end(ledger: Ledger, artifact_id: str, kind: Kind, *, by: str, why: str, at: datetime) -> list[PinRow]:
    """End the pin, or all holds, of the artifact; return what was ended."""
    changes = {"ended_at": at, "ended_by": by, "ended_why": why}
    with ledger.write() as connection:
        numbers = [row.id for row in connection.execute(_active(artifact_id, kind))]
        connection.execute(update(pins).where(pins.c.id.in_(numbers)).values(changes))
        ended = select(pins).where(pins.c.id.in_(numbers)).order_by(pins.c.id)
        return [_pin(row) for row in connection.execute(ended)]


def of_artifact(ledger: Ledger, artifact_id: str) -> list[PinRow]:
    """All pins and holds of the artifact, also ended ones, oldest first."""
    with ledger.read() as connection:
        query = select(pins).where(pins.c.artifact_id == artifact_id).order_by(pins.c.id)
        return [_pin(row) for row in connection.execute(query)]


def pinned(connection: Connection) -> set[str]:
    """The ids of pinned artifacts."""
    query = select(pins.c.artifact_id).where(pins.c.kind == "pin", pins.c.ended_at.is_(None))
    return set(connection.execute(query).scalars())


def held_until(connection: Connection) -> dict[str, date]:
    """The id of each artifact with a hold that was not ended -> the last day of its longest hold, which may be over."""
    query = select(pins.c.artifact_id, cast(pins.c.until, String)).where(
        pins.c.kind == "hold", pins.c.ended_at.is_(None)
    )
    found: dict[str, date] = {}
    for artifact_id, until in connection.execute(query):
        found[artifact_id] = max(found.get(artifact_id, date.min), _day(until))
    return found


def _day(text: str | None) -> date:
    """A day that cannot be read holds for ever: somebody has wanted to keep the artifact."""
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return date.max


def _refuse_gone(connection: Connection, artifact_id: str) -> None:
    """Raises SpecError if the artifact was deleted or is about to be, which nobody decides in this transaction."""
    c = artifacts.c
    live = select(c.artifact_id).where(c.artifact_id == artifact_id, c.deleted_at.is_(None)).with_for_update()
    if connection.execute(live).first() is None:
        raise SpecError(
            f"artifact {artifact_id[:8]} was deleted", hint=f"Bring it back: exports restore {artifact_id[:8]}"
        )
    leaving = select(deletions.c.id).where(deletions.c.artifact_id == artifact_id, deletions.c.outcome.is_(None))
    if connection.execute(leaving).first() is not None:
        hint = "Wait until that has ended; if the artifact was deleted, restore it"
        raise SpecError(f"artifact {artifact_id[:8]} is being deleted", hint=hint)


def _active(artifact_id: str, kind: Kind) -> Any:
    return select(pins).where(pins.c.artifact_id == artifact_id, pins.c.kind == kind, pins.c.ended_at.is_(None))


def _insert(connection: Connection, artifact_id: str, kind: Kind, **values: Any) -> PinRow:
    row = connection.execute(pins.insert().values(artifact_id=artifact_id, kind=kind, **values).returning(pins)).one()
    return _pin(row)


def _pin(row: Row[Any]) -> PinRow:
    return PinRow(*(getattr(row, name) for name in PinRow.__dataclass_fields__))
