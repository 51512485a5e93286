"""`exports pause`, `resume` and `due`, and what the other commands show of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from export_pipelines.catching_up.note import note_ticks
from export_pipelines.ledger import due, pulses
from export_pipelines.notify.deadlines import punctuality
from export_pipelines.project import Project
from export_pipelines.settings import load_settings
from export_pipelines_tests.integration.cli_project import Cli

HOUR = timedelta(hours=1)
HOURLY = {"partition": "hourly", "start": "2026-11-01"}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path)
    schedule = {"cron": "0 * * * *", "timezone": "Europe/Berlin", "deadline_minutes": 1}
    entry = {**HOURLY, "schedule": "hours"}
    made.use({"a": entry, "b": entry, "quiet": {}}, schedules={"hours": schedule})
    return made


@pytest.fixture
def made(cli: Cli) -> Project:
    """The same project; its ticks are watched since some hours ago."""
    found = Project.load(load_settings(cli.environ))
    note_ticks(found, datetime.now(UTC) - 5 * HOUR)
    return found


def test_a_paused_export_is_shown_as_paused_everywhere(cli: Cli) -> None:
    said = cli("pause", "a", "--until", "2099-12-01 08:00", "--why", "the server moves").stdout
    assert said == "a: paused until 2099-12-01 08:00 CET\n"
    pause = cli.json("show", "a")["paused"]
    assert (pause["kind"], pause["until"], pause["why"]) == ("export", "2099-12-01T07:00:00Z", "the server moves")
    words = f"paused by {pause['by']} until 2099-12-01 08:00 CET: the server moves"
    assert f"a is {words}" in cli("list").stdout
    assert words.removeprefix("paused ") in cli("show", "a").stdout
    listed = {export["name"]: export["paused"] for export in cli.json("list")["exports"]}
    assert (listed["a"], listed["b"]) == (pause, None)
    (schedule,) = cli.json("schedules")["schedules"]
    assert (schedule["paused"], schedule["paused_exports"]) == (None, ["a"])
    assert "paused: a" in cli("schedules").stdout
    assert ", 1 paused" in cli("status").stdout
    cli("pause", "hours")
    (schedule,) = cli.json("status")["schedules"]
    assert (schedule["paused"]["name"], schedule["paused_exports"]) == ("hours", ["a", "b"])
    assert "CET  paused\n" in cli("status").stdout


def test_a_pause_is_ended_and_not_forgotten(cli: Cli) -> None:
    cli("pause", "a")
    cli("pause", "a", "--until", "2099-12-01")
    first, second = cli.json("resume", "a")["pauses"]
    assert first["ended_at"] == second["at"]
    assert second["until"] == "2099-11-30T23:00:00Z", "midnight in Berlin"
    assert second["ended_by"] == second["by"]
    assert cli.json("show", "a")["paused"] is None
    assert "export a is not paused" in cli("resume", "a", code=1).stderr


def test_what_is_no_pause_is_refused_with_advice(cli: Cli) -> None:
    assert "2020-01-01 00:00 CET is over" in cli("pause", "a", "--until", "2020-01-01", code=2).stderr
    assert "there is no export or schedule 'c'" in cli("pause", "c", code=1).stderr
    cli("pause", "hours")
    assert "Its schedule is: exports resume hours" in cli("resume", "a", code=1).stderr


def test_a_name_of_both_has_to_say_which(cli: Cli) -> None:
    cli.use({"both": {**HOURLY, "schedule": "both"}}, schedules={"both": {"cron": "0 * * * *"}})
    assert "Write export:both or schedule:both" in cli("pause", "both", code=1).stderr
    assert cli.json("pause", "schedule:both")["kind"] == "schedule"
    assert cli.json("resume", "schedule:both")["kind"] == "schedule"


def test_what_a_pause_skipped_stays_skipped_unless_it_is_to_be_caught_up(
    cli: Cli, made: Project, later: Callable[[timedelta], None]
) -> None:
    cli("pause", "a")
    paused = datetime.fromisoformat(cli.json("show", "a")["paused"]["at"])
    later(3 * HOUR)
    note_ticks(made, paused.replace(minute=30) + 2 * HOUR)
    rows = [row for row in cli.json("due", "a")["partitions"] if row["state"] == "skipped"]
    assert len(rows) == 2
    assert {row["cause"] for row in rows} == {"paused"}
    document = cli.json("resume", "a", "--catch-up")
    assert document["due_again"] == 2
    assert document["pauses"][0]["catch_up"] is True
    assert [row for row in cli.json("due", "a")["partitions"] if row["state"] == "skipped"] == []
    assert cli.json("resume", "a", "--catch-up")["due_again"] == 0


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Commands believe that so much time has passed."""

    def _later(passed: timedelta) -> None:
        monkeypatch.setattr("export_pipelines.cli.app.App.now", datetime.now(UTC) + passed)

    return _later


