"""`exports ledger vacuum`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from export_pipelines.ledger import runs
from export_pipelines.ledger.ledger import Ledger
from export_pipelines_tests.integration.cli_project import Cli

LONG_AGO = datetime.now(UTC) - timedelta(days=500)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path)
    made.use({"students": {}})
    ledger = Ledger(f"sqlite:///{tmp_path}/state/ledger.db")
    for days in (0, 1, 200):
        began = LONG_AGO + timedelta(days=days)
        number = runs.start(ledger, run_id=f"r{days}", export="students", partition="2026-01-05", now=began)
        runs.finish(ledger, number, "failed", finished_at=began + timedelta(minutes=1))
    ledger.close()
    return made


def attempts(cli: Cli) -> int:
    return len(cli.json("history")["runs"])


def test_old_history_is_deleted_once(cli: Cli) -> None:
    announced = cli.json("ledger", "vacuum", "--dry-run")
    assert (announced["days"], announced["dry_run"], announced["attempts"]) == (400, True, 2)
    assert attempts(cli) == 3
    assert cli("ledger", "vacuum", "--dry-run").stdout.startswith("Would delete from before ")
    done = cli("ledger", "vacuum").stdout
    assert done.startswith("Deleted from before ")
    assert done.endswith(": 2 attempts\n")
    assert attempts(cli) == 1
    assert cli("ledger", "vacuum").stdout.endswith(": nothing\n")


def test_the_days_may_be_given_or_switched_off(cli: Cli) -> None:
    assert cli.json("ledger", "vacuum", "--days", "600")["attempts"] == 0
    off = cli.json("ledger", "vacuum", EXPORT_HISTORY_DAYS="off")
    assert (off["days"], off["before"], off["attempts"]) == (None, None, 0)
    assert "EXPORT_HISTORY_DAYS is off" in cli("ledger", "vacuum", EXPORT_HISTORY_DAYS="off").stdout
    assert attempts(cli) == 3
    assert cli.json("ledger", "vacuum", "--days", "31", EXPORT_HISTORY_DAYS="off")["attempts"] == 2


@pytest.mark.parametrize("days", ["0", "-5", "30"])
def test_too_few_days_delete_nothing(cli: Cli, days: str) -> None:
    assert "Keep 31 days at least" in cli("ledger", "vacuum", "--days", days, code=1).stderr
    assert "from 31 to" in cli("ledger", "vacuum", code=1, EXPORT_HISTORY_DAYS=days).stderr
    assert attempts(cli) == 3


def test_statistics_of_the_kept_time_stay_as_they_are(cli: Cli) -> None:
    cli("run", "students")
    before = figures(cli)
    assert cli.json("ledger", "vacuum")["attempts"] == 2
    assert figures(cli) == before
    assert 'exports_runs_total{export="students",status="failed"} 3.0' in before[2]


def figures(cli: Cli) -> list[Any]:
    """Statistics, report and counters. Trends compare with the equally long time before: twice 199 days are kept."""
    report = cli.json("report", "--days", "30")
    del report["since"], report["until"]
    counted = ("exports_runs", "exports_rows", "exports_bytes", "exports_last", "exports_success")
    samples = [line for line in cli("metrics").stdout.splitlines() if line.startswith(counted)]
    return [cli.json("stats", "--days", "199"), report, samples]
