"""Daily summaries and weekly reports are due once, at their local time."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from export_pipelines.ledger import pulses
from export_pipelines.notify import events
from export_pipelines.notify.digests import record_due
from export_pipelines.notify.events import Sighting
from export_pipelines.notify.message import Event
from export_pipelines.project import Project
from export_pipelines_tests.projects import project

HOOK = {"type": "webhook", "url": "http://127.0.0.1:9/hook"}
NOTIFY = {
    "default": {"digest": ["ops"], "digests": {"at": "07:30", "timezone": "Europe/Berlin", "weekly_on": "mon"}},
    "org:school": {"digest": ["school"], "digests": {"at": "16:00", "weekly_on": "fri"}},
    "team:nobody": {"digest": ["school"]},
}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def made(root: Path) -> Project:
    recipients = {"ops": HOOK, "school": HOOK}
    return project(root, {"students": {"org": "school"}, "hotels": {}}, recipients=recipients, notify=NOTIFY)


def due(mine: Project, now: str) -> list[tuple[str, str]]:
    before = {event.key for event in all_events(mine)}
    record_due(mine, at(now))
    return [(event.kind, event.details["scope"]) for event in all_events(mine) if event.key not in before]


def all_events(mine: Project) -> list[Event]:
    found = events.between(mine.ledger, at("2020-01-01T00:00:00+00:00"), at("2030-01-01T00:00:00+00:00"))
    return [event for event in found if event.level == "digest"]


def warn(mine: Project, export: str, when: str) -> None:
    record_ = Sighting(
        key=f"w{when}{export}", kind="empty", happened_at=at(when), export=export, partition="2026-03-01"
    )
    events.record(mine, [record_])


def test_nothing_is_due_for_the_time_before_it_began(tmp_path: Path) -> None:
    mine = made(tmp_path)
    warn(mine, "students", "2026-03-03T12:00:00+00:00")
    assert due(mine, "2026-03-04T12:00:00+01:00") == []
    assert pulses.read(mine.ledger)["digests"].at == at("2026-03-04T12:00:00+01:00")


def test_a_daily_summary_comes_once_and_only_where_there_is_a_warning(tmp_path: Path) -> None:
    mine = made(tmp_path)
    due(mine, "2026-03-04T12:00:00+01:00")
    assert due(mine, "2026-03-05T07:30:00+01:00") == []
    warn(mine, "hotels", "2026-03-05T12:00:00+00:00")
    assert due(mine, "2026-03-06T07:29:59+01:00") == []
    assert due(mine, "2026-03-06T07:30:00+01:00") == [("daily_summary", "default")]
    assert due(mine, "2026-03-06T09:00:00+01:00") == []
    (event,) = all_events(mine)
    assert event.details["exports"] == ["hotels", "students"]
    assert at(event.details["until"]) - at(event.details["since"]) == timedelta(days=1)


def test_weekly_reports_come_on_their_day(tmp_path: Path) -> None:
    mine = made(tmp_path)
    due(mine, "2026-03-04T12:00:00+01:00")
    assert due(mine, "2026-03-06T15:59:00+00:00") == []
    assert due(mine, "2026-03-06T16:00:00+00:00") == [("weekly_report", "org:school")]
    assert due(mine, "2026-03-09T07:30:00+01:00") == [("weekly_report", "default")]
    reports = {event.details["scope"]: event for event in all_events(mine)}
    assert reports["org:school"].details["exports"] == ["students"]
    assert reports["default"].details["since"] == "2026-03-02T07:30:00+01:00"


def test_a_sender_that_was_away_makes_the_last_ones_only(tmp_path: Path) -> None:
    mine = made(tmp_path)
    due(mine, "2026-03-04T12:00:00+01:00")
    assert due(mine, "2026-04-15T12:00:00+02:00") == [("weekly_report", "org:school"), ("weekly_report", "default")]


def test_a_week_with_a_clock_change_has_its_local_time(tmp_path: Path) -> None:
    mine = made(tmp_path)
    due(mine, "2026-03-24T12:00:00+01:00")
    assert due(mine, "2026-03-30T05:29:00+00:00") == [("weekly_report", "org:school")]
    assert due(mine, "2026-03-30T05:30:00+00:00") == [("weekly_report", "default")]
