"""Events and messages for tests of letters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from export_pipelines.notify.compose import compose
from export_pipelines.notify.kinds import LEVELS, Kind
from export_pipelines.notify.message import Event, Letter, Message
from export_pipelines.project import Project

AT = datetime(2026, 11, 21, 1, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
RUN = "0f3c1b2a-5d6e-4f70-8a91-b2c3d4e5f607"
CAUSE = "connection 'school': the server does not answer"
SPAN = {"since": "2026-11-14T07:30:00+01:00", "until": "2026-11-21T07:30:00+01:00", "timezone": "Europe/Berlin"}

DETAILS: Mapping[Kind, dict[str, Any]] = {
    "succeeded": {"artifact_id": "a" * 32},
    "empty": {"artifact_id": "a" * 32},
    "skipped": {"reason": "no rows, and `on_empty` is skip"},
    "failed": {"cause": CAUSE, "advice": "Check the host", "attempts": 4},
    "interrupted": {"cause": "the process died", "will_retry": True},
    "check_failed": {"check": "rows", "cause": "3 rows, at least 10 expected", "blocking": True},
    "late": {
        "schedule": "nightly",
        "tick": AT.isoformat(),
        "due_at": (AT + HOUR).isoformat(),
        "cause": "not published",
    },
    "given_up": {"attempts": 3, "cause": CAUSE, "schedule": "nightly"},
    "recovered": {"since": (AT - HOUR).isoformat(), "failures": 3, "missing": ["2026-11-19"], "artifact_id": "a" * 32},
    "escalated": {"since": (AT - 26 * HOUR).isoformat(), "failures": 12, "cause": CAUSE},
    "quarantined": {"problems": ["specs/a.yaml:3 exports.students: is wrong"], "cause": "is wrong"},
    "damaged": {"store": "local", "path": "2026-11-20/students/students.csv", "cause": "10 bytes instead of 120"},
    "tick_failed": {"what": "schedule nightly", "cause": "the code server does not answer"},
    "job_failed": {"what": "retention", "cause": "the store lake cannot be reached"},
    "cleanup": {"deleted": 24, "bytes": 1_234_567_890, "archived": 3, "kept": 412, "errors": ["x"], "items": ["y"]},
    "daily_summary": {"scope": "default", "exports": ["students"], **SPAN},
    "weekly_report": {"scope": "default", "exports": ["students"], **SPAN},
    "test": {},
}
"""Kind -> details as they are recorded."""

GLOBAL: frozenset[Kind] = frozenset({"tick_failed", "job_failed", "cleanup", "daily_summary", "weekly_report", "test"})
"""Kinds that are not about an export."""

_numbers = count(1)


def event(kind: Kind, *, at: datetime = AT, **given: Any) -> Event:
    """An event of the export `students`; `given` are fields of Event, or details in place of the usual ones."""
    number = next(_numbers)
    usual: dict[str, Any] = {"export": "students", "partition": "2026-11-21", "run_id": RUN}
    fields = dict.fromkeys(usual) if kind in GLOBAL else usual
    fields |= {name: given.pop(name) for name in (*usual, "level") if name in given}
    return Event(
        id=number,
        key=f"{kind}:{number}",
        kind=kind,
        level=fields.pop("level", LEVELS[kind]),
        happened_at=at,
        details={**DETAILS[kind], **given},
        **fields,
    )


def letter(project: Project, *events: Event, files: bool = True, statistics: bool = True) -> Letter:
    """The letter about these events."""
    message = Message("id-1@example.org", "ops", AT + HOUR, 0, events)
    return compose(message, project, include_file_details=files, include_statistics=statistics)
