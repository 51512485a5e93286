"""What `health` finds wrong, on a ledger written by those who write it in operation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from export_pipelines.ledger import artifacts, pulses, readings, tables
from export_pipelines.monitoring.health import Health, health
from export_pipelines.monitoring.troubles import late_by_export, open_troubles
from export_pipelines.notify.dispatch import dispatch
from export_pipelines.notify.events import Sighting, record
from export_pipelines.project import Project
from export_pipelines_tests.projects import EXPORT, environment, project, write_project

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = "2026-03-09"


def alive(made: Project, at: datetime = NOW) -> Project:
    pulses.put(made.ledger, at, observer=None, queued_runs=3, running_runs=1)
    return made


@pytest.fixture
def made(tmp_path: Path) -> Project:
    """A project whose daemon is alive."""
    tokyo = {"schedule": {"cron": "0 2 * * *", "timezone": "Asia/Tokyo"}}
    return alive(project(tmp_path, {"students": {}, "tokyo": tokyo}))


def happen(made: Project, *sightings: Sighting) -> None:
    record(made, sightings)
    dispatch(made, NOW)


def seen(
    kind: str, minutes_ago: float, partition: str = DAY, *, export: str = "students", **details: object
) -> Sighting:
    at = NOW - minutes_ago * MINUTE
    key = f"{kind}:{export}:{partition}:{at}"
    return Sighting(key=key, kind=kind, happened_at=at, export=export, partition=partition, details=details)  # type: ignore[arg-type]


def message(made: Project, state: str, minutes_ago: float, error: str | None = None) -> None:
    at = NOW - minutes_ago * MINUTE
    values = {
        "recipient": "ops",
        "state": state,
        "created_at": at,
        "attempts": 1,
        "next_attempt_at": at,
        "error": error,
    }
    with made.ledger.write() as connection:
        connection.execute(tables.messages.insert().values(message_id=f"{state}{minutes_ago}", **values))


def wrong(made: Project) -> Sequence[str]:
    return health(made, NOW).problems


def test_nothing_is_wrong_while_the_daemon_is_alive(made: Project) -> None:
    made.run(made.request("students", DAY, run_id="r"))
    found = health(made, datetime.now(UTC))
    assert [problem for problem in found.problems if "daemon" not in problem] == []
    found = health(alive(made, datetime.now(UTC)), datetime.now(UTC))
    assert found.problems == []
    assert (found.day.runs, found.day.success_rate) == (1, 1.0)
    assert (found.gauge(pulses.QUEUED_RUNS), found.gauge(pulses.RUNNING_RUNS)) == (3, 1)
    assert found.last_run is not None
    assert found.last_run.export == "students"


def test_a_daemon_that_was_never_seen_is_wrong_and_it_says_how_to_start_it(tmp_path: Path) -> None:
    (problem,) = wrong(project(tmp_path, {"students": {}}))
    assert problem.startswith("The Dagster daemon has never been seen")
    assert "dagster-daemon run" in problem


@pytest.mark.parametrize(
    ("minutes", "words"), [(12, "12 minutes"), (119, "119 minutes"), (300, "5 hours"), (4321, "3 days")]
)
def test_a_silent_daemon_is_wrong(made: Project, minutes: float, words: str) -> None:
    alive(made, NOW - 5 * MINUTE)
    assert wrong(made) == []
    alive(made, NOW - minutes * MINUTE)
    (problem,) = wrong(made)
    assert problem.startswith(f"The Dagster daemon has been silent for {words}: ")


def test_how_long_it_may_be_silent_is_a_setting(tmp_path: Path) -> None:
    environ = environment(tmp_path, EXPORT_SILENT_MINUTES="60")
    made = Project.load(write_project(tmp_path, {"students": {}}, environ=environ))
    alive(made, NOW - 59 * MINUTE)
    assert wrong(made) == []


def test_an_export_that_fails_is_wrong_until_it_works_again(made: Project) -> None:
    happen(
        made, seen("failed", 60, "2026-03-08", cause="no table grades. Ask Ann"), seen("failed", 5, cause="no column x")
    )
    assert wrong(made) == [
        "students has failed twice since 2026-03-10 11:00 UTC, latest partition 2026-03-09: no column x",
    ]
    (trouble,) = open_troubles(made.ledger)
    assert (trouble.failures, trouble.partition, trouble.late, trouble.due_at) == (2, DAY, [], None)
    happen(made, seen("succeeded", 1))
    assert wrong(made) == []


def test_an_export_that_was_taken_out_of_the_specs_is_forgotten_after_a_week(made: Project) -> None:
    happen(made, seen("failed", 5, cause="no table"), seen("failed", 5, export="removed", cause="no table"))
    assert [sentence.split()[0] for sentence in wrong(made)] == ["students", "removed"]
    alive(made, later := NOW + timedelta(days=7))
    assert [sentence.split()[0] for sentence in health(made, later).problems] == ["students"]


def test_a_late_export_is_told_in_its_own_timezone(made: Project) -> None:
    happen(made, seen("late", 30, export="tokyo", schedule="nightly", tick="", due_at=""))
    assert wrong(made) == ["tokyo is late: partition 2026-03-09 was due at 2026-03-10 20:30 JST"]
    happen(made, seen("failed", 10, export="tokyo", cause="the disk is full"))
    assert wrong(made)[1:] == [
        "tokyo has failed once since 2026-03-10 20:30 JST, latest partition 2026-03-09: the disk is full"
    ]
    assert late_by_export(made.ledger, since=NOW - 60 * MINUTE, until=NOW) == {"tokyo": 1}
    assert late_by_export(made.ledger, since=NOW - 20 * MINUTE, until=NOW) == {}


def test_failures_of_an_earlier_incident_are_not_told_again(made: Project) -> None:
    happen(made, seen("failed", 90, "2026-03-07", cause="first"), seen("succeeded", 80, "2026-03-07"))
    happen(made, seen("late", 20))
    assert wrong(made) == ["students is late: partition 2026-03-09 was due at 2026-03-10 11:40 UTC"]


def test_notifications_that_wait_or_were_refused_are_wrong(made: Project) -> None:
    message(made, "sent", 600)
    message(made, "pending", 14, "too young to matter")
    assert wrong(made) == []
    message(made, "pending", 50, "old error")
    message(made, "pending", 20, "connecting to smtp.example.org:587: refused. Check SMTP_HOST")
    assert wrong(made) == [
        "2 notifications wait since 2026-03-10 11:10 UTC: connecting to smtp.example.org:587: refused",
    ]
    message(made, "failed", 5, "550 no such user")
    assert wrong(made)[0] == (
        "1 notification could not be delivered, the first of 2026-03-10 11:55 UTC: 550 no such user; "
        "see: exports notify list --state failed"
    )
    assert health(made, NOW).outbox.states == {"pending": 3, "sent": 1, "failed": 1, "off": 0}


def test_events_that_nobody_routes_are_wrong(made: Project) -> None:
    record(made, [seen("succeeded", 0)])
    soon = datetime.now(UTC) + 10 * MINUTE
    assert [p for p in health(alive(made, soon), soon).problems if "event" in p] == []
    later = datetime.now(UTC) + 20 * MINUTE
    (problem,) = health(alive(made, later), later).problems
    assert problem.startswith("1 event waits since")
    assert "sensor notifications" in problem


def test_mistakes_in_the_specs_are_wrong(tmp_path: Path) -> None:
    exports = {"students": {}, "bad": {**EXPORT, "formats": ["csv", "xslx", "cvs"]}}
    settings = write_project(tmp_path, exports, schedules={"nightly": {"cron": "61 * * * *"}})
    assert wrong(alive(Project.load(settings))) == [
        "bad is left out because of 2 mistakes in the specs, see: exports check",
        "1 mistake in the specs outside of exports, see: exports check",
    ]


def test_a_ledger_that_cannot_be_reached_is_one_sentence_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://me:canary-secret@127.0.0.1:1/ledger"
    environ = environment(tmp_path, EXPORT_LEDGER_URL=url)
    found: Health = health(Project.load(write_project(tmp_path, {"students": {}}, environ=environ)), NOW)
    assert not found.reachable
    (problem,) = found.problems
    assert problem.startswith(
        "The ledger cannot be reached (using the ledger postgresql+psycopg2://me:***@127.0.0.1:1/ledger"
    )
    assert "EXPORT_LEDGER_URL" in problem
    assert "canary" not in problem
    assert "\n" not in problem


def test_damage_is_wrong_until_it_is_repaired(made: Project) -> None:
    for day in range(1, 6):
        made.run(made.request("students", f"2026-03-0{day}", run_id=f"r{day}"))
    rows = sorted(artifacts.find(made.ledger), key=lambda row: row.manifest.partition)
    ids = [row.manifest.artifact_id for row in rows]
    readings.record(made.ledger, NOW, artifacts={ids[1]: False}, archives={})
    assert wrong(made) == ["1 artifact is damaged: students 2026-03-02; see: exports verify"]
    readings.record(made.ledger, NOW + MINUTE, artifacts={ids[0]: False, ids[3]: False, ids[4]: False}, archives={})
    (problem,) = wrong(made)
    assert problem.startswith("4 artifacts are damaged: students 2026-03-02, students ")
    assert problem.endswith(" and others; see: exports verify")
    readings.record(made.ledger, NOW, artifacts=dict.fromkeys(ids, True), archives={})
    assert wrong(made) == []


def test_files_that_nobody_reads_again_are_wrong_if_somebody_should(made: Project) -> None:
    made.run(made.request("students", DAY, run_id="r"))
    made_at = datetime.now(UTC)

    def after(days: float) -> Sequence[str]:
        now = made_at + timedelta(days=days)
        return health(alive(made, now), now).problems

    assert after(99) == []  # it never began
    pulses.first(made.ledger, pulses.READING_SINCE, made_at + timedelta(days=50))
    assert after(79) == []
    assert after(81) == [
        "Published files have not been read again for 31 days: see that the schedule verify is on and how its runs end"
    ]
    (row,) = artifacts.find(made.ledger)
    read = {row.manifest.artifact_id: True}
    readings.record(made.ledger, made_at + timedelta(days=60), artifacts=read, archives={})
    assert after(81) == []


def test_a_disk_that_is_nearly_full_is_wrong(tmp_path: Path) -> None:
    environ = environment(tmp_path, EXPORT_DISK_WARN_PERCENT="100")
    (problem,) = wrong(alive(Project.load(write_project(tmp_path, {"students": {}}, environ=environ))))
    assert problem.startswith("The disk of store local is nearly full: ")


def test_no_text_of_the_ledger_can_steer_a_terminal(made: Project) -> None:
    happen(made, seen("failed", 5, cause="evil \x1b[2J\x07 text"))
    assert "\x1b" not in wrong(made)[0]
    assert r"\x1b[2J" in wrong(made)[0]
