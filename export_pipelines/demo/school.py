"""School: students, courses, and the grades that come in through the day."""

from __future__ import annotations

from collections.abc import Iterator

from export_pipelines.demo.names import FIRST_NAMES, LAST_NAMES, note
from export_pipelines.demo.table import Row, Scope, Table, decimal, timestamp

_STUDENTS_PER_SCALE = 600
_COURSES_PER_SCALE = 24
_GRADES_PER_DAY = 4
_STATUSES = ("active", "active", "active", "active", "exchange", "suspended", "graduated", "withdrawn")
_SUBJECTS = ("Algebra", "Deutsch als Fremdsprache", "Français", "Ελληνικά", "История", "日本語", "Art & Design", "P.E.")
_KINDS = ("exam", "essay", "oral", "project")


def _students(scope: Scope) -> Iterator[Row]:
    random = scope.random("students")
    for number in range(1, _STUDENTS_PER_SCALE * scope.scale + 1):
        (first, plain_first), (last, plain_last) = random.choice(FIRST_NAMES), random.choice(LAST_NAMES)
        has_email, has_grant = random.random() < 0.93, random.random() < 0.2
        yield (
            number,
            f"{first} {last}",
            f"{plain_first}.{plain_last}.{number}@lincoln-high.example" if has_email else None,
            random.choice(_STATUSES),
            scope.day(random.randint(14 * 365, 20 * 365)).isoformat(),
            scope.day(random.randint(1, 1400)).isoformat(),
            decimal(random.randint(10_000, 900_000)) if has_grant else None,
            note(number),
        )


def _courses(scope: Scope) -> Iterator[Row]:
    random = scope.random("courses")
    for number in range(1, _COURSES_PER_SCALE * scope.scale + 1):
        teacher = f"{random.choice(FIRST_NAMES)[0]} {random.choice(LAST_NAMES)[0]}"
        subject = _SUBJECTS[number % len(_SUBJECTS)]
        credits = decimal(random.choice((15, 30, 45, 60)), digits=1)
        yield number, f"C{number:05}", f"{subject} {number}", teacher, credits, int(random.random() < 0.25)


def _grades(scope: Scope) -> Iterator[Row]:
    random = scope.random("grades")
    students, courses = _STUDENTS_PER_SCALE * scope.scale, _COURSES_PER_SCALE * scope.scale
    for number, graded_at in enumerate(scope.instants(random, per_day=_GRADES_PER_DAY), 1):
        # Below zero: points lost by cheating. NULL: not attended, a few in every week.
        score = None if number % 13 == 0 else decimal(random.randint(-500, 10_000))
        yield (
            number,
            random.randint(1, students),
            random.randint(1, courses),
            random.choice(_KINDS),
            score,
            timestamp(graded_at),
            note(number),
        )


TABLES = (
    Table(
        "students",
        (
            "id INTEGER PRIMARY KEY",
            "name TEXT NOT NULL",
            "email TEXT",
            "status TEXT NOT NULL",
            "birth_date DATE NOT NULL",
            "enrolled_on DATE NOT NULL",
            "grant_amount DECIMAL(12,2)",
            "remark TEXT",
        ),
        _students,
    ),
    Table(
        "courses",
        (
            "id INTEGER PRIMARY KEY",
            "code TEXT NOT NULL",
            "title TEXT NOT NULL",
            "teacher TEXT NOT NULL",
            "credits DECIMAL(4,1) NOT NULL",
            "elective BOOLEAN NOT NULL",
        ),
        _courses,
    ),
    Table(
        "grades",
        (
            "id INTEGER PRIMARY KEY",
            "student_id INTEGER NOT NULL REFERENCES students (id)",
            "course_id INTEGER NOT NULL REFERENCES courses (id)",
            "kind TEXT NOT NULL",
            "score DECIMAL(5,2)",
            "graded_at TIMESTAMPTZ NOT NULL",
            "comment TEXT",
        ),
        _grades,
    ),
)

VIEWS = ()
