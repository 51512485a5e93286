"""The weekly report and the daily summary: their numbers are those of the ledger."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from export_pipelines.ledger.tables import artifacts, runs
from export_pipelines.notify import events
from export_pipelines.notify.events import Sighting
from export_pipelines.notify.kinds import Kind
from export_pipelines.notify.message import Letter
from export_pipelines.project import Project
from export_pipelines_tests.projects import project as make_project
from export_pipelines_tests.unit.letters import event, letter

SINCE = datetime(2026, 11, 16, 6, 30, tzinfo=UTC)
UNTIL = SINCE + timedelta(days=7)
DAY = timedelta(days=1)
CALENDARS: dict[str, Any] = {
    "us-bank": {"country": "US"},
    "own": {"extra_holidays": ["2026-11-25", "2026-11-28", "2026-12-01"]},
}
SCHEDULES = {name: {"cron": "0 2 * * *", "timezone": "Europe/Berlin", "calendar": name} for name in ("us-bank", "own")}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    schedules = {name.replace("-", "_"): schedule for name, schedule in SCHEDULES.items()}
    exports = {
        "students": {"schedule": "us_bank"},
        "grades": {"schedule": "own"},
        "other": {},
    }
    return make_project(tmp_path, exports, schedules=schedules, calendars=CALENDARS)


def ran(
    project: Project, export: str, *, failed: int = 0, published: int = 0, day: int = 1, seconds: float = 2
) -> None:
    """Runs of the export on one day of the span, each published one with an artifact of 10 rows and 100 bytes."""
    start = SINCE + day * DAY
    with project.ledger.write() as connection:
        for number in range(failed + published):
            state = "failed" if number < failed else "published"
            run = {"run_id": f"{export}{day}{number}", "export": export, "partition": f"2026-11-{10 + day}"}
            times = {"started_at": start, "finished_at": start + timedelta(seconds=seconds)}
            connection.execute(runs.insert().values(**run, **times, state=state))
            if state == "published":
                empty = dict.fromkeys(("store", "manifest_path", "spec_sha256", "manifest"), "")
                window = {"window_start": start, "window_end": start, "created_at": start}
                sizes = {"rows": 10, "bytes": 100, "seconds": seconds, "artifact_id": f"{export}{day}{number}"}
                connection.execute(artifacts.insert().values(**run, **empty, **window, **sizes))


def happened(project: Project, kind: Kind, export: str, *, day: float = 1, **details: Any) -> None:
    at = SINCE + day * DAY
    key = f"{kind}:{export}:{day}"
    seen = Sighting(key=key, kind=kind, happened_at=at, export=export, partition="2026-11-17", details=details)
    events.record(project, [seen])


def report(project: Project, kind: Kind, *exports: str) -> Letter:
    span = {"since": SINCE.isoformat(), "until": UNTIL.isoformat(), "timezone": "Europe/Berlin"}
    return letter(project, event(kind, scope="default", exports=list(exports), **span))


class TestWeekly:
    def test_the_numbers_are_those_of_the_ledger(self, project: Project) -> None:
        ran(project, "students", failed=1, published=10, day=1, seconds=90)
        ran(project, "students", published=5, day=3)
        ran(project, "grades", published=4, day=3)
        happened(project, "late", "grades")
        happened(project, "late", "grades", day=2)
        happened(project, "late", "grades", day=8)
        found = report(project, "weekly_report", "students", "grades", "other")
        assert found.title == "Weekly report: 95.0 % of 20 runs, 1 export late"
        numbers = found.data["report"]
        counted = {name: numbers[name] for name in ("runs", "succeeded", "failed", "rows", "bytes")}
        assert counted == {"runs": 20, "succeeded": 19, "failed": 1, "rows": 190, "bytes": 1900}
        assert [(e["export"], e["runs"], e["failed"], e["late"]) for e in numbers["exports"]] == [
            ("students", 16, 1, 0),
            ("grades", 4, 0, 2),
        ]
        assert numbers["exports"][0]["slowest_seconds"] == pytest.approx(90, abs=0.01)
        days = {day["day"]: (day["succeeded"], day["failed"]) for day in numbers["days"]}
        assert (days["2026-11-17"], days["2026-11-19"], days["2026-11-20"]) == ((10, 1), (9, 0), (0, 0))
        assert "Tue 17 Nov  ################################" in found.text
        assert re.search(r"^students +16 +93\.7 % +-$", found.text, re.MULTILINE)
        assert re.search(r"^students +90\.0 s$", found.text, re.MULTILINE)

    def test_only_the_exports_in_scope_count(self, project: Project) -> None:
        ran(project, "students", published=3)
        ran(project, "grades", failed=2, published=2)
        happened(project, "late", "grades")
        found = report(project, "weekly_report", "students")
        assert found.title == "Weekly report: 100 % of 3 runs"
        assert [day["succeeded"] for day in found.data["report"]["days"]] == [0, 3, 0, 0, 0, 0, 0, 0]
        assert "grades" not in found.text

    def test_days_of_several_exports_are_added_up(self, project: Project) -> None:
        ran(project, "students", published=3)
        ran(project, "grades", failed=2, published=2)
        ran(project, "other", published=100)
        found = report(project, "weekly_report", "students", "grades")
        assert found.data["report"]["days"][1] == {
            "day": "2026-11-17",
            "succeeded": 5,
            "failed": 2,
            "rows": 50,
            "bytes": 500,
        }

    def test_success_is_never_rounded_up_to_all(self, project: Project) -> None:
        ran(project, "students", failed=1, published=2999)
        assert report(project, "weekly_report", "students").title == "Weekly report: 99.9 % of 3,000 runs"

    def test_holidays_of_the_next_week_are_named_by_calendar(self, project: Project) -> None:
        found = report(project, "weekly_report", "students", "grades")
        assert found.data["report"]["holidays"] == [
            {"day": "2026-11-25", "calendar": "own", "reason": "a day off of this calendar"},
            {"day": "2026-11-26", "calendar": "us-bank", "reason": "Thanksgiving Day"},
        ]  # the 28th is a Saturday, the 1st of December comes later
        assert re.search(r"^Thursday, 2026-11-26 +Thanksgiving Day +us-bank$", found.text, re.MULTILINE)
        assert "Thanksgiving" not in report(project, "weekly_report", "grades").text

    def test_a_week_without_runs(self, project: Project) -> None:
        found = report(project, "weekly_report", "other")
        assert found.title == "Weekly report: no runs"
        assert "Success:    -" in found.text
        assert "width:0%" not in found.html

    def test_the_chart_needs_neither_scripts_nor_pictures(self, project: Project) -> None:
        ran(project, "students", failed=3, published=1)
        ran(project, "students", published=400, day=2)
        found = report(project, "weekly_report", "students")
        assert not re.search(r"<(script|img|svg|link|style|canvas)|url\(|http", found.html)
        widths = [int(width) for width in re.findall(r'<td width="(\d+)%"', found.html)]
        assert widths == [1, 1, 100]  # what is rare is seen beside hundreds of others


class TestDaily:
    def test_warnings_are_counted_by_export(self, project: Project) -> None:
        for day in (1, 2):
            happened(project, "empty", "students", day=day)
        happened(project, "check_failed", "students", day=3, check="rows", cause="3 rows, at least 10 expected")
        happened(project, "interrupted", "grades", cause="the process died")
        happened(project, "late", "students")
        happened(project, "empty", "other")
        happened(project, "empty", "students", day=7.1)
        found = report(project, "daily_summary", "students", "grades")
        assert found.title == "Daily summary: 4 warnings of 2 exports"
        assert found.text.partition("Export")[2].partition("\n\n-")[0] == (
            "    Warnings; the latest below\n"
            "--------  -----------------------------\n"
            "grades    1 interrupted\n"
            "    Interrupted: 2026-11-17, the process died\n"
            "students  2 empty, 1 with failed checks\n"
            "    Check failed: 2026-11-17, 3 rows, at least 10 expected"
        )
        warnings = found.data["report"]["warnings"]
        assert [(item["export"], item["kinds"]) for item in warnings] == [
            ("grades", {"interrupted": 1}),
            ("students", {"empty": 2, "check_failed": 1}),
        ]

    def test_a_day_without_warnings(self, project: Project) -> None:
        found = report(project, "daily_summary", "students")
        assert found.title == "Daily summary: 0 warnings"
        assert found.data["report"]["warnings"] == []
