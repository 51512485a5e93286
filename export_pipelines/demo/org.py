"""Org chart: a tree of units, persons, and who worked where from when to when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random

from export_pipelines.demo.names import FIRST_NAMES, LAST_NAMES, note
from export_pipelines.demo.table import Row, Scope, Table, decimal

_DIVISIONS = ("Finance", "Éducation", "Hospitality", "Θυγατρική Ελλάδας", "営業部")
_DEPARTMENTS = ("Accounting", "People & Culture", "IT, Data", "Facility")
_TEAMS_PER_SCALE = 180
_PERSONS_PER_SCALE = 500
_POSITIONS = ("Analyst", "Clerk", "Développeuse", "Lead", "Lehrer/in", "Manager, Sales", "Portier")


def _parents() -> int:
    """How many units are not teams; units are numbered from the root down."""
    return 1 + len(_DIVISIONS) * (1 + len(_DEPARTMENTS))


def _unit_count(scope: Scope) -> int:
    return _parents() + _TEAMS_PER_SCALE * scope.scale


def _units(scope: Scope) -> Iterator[Row]:
    random, founded = scope.random("units"), scope.day(9000).isoformat()
    yield 1, None, "Lincoln Group", "company", "0000", founded, None, ""
    for number, name in enumerate(_DIVISIONS, 2):
        yield number, 1, name, "division", f"{number:02}00", founded, None, note(number)
    first = 2 + len(_DIVISIONS)
    for number in range(first, first + len(_DIVISIONS) * len(_DEPARTMENTS)):
        division, department = divmod(number - first, len(_DEPARTMENTS))
        name = _DEPARTMENTS[department]
        yield number, 2 + division, name, "department", f"{division + 2:02}{department + 1:02}", founded, None, None
    last = _parents()
    for number in range(last + 1, _unit_count(scope) + 1):
        parent, opened = random.randint(first, last), random.randint(500, 6000)
        closed = None if random.random() < 0.95 else scope.day(random.randint(401, opened)).isoformat()
        since = scope.day(opened).isoformat()
        yield number, parent, f"Team {number}", "team", f"{number:04}", since, closed, note(number)


def _careers(scope: Scope) -> Iterator[tuple[Row, list[tuple[date, date | None]]]]:
    """Each person's row and the spans of their assignments, oldest first. Both tables read this same sequence."""
    random = scope.random("persons")
    for number in range(1, _PERSONS_PER_SCALE * scope.scale + 1):
        hired = scope.day(random.randint(30, 7000))
        gone = scope.day(random.randint(1, 29)) if random.random() < 0.12 else None
        (first, plain_first), (last, plain_last) = random.choice(FIRST_NAMES), random.choice(LAST_NAMES)
        row = (
            number,
            first,
            last,
            f"{plain_first}.{plain_last}.{number}@lincoln-group.example",
            _phone(random),
            scope.day(random.randint(7000 + 18 * 366, 24_000)).isoformat(),
            hired.isoformat(),
            _text(gone),
            int(random.random() < 0.3),
            decimal(random.randint(2_400_000, 14_000_000)),
            note(number),
        )
        yield row, _spans(random, hired, gone or scope.today, gone)


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _phone(random: Random) -> str | None:
    """A number that begins with `+`, as many do; sometimes empty, sometimes NULL."""
    kind = random.random()
    if kind < 0.1:
        return None
    return "" if kind < 0.2 else f"+49 30 {random.randint(100_000, 9_999_999)}"


def _spans(random: Random, hired: date, until: date, gone: date | None) -> list[tuple[date, date | None]]:
    """One to four spans without gaps; the last is open unless the person has left."""
    days = (until - hired).days
    changes = sorted({random.randint(1, max(days, 1)) for _ in range(random.randint(0, 3))} - {days})
    starts = [hired, *(hired + timedelta(days=change) for change in changes if change < days)]
    ends = [*(start - timedelta(days=1) for start in starts[1:]), gone]
    return list(zip(starts, ends, strict=True))


def _persons(scope: Scope) -> Iterator[Row]:
    return (row for row, _ in _careers(scope))


def _assignments(scope: Scope) -> Iterator[Row]:
    random, units, number = scope.random("assignments"), _unit_count(scope), 0
    for person, spans in _careers(scope):
        for start, end in spans:
            number += 1
            share = decimal(random.choice((10_000, 10_000, 8_000, 5_000, 3_333)))
            position, lead = random.choice(_POSITIONS), int(random.random() < 0.15)
            unit = random.randint(1, units)
            yield number, person[0], unit, position, share, lead, _text(start), _text(end)


TABLES = (
    Table(
        "units",
        (
            "id INTEGER PRIMARY KEY",
            "parent_id INTEGER REFERENCES units (id)",
            "name TEXT NOT NULL",
            "kind TEXT NOT NULL",
            "cost_centre TEXT NOT NULL",
            "opened_on DATE NOT NULL",
            "closed_on DATE",
            "note TEXT",
        ),
        _units,
    ),
    Table(
        "persons",
        (
            "id INTEGER PRIMARY KEY",
            "first_name TEXT NOT NULL",
            "last_name TEXT NOT NULL",
            "email TEXT NOT NULL",
            "phone TEXT",
            "birth_date DATE NOT NULL",
            "hired_on DATE NOT NULL",
            "left_on DATE",
            "remote BOOLEAN NOT NULL",
            "salary DECIMAL(12,2) NOT NULL",
            "note TEXT",
        ),
        _persons,
    ),
    Table(
        "assignments",
        (
            "id INTEGER PRIMARY KEY",
            "person_id INTEGER NOT NULL REFERENCES persons (id)",
            "unit_id INTEGER NOT NULL REFERENCES units (id)",
            "position TEXT NOT NULL",
            "share_percent DECIMAL(5,2) NOT NULL",
            "is_lead BOOLEAN NOT NULL",
            "valid_from DATE NOT NULL",
            "valid_to DATE",  # NULL: still valid
        ),
        _assignments,
    ),
)

VIEWS = (
    """CREATE VIEW staff_directory AS
SELECT persons.id, persons.last_name, persons.first_name, assignments.position, units.name AS unit,
       persons.phone, persons.email, persons.remote
FROM persons
JOIN assignments ON assignments.person_id = persons.id AND assignments.valid_to IS NULL
JOIN units ON units.id = assignments.unit_id""",
)
