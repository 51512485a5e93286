"""Which partition should be out by now, and whether it is."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from export_pipelines.ledger import runs
from export_pipelines.notify.deadlines import Punctuality, late, punctuality
from export_pipelines.project import Project
from export_pipelines_tests.projects import project

NIGHTLY = {"cron": "0 2 * * *", "timezone": "Europe/Berlin", "deadline_minutes": 90}
WORKDAYS = {**NIGHTLY, "calendar": "office"}


def made(root: Path, schedule: dict[str, Any], **entry: Any) -> Project:
    calendars = {"office": {"country": "DE"}}
    return project(root, {"students": {"schedule": "s", **entry}}, schedules={"s": schedule}, calendars=calendars)


def at(project_: Project, instant: str) -> Punctuality:
    (found,) = punctuality(project_, project_.specs.exports.values(), datetime.fromisoformat(instant))
    return found


def publish(project_: Project, partition: str) -> None:
    project_.run(project_.request("students", partition, run_id=f"{partition:0>32}"))


def test_a_partition_is_late_once_its_deadline_has_passed(tmp_path: Path) -> None:
    mine = made(tmp_path, NIGHTLY)
    assert at(mine, "2026-03-03T12:00:00+01:00").due is None  # first seen: earlier ticks are not judged
    assert at(mine, "2026-03-04T03:29:59+01:00").late is False
    found = at(mine, "2026-03-04T03:30:00+01:00")
    assert found.late
    assert found.due is not None
    assert (found.due.partition, found.due.due_at.isoformat()) == ("2026-03-03", "2026-03-04T03:30:00+01:00")
    assert found.message == "partition 2026-03-03 was due at 2026-03-04 03:30 CET and is not published"


def test_an_old_backfill_does_not_make_it_punctual(tmp_path: Path) -> None:
    mine = made(tmp_path, NIGHTLY)
    at(mine, "2026-03-03T12:00:00+01:00")
    publish(mine, "2026-03-02")
    assert at(mine, "2026-03-04T04:00:00+01:00").late
    publish(mine, "2026-03-03")
    assert not at(mine, "2026-03-04T04:00:00+01:00").late
    assert at(mine, "2026-03-05T04:00:00+01:00").late


def test_a_partition_that_was_skipped_on_purpose_is_not_late(tmp_path: Path) -> None:
    mine = made(tmp_path, NIGHTLY)
    at(mine, "2026-03-03T12:00:00+01:00")
    number = runs.start(
        mine.ledger,
        run_id="r",
        export="students",
        partition="2026-03-03",
        now=datetime.fromisoformat("2026-03-04T02:00:00+01:00"),
    )
    assert at(mine, "2026-03-04T04:00:00+01:00").late
    runs.finish(mine.ledger, number, "skipped", rows=0)
    assert not at(mine, "2026-03-04T04:00:00+01:00").late


def test_days_off_have_no_deadline(tmp_path: Path) -> None:
    mine = made(tmp_path, WORKDAYS)
    at(mine, "2026-04-01T12:00:00+02:00")
    for instant in ("2026-04-03T12:00:00+02:00", "2026-04-06T12:00:00+02:00"):  # Good Friday to Easter Monday
        found = at(mine, instant)
        assert found.due is not None
        assert found.due.partition == "2026-04-01"


def test_a_deadline_is_counted_in_real_time_where_clocks_change(tmp_path: Path) -> None:
    mine = made(tmp_path, {"cron": "0 1 * * *", "timezone": "Europe/Berlin", "deadline_minutes": 180})
    at(mine, "2026-03-28T12:00:00+01:00")
    found = at(mine, "2026-03-29T12:00:00+02:00")
    assert found.due is not None
    assert found.due.due_at.isoformat() == "2026-03-29T05:00:00+02:00"


def test_another_timing_is_not_judged_by_ticks_of_the_past(tmp_path: Path) -> None:
    at(made(tmp_path, NIGHTLY), "2026-03-03T12:00:00+01:00")
    changed = made(tmp_path, {**NIGHTLY, "cron": "0 3 * * *"})
    assert at(changed, "2026-03-04T12:00:00+01:00").due is None
    assert at(changed, "2026-03-05T12:00:00+01:00").late


def test_exports_without_a_deadline_are_not_judged(tmp_path: Path) -> None:
    schedule = {name: value for name, value in NIGHTLY.items() if name != "deadline_minutes"}
    mine = made(tmp_path, schedule)
    assert punctuality(mine, mine.specs.exports.values(), datetime.fromisoformat("2026-03-03T12:00:00+01:00")) == []


def test_a_late_partition_is_one_event_however_often_it_is_seen(tmp_path: Path) -> None:
    mine = made(tmp_path, NIGHTLY)
    at(mine, "2026-03-03T12:00:00+01:00")
    instants = ("2026-03-04T04:00:00+01:00", "2026-03-04T23:00:00+01:00", "2026-03-05T04:00:00+01:00")
    keys = [[seen.key for _, seen in late(mine, datetime.fromisoformat(instant))] for instant in instants]
    assert [len(found) for found in keys] == [1, 1, 1]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("kind", ["hourly", "weekly", "monthly", "quarterly"])
def test_other_partitions(tmp_path: Path, kind: str) -> None:
    cron = {"hourly": "5 * * * *", "weekly": "0 3 * * 1"}.get(kind, "0 4 1 * *")
    mine = made(tmp_path, {"cron": cron, "deadline_minutes": 30}, partition=kind)
    at(mine, "2026-03-15T12:00:00+00:00")
    expected = {
        "hourly": "2026-04-08-10:00",
        "weekly": "2026-03-30",
        "monthly": "2026-03-01",
        "quarterly": "2026-01-01",
    }[kind]
    found = at(mine, "2026-04-08T12:00:00+00:00")
    assert found.late
    assert found.due is not None
    assert found.due.partition == expected
