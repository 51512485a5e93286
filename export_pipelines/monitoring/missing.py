"""Partitions that ticks asked for and that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, false, func, or_, select

from export_pipelines.ledger.coverage import combining, own
from export_pipelines.ledger.due import is_empty, is_published
from export_pipelines.ledger.pauses import pauses_since
from export_pipelines.ledger.tables import due, runs
from export_pipelines.project import Project
from export_pipelines.text import counted, printable
from export_pipelines.timing.ticks import timings

PATIENCE = timedelta(hours=1)
"""How long after its tick a partition is missing."""

_NAMED = 3


@dataclass(frozen=True)
class Missing:
    """How many partitions of one export are missing, and the one that has been for longest."""

    export: str
    number: int
    oldest: str


def missing(project: Project, now: datetime) -> list[Missing]:
    """What was due more than an hour ago, is neither published nor skipped, and is not being made at the moment.

    Paused exports are left out, those that the specs no longer have, and what waits for others as long as its `after`
    allows. What was given up is not among it.
    """
    before = now - PATIENCE
    row = (runs, due.c.export, due.c.partition)
    working = or_(*(exists().where(found(*row), runs.c.state == "running") for found in (own, combining)))
    open_ = select(due.c.export, func.count().label("number"), func.min(due.c.tick).label("tick")).where(
        due.c.state == "due", due.c.tick < before, ~is_published(), ~is_empty(), ~working, ~_is_waiting(project, now)
    )
    known = _running(project, now)
    with project.ledger.read() as connection:
        return list(_counted(connection, open_.group_by(due.c.export).order_by(due.c.export), known))


def _is_waiting(project: Project, now: datetime) -> ColumnElement[bool]:
    """Whether it may still wait for other exports or assets."""
    patience: dict[int, list[str]] = {}
    for name, export in project.specs.exports.items():
        if after := export.spec.waits_for:
            patience.setdefault(after.deadline_minutes, []).append(name)
    spans = [
        and_(due.c.export.in_(names), due.c.tick >= now - timedelta(minutes=minutes))
        for minutes, names in patience.items()
    ]
    return and_(due.c.attempts == 0, or_(false(), *spans))


def given_up(project: Project) -> list[Missing]:
    """What was given up and is not published since."""
    known = {*project.specs.exports, *project.specs.quarantined}
    lost = select(due.c.export, func.count().label("number"), func.min(due.c.tick).label("tick")).where(
        due.c.state == "given_up", ~is_published(), ~is_empty()
    )
    with project.ledger.read() as connection:
        return list(_counted(connection, lost.group_by(due.c.export).order_by(due.c.export), known))


def sentences(late: list[Missing], lost: list[Missing]) -> Iterator[str]:
    """The same for people."""
    if late:
        yield f"{_what(late)} missing for more than an hour: {_which(late)}; see: exports due"
    if lost:
        advice = "remove the cause, then: exports run"
        yield f"{_what(lost)} given up: {_which(lost)}; {advice}"


def _what(found: list[Missing]) -> str:
    number = sum(one.number for one in found)
    return f"{counted(number, 'partition')} {'is' if number == 1 else 'are'}"


def _which(found: list[Missing]) -> str:
    named = [f"{one.export} {one.oldest}" + (" and later" if one.number > 1 else "") for one in found[:_NAMED]]
    more = len(found) - _NAMED
    return printable(", ".join(named)) + (f", and {counted(more, 'further export')}" if more > 0 else "")


def _running(project: Project, now: datetime) -> set[str]:
    """Exports that are not paused; those with a mistake in their spec, too."""
    pauses = pauses_since(project.ledger, now)
    found = set(project.specs.quarantined)
    for timing in timings(project.specs.exports.values()):
        found |= {export.name for export in timing.exports if not pauses.of(export.name, timing.names, now)}
    return found


def _counted(connection: Connection, query: Select[Any], known: set[str]) -> Iterator[Missing]:
    for export, number, tick in connection.execute(query).all():
        if export in known:
            oldest = select(due.c.partition).where(due.c.export == export, due.c.tick == tick).limit(1)
            yield Missing(export, number, str(connection.execute(oldest).scalar()))
