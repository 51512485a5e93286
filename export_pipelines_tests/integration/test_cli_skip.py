"""`exports skip`: what somebody wants to do without."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from export_pipelines.catching_up.note import note_ticks
from export_pipelines.ledger import due
from export_pipelines.ledger.due import Asked, DueRow
from export_pipelines.project import Project
from export_pipelines.settings import load_settings
from export_pipelines_tests.integration.cli_project import Cli

HOUR = timedelta(hours=1)
HOURLY = {"partition": "hourly", "start": "2026-11-01", "schedule": {"cron": "0 * * * *", "timezone": "Europe/Berlin"}}
WHY = ("--why", "the source was wrong")


@pytest.fixture(params=["sqlite", "postgresql"])
def cli(tmp_path: Path, request: pytest.FixtureRequest) -> Cli:
    made = Cli(tmp_path)
    made.use({"a": HOURLY, "b": HOURLY})
    if request.param == "postgresql":
        made.environ["EXPORT_LEDGER_URL"] = request.getfixturevalue("postgres_url")
    return made


@pytest.fixture
def made(cli: Cli) -> Project:
    """The same project, with five partitions of each export that are due."""
    found, now = Project.load(load_settings(cli.environ)), datetime.now(UTC)
    note_ticks(found, now - 5 * HOUR)
    note_ticks(found, now + timedelta(minutes=2))
    return found


def rows(made: Project, *states: due.State) -> list[DueRow]:
    return due.find(made.ledger, *states, export="a")


def test_what_is_due_or_given_up_is_skipped_with_who_and_why(cli: Cli, made: Project) -> None:
    first, second, *others = rows(made, "due")
    with made.ledger.write() as connection:
        due.fail(connection, first, "disk full", next_attempt_at=None)
    said = cli("skip", "a", first.partition, second.partition, *WHY).stdout
    assert said == "a: 2 partitions skipped\n"
    skipped = rows(made, "skipped")
    assert [row.partition for row in skipped] == [first.partition, second.partition]
    assert {row.cause for row in skipped} == {"person"}
    assert (skipped[0].reason or "").startswith("skipped by ")
    assert (skipped[0].reason or "").endswith(" UTC: the source was wrong")
    assert rows(made, "due", "given_up") == others
    assert due.count(made.ledger, "due") == len(others) + 5, "those of the other export are still due"
    shown = {row["partition"]: row for row in cli.json("due", "a")["partitions"]}
    assert shown[first.partition]["reason"] == skipped[0].reason


def test_all_up_to_a_partition(cli: Cli, made: Project) -> None:
    first, second, third, *others = rows(made, "due")
    document = cli.json("skip", "a", "--until", third.partition, *WHY)
    assert document["partitions"] == [first.partition, second.partition, third.partition]
    assert rows(made, "due") == others
    assert "nothing of export 'a' is due up to" in cli("skip", "a", "--until", third.partition, *WHY, code=1).stderr
    assert "there is no hourly partition 'monday'" in cli("skip", "a", "--until", "monday", *WHY, code=1).stderr


def test_a_later_tick_makes_it_due_again_and_the_same_one_does_not(cli: Cli, made: Project) -> None:
    first, *_ = rows(made, "due")
    cli("skip", "a", first.partition, *WHY)
    asked = Asked(export="a", partition=first.partition, schedule="a_schedule", tick=first.tick)
    later = Asked(export="a", partition=first.partition, schedule="a_schedule", tick=first.tick + HOUR)
    with made.ledger.write() as connection:
        due.note(connection, [asked], first.tick)
        assert due.claim(connection, [asked], first.tick) == set()
        assert due.request(connection, [first], first.tick) == set()
        due.note(connection, [later], first.tick)
    assert first.partition in {row.partition for row in rows(made, "due")}


def test_what_is_not_due_is_refused_and_then_nothing_is_changed(cli: Cli, made: Project) -> None:
    first, published, *others = rows(made, "due")
    asked = others[0]
    cli("skip", "a", first.partition, *WHY)
    made.run(made.request("a", published.partition, run_id="0" * 32))
    with made.ledger.write() as connection:
        due.request(connection, [asked], datetime.now(UTC))
    before = rows(made, "due")[1:]
    for partition, message in (
        (first.partition, f"partition {first.partition} of export a is skipped already: skipped by "),
        (published.partition, f"partition {published.partition} of export a is published. What is: exports due a"),
        (asked.partition, "was requested, and its run has not ended. Wait for it, or cancel it; after `exports pause"),
        ("2026-11-01", "no tick has asked for partition '2026-11-01' of an export 'a'"),
    ):
        last = before[-1].partition
        assert message in " ".join(cli("skip", "a", last, partition, *WHY, code=1).stderr.split())
        assert rows(made, "due") == before
    assert "was requested" in cli("skip", "a", "--until", before[-1].partition, *WHY, code=1).stderr
    assert "of an export 'c'" in cli("skip", "c", first.partition, *WHY, code=1).stderr
    assert [row.state for row in rows(made, "done")] == ["done"]


def test_wrong_usage(cli: Cli) -> None:
    assert "Give PARTITIONs, or --until KEY" in cli("skip", "a", *WHY, code=2).stderr
    assert "Give PARTITIONs" in cli("skip", "a", "2026-11-01", "--until", "2026-11-01", *WHY, code=2).stderr
    assert "must not be blank" in cli("skip", "a", "2026-11-01", "--why", " ", code=2).stderr
    assert "--why" in cli("skip", "a", "2026-11-01", code=2).stderr
