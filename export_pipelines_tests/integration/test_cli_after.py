"""What the commands show of exports that wait for others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from export_pipelines.catching_up.note import note_ticks
from export_pipelines.ledger import due
from export_pipelines.project import Project
from export_pipelines.settings import load_settings
from export_pipelines.text import moment
from export_pipelines_tests.integration.cli_project import Cli

HOUR = timedelta(hours=1)
NIGHTLY = {"nightly": {"cron": "0 2 * * *", "timezone": "Europe/Berlin"}}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def made(cli: Cli, **after: Any) -> Project:
    """`grades` waits for `students`; a tick was noted, not long ago."""
    entries = {"students": {"schedule": "nightly"}, "grades": {"schedule": "nightly", "after": after}}
    cli.use(entries, schedules=NIGHTLY)
    found = Project.load(load_settings(cli.environ))
    now = datetime.now(UTC)
    note_ticks(found, now - 25 * HOUR)
    note_ticks(found, now)
    return found


def test_due_says_who_is_waited_for_and_until_when(cli: Cli) -> None:
    project = made(cli, exports=["students"], assets=["dbt/orders"], deadline_minutes=6000)
    (row,) = due.find(project.ledger, "due", export="grades")
    assert row.noted_at is not None
    since = row.noted_at if row.noted_at - row.tick > timedelta(minutes=10) else row.tick
    until = moment(since + timedelta(minutes=6000), "Europe/Berlin")
    (found,) = cli.json("due", "grades")["partitions"]
    assert found["waits_for"] == f"students {row.partition} and asset dbt/orders, until {until}"
    assert f"waits for students {row.partition}" in " ".join(cli("due", "grades").stdout.split())
    project.run(project.request("students", row.partition, run_id="0" * 32))
    (found,) = cli.json("due", "grades")["partitions"]
    assert found["waits_for"] == f"asset dbt/orders, until {until}"


def test_due_says_that_it_is_the_sensors_turn_where_all_is_there(cli: Cli) -> None:
    project = made(cli, exports=["students"])
    (row,) = due.find(project.ledger, "due", export="grades")
    project.run(project.request("students", row.partition, run_id="0" * 32))
    (found,) = cli.json("due", "grades")["partitions"]
    assert found["waits_for"].startswith("the sensor catch_up")


def test_show_says_what_comes_first(cli: Cli) -> None:
    made(cli, exports=["students"], assets=["dbt/orders"], deadline_minutes=1, otherwise="run")
    text = " ".join(cli("show", "grades").stdout.split())
    assert "After students and asset dbt/orders; waits 1 minute at most, then it runs all the same" in text
    assert cli.json("show", "grades")["spec"]["after"]["otherwise"] == "run"
    assert "After" not in cli("show", "students").stdout