def test_nothing_is_late_while_it_is_paused(cli: Cli, made: Project) -> None:
    now = datetime.now(UTC)
    late = {found.export for found in punctuality(made, made.specs.exports.values(), now) if found.late}
    assert late == {"a", "b"}
    cli("pause", "a")
    late = {found.export for found in punctuality(made, made.specs.exports.values(), now + HOUR) if found.late}
    assert late == {"b"}


def test_due_says_what_is_missing_and_what_it_waits_for(cli: Cli, made: Project) -> None:
    assert cli("due").stdout == "Nothing is missing.\n"
    note_ticks(made, datetime.now(UTC))
    rows = cli.json("due")["partitions"]
    assert [row["tick"] for row in rows] == sorted(row["tick"] for row in rows)
    first, second, *_ = due.find(made.ledger, "due", export="a")
    now = datetime.now(UTC)
    with made.ledger.write() as connection:
        due.fail(connection, first, "disk full", next_attempt_at=None)
        due.fail(connection, second, "disk full", next_attempt_at=now + HOUR)
    cli("pause", "b", "--why", "holidays")
    found = {(row["export"], row["partition"]): row for row in cli.json("due")["partitions"]}
    given_up, waiting = (found["a", row.partition] for row in (first, second))
    assert (given_up["state"], given_up["reason"], given_up["waits_for"]) == ("given_up", "disk full", None)
    assert waiting["waits_for"].startswith("attempt 1, at ")
    assert "holidays" in found["b", first.partition]["waits_for"]
    assert "given up" in cli("due", "a").stdout
    made.run(made.request("a", first.partition, run_id="0" * 32))
    due.settle(made.ledger)
    assert ("a", first.partition) not in {(r["export"], r["partition"]) for r in cli.json("due")["partitions"]}
    assert {row["state"] for row in cli.json("due", "a", "--all")["partitions"]} == {"due", "done"}
    assert "there is no export 'c'" in cli("due", "c", code=1).stderr


def test_health_and_metrics_count_what_is_missing(cli: Cli, made: Project) -> None:
    now = datetime.now(UTC)
    pulses.put(made.ledger, now, observer=None)
    note_ticks(made, now)
    first, *rest = due.find(made.ledger, "due", export="a")
    with made.ledger.write() as connection:
        due.fail(connection, first, "disk full", next_attempt_at=None)
    old = [row for row in rest if row.tick < now - HOUR]
    document = cli.json("health", code=1)
    late, lost = document["problems"][:2]
    number = len(old) + len([row for row in due.find(made.ledger, "due", export="b") if row.tick < now - HOUR])
    assert late.startswith(f"{number} partitions are missing for more than an hour: a {old[0].partition} and later, b ")
    assert lost.startswith(f"1 partition is given up: a {first.partition}; ")
    assert [found["export"] for found in document["missing"]] == ["a", "b"]
    metrics = {
        (m["labels"].get("export"), m["value"]) for m in cli.json("metrics")["metrics"] if "missing" in m["name"]
    }
    assert metrics == {("a", len(old) + 1), ("b", number - len(old)), ("quiet", 0)}
    cli("pause", "hours")
    assert cli.json("health", code=1)["missing"] == []
