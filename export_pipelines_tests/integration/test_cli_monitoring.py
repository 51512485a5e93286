"""The commands that watch: stats, history, health, report, metrics."""

from __future__ import annotations

import json
import re
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
from sqlalchemy import update

from export_pipelines.ledger import pulses, tables
from export_pipelines.ledger.ledger import Ledger
from export_pipelines_tests.integration.cli_project import Cli
from export_pipelines_tests.projects import EXPORT

GRADES = {"datasets": {"grades": {"table": "grades", "window": "graded_at"}}, "on_empty": "fail"}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path)
    made.use({"grades": GRADES, "students": {}})
    return made


def ledger(cli: Cli) -> Ledger:
    return Ledger(f"sqlite:///{cli.root}/state/ledger.db")


def alive(cli: Cli) -> None:
    pulses.put(ledger(cli), datetime.now(UTC), observer=None, queued_runs=2, running_runs=1)


def age(cli: Cli, export: str, days: float) -> None:
    """Pretend that everything of the export happened so many days earlier."""
    span = timedelta(days=days)
    with ledger(cli).write() as connection:
        for row in connection.execute(tables.runs.select().where(tables.runs.c.export == export)).all():
            earlier = {"started_at": row.started_at - span, "finished_at": row.finished_at - span}
            connection.execute(update(tables.runs).where(tables.runs.c.id == row.id).values(earlier))
        for made in connection.execute(tables.artifacts.select().where(tables.artifacts.c.export == export)).all():
            chosen = update(tables.artifacts).where(tables.artifacts.c.artifact_id == made.artifact_id)
            connection.execute(chosen.values(created_at=made.created_at - span))


def test_stats_sum_up_how_runs_ended_and_what_was_published(cli: Cli) -> None:
    assert "Nothing was produced" in cli("stats").stderr
    document = cli.json("run", "grades", "--from", "2026-01-04", "--to", "2026-01-06", code=1)
    made = [result["artifact"] for result in document["results"] if result["artifact"]]
    stats = cli.json("stats")
    (entry,) = stats["exports"]
    assert (entry["export"], entry["runs"], entry["succeeded"], entry["failures"]) == ("grades", 3, 2, 1)
    assert (entry["artifacts"], entry["partitions"], entry["success_rate"]) == (2, 2, 0.6667)
    assert entry["rows"] == sum(artifact["rows"] for artifact in made) == 2
    assert entry["bytes"] == sum(artifact["bytes"] for artifact in made)
    assert entry["oldest"] == made[0]["created_at"] < entry["newest"] == made[1]["created_at"]
    assert stats["days"] == 7
    assert {"export": "grades", **stats["total"]} == entry
    heading, line = cli("stats").stdout.splitlines()
    assert heading.split() == ["Export", "Runs", "Success", "Average", "Trend", "Rows/s", "Rows", "Size", "Newest"]
    assert line.split()[:4] == ["grades", "3", "66.6", "%"]


def test_stats_have_a_line_for_all_exports_and_look_back_as_far_as_they_are_told(cli: Cli) -> None:
    cli("run", "grades", "--partition", "2026-01-05")
    age(cli, "grades", 8)
    cli("run", "students", "--partition", "2026-01-05")
    assert [entry["export"] for entry in cli.json("stats")["exports"]] == ["students"]
    everything = cli.json("stats", "--all")
    assert [entry["export"] for entry in everything["exports"]] == ["grades", "students"]
    assert (everything["days"], everything["total"]["runs"], everything["total"]["rows"]) == (None, 2, 5)
    assert cli.json("stats", "--days", "9")["total"]["runs"] == 2
    assert cli("stats", "--all").stdout.splitlines()[-1].startswith("All exports")
    assert [entry["export"] for entry in cli.json("stats", "grades", "--all")["exports"]] == ["grades"]
    assert cli.json("stats", "grades")["exports"] == []
    assert "Did you mean 'grades'?" in cli("stats", "grdes", code=1).stderr


def test_stats_of_storage_show_what_there_is_and_what_still_fits(cli: Cli) -> None:
    assert "Nothing is published." in cli("stats", "--storage").stderr
    cli.use({"grades": GRADES, "students": {"formats": ["csv", "jsonl"]}})
    for name, day in (("students", 5), ("students", 6), ("grades", 5)):
        cli("run", name, "--partition", f"2026-01-{day:02}")
    files = [path for path in (cli.root / "out").rglob("*.*") if path.is_file() and path.name != "metadata.json"]
    found = cli.json("stats", "--storage")["storage"]
    octets = sum(path.stat().st_size for path in files)
    empty = {"archives": 0, "archive_bytes": 0}
    assert found["total"] == {"artifacts": 3, "files": 5, "bytes": octets, **empty}
    assert [(entry["export"], entry["format"], entry["files"]) for entry in found["exports"]] == [
        ("grades", "csv", 1),
        ("students", "csv", 2),
        ("students", "jsonl", 2),
    ]
    assert found["exports"][1]["oldest_window_start"] == "2026-01-05T00:00:00Z"
    assert found["exports"][1]["newest_window_start"] == "2026-01-06T00:00:00Z"
    (store,) = found["stores"]
    assert (store["store"], store["artifacts"], store["bytes"]) == ("local", 3, octets)
    assert 0 < store["free_bytes"] <= store["total_bytes"]
    lines = cli("stats", "--storage").stdout.splitlines()
    assert lines[0].split() == ["Export", "Format", "Artifacts", "Files", "Size", "Oldest", "Newest"]
    assert lines[2].split()[:4] == ["students", "csv", "2", "2"]
    assert lines[4].startswith("All together")
    assert lines[-2].split()[0] == "Store"
    assert lines[-1].split()[:2] == ["local", "3"]
    one = cli.json("stats", "grades", "--storage")["storage"]
    assert (one["total"]["artifacts"], one["total"]["files"]) == (1, 1)
    assert "about what is there now" in cli("stats", "--storage", "--all", code=2).stderr
    assert "about what is there now" in cli("stats", "--storage", "--days", "7", code=2).stderr


def test_a_disk_that_is_nearly_full_is_told_by_stats_status_and_health(cli: Cli) -> None:
    alive(cli)
    cli.environ["EXPORT_DISK_WARN_PERCENT"] = "100"
    warning = "The disk of store local is nearly full: "
    assert warning in cli("stats", "--storage").stderr
    assert warning in cli("status").stdout
    assert cli("health", code=1).stdout.startswith(warning)
    assert cli.json("stats", "--storage")["storage"]["warnings"] == cli.json("status")["warnings"]
    cli.environ["EXPORT_DISK_WARN_PERCENT"] = "0.001"
    assert cli.json("status")["warnings"] == []
    assert "nearly full" not in cli("status").output + cli("health").output


def test_stats_compare_with_the_time_before(cli: Cli) -> None:
    cli("run", "students", "--partition", "2026-01-05")
    with ledger(cli).write() as connection:
        now = datetime.now(UTC)
        first = {"started_at": now - timedelta(seconds=120), "finished_at": now - timedelta(seconds=20)}
        connection.execute(update(tables.runs).values(first))
    age(cli, "students", 8)
    cli("run", "students", "--partition", "2026-01-05")
    with ledger(cli).write() as connection:
        second = {"started_at": now - timedelta(seconds=112), "finished_at": now}
        newer = tables.runs.c.started_at > now - timedelta(days=1)
        connection.execute(update(tables.runs).where(newer).values(second))
    (entry,) = cli.json("stats")["exports"]
    assert entry["trend_percent"] == pytest.approx(12)
    assert "+12 %" in cli("stats").stdout
    slow = cli.json("stats", "--all", "--slowest", "1")["slowest"]
    assert [(run["export"], run["seconds"]) for run in slow] == [("students", pytest.approx(112))]
    assert "Slowest runs" in cli("stats", "--slowest", "5").stdout


def test_history_shows_attempts_and_why_they_failed(cli: Cli) -> None:
    assert "Nothing has run" in cli("history").stderr
    assert "Nothing has failed" in cli("history", "--failed").stderr
    cli("run", "grades", "--from", "2026-01-04", "--to", "2026-01-06", code=1)
    cli("run", "students", "--partition", "2026-01-05")
    runs = cli.json("history")["runs"]
    assert [run["partition"] for run in runs if run["export"] == "grades"] == ["2026-01-06", "2026-01-05", "2026-01-04"]
    assert {run["formats"] for run in runs} == {"csv"}
    published = [run for run in runs if run["state"] == "published"]
    assert all(run["export_id"] == run["artifact_id"] for run in published)
    (failed,) = cli.json("history", "--failed")["runs"]
    assert failed["error"].endswith(failed["hint"])
    line = next(line for line in cli("history", "grades").stdout.splitlines() if "failed" in line)
    assert line.endswith("export grades, partition 2026-01-04: no rows")
    one = cli.json("history", "--limit", "1")
    assert ([run["export"] for run in one["runs"]], one["more"]) == (["students"], True)
    assert "--limit 10" in cli("history", "--limit", "1").stderr


def test_health_exits_with_1_and_says_what_is_wrong(cli: Cli) -> None:
    never = cli("health", code=1)
    assert "The Dagster daemon has never been seen" in never.stdout
    alive(cli)
    assert cli("health").stdout.splitlines()[0] == "Everything works."
    cli("run", "students", "--partition", "2026-01-05")
    document = cli.json("health")
    assert (document["ok"], document["problems"], document["success_rate"], document["runs"]) == (True, [], 1, 1)
    assert (document["queued_runs"], document["running_runs"]) == (2, 1)
    assert document["last_run"]["export"] == "students"
    assert "1 run, 100 % succeeded" in cli("health").stdout
    cli.break_specs()
    assert "one is left out because of 1 mistake in the specs" in cli("health", code=1).stdout
    assert not cli.json("health", code=1)["ok"]


def test_a_ledger_that_is_down_is_told_by_health_and_metrics(cli: Cli) -> None:
    cli.environ["EXPORT_LEDGER_URL"] = "postgresql://me:hunter2@127.0.0.1:1/ledger"
    result = cli("health", code=1)
    assert result.stdout.startswith("The ledger cannot be reached")
    assert cli.json("health", code=1)["problems"]
    scraped = cli("metrics", code=1)
    assert scraped.stdout.splitlines()[-1] == "exports_healthy 0.0"
    assert "The ledger cannot be reached" in scraped.stderr
    assert "hunter2" not in result.output + scraped.output


def test_the_report_is_written_and_its_figures_are_those_of_the_ledger(cli: Cli) -> None:
    cli("run", "grades", "--from", "2026-01-04", "--to", "2026-01-06", code=1)
    page = cli.root / "report.html"
    assert cli("report", "--html", str(page)).stdout == f"Wrote {page}\n"
    html = page.read_text("utf-8")
    assert "66.6 %" in html
    assert "no rows" in html
    document = cli.json("report", "--days", "3", "--timezone", "Asia/Tokyo")
    assert (document["file"], document["timezone"], len(document["by_day"])) == (None, "Asia/Tokyo", 3)
    assert (document["total"]["runs"], document["total"]["failures"], document["total"]["rows"]) == (3, 1, 2)
    assert sum(day["failures"] for day in document["by_day"]) == 1
    assert [run["partition"] for run in document["failed"]] == ["2026-01-04"]
    assert "--html" in cli("report", code=2).stderr
    assert "did you mean 'Asia/Tokyo'" in cli("report", "--json", "--timezone", "Asia/Tokio", code=2).stderr
    assert "Check the path" in cli("report", "--html", str(cli.root / "no" / "where.html"), code=1).stderr


def test_metrics_are_printed_or_replace_a_file(cli: Cli) -> None:
    alive(cli)
    cli("run", "students", "--partition", "2026-01-05")
    printed = cli("metrics").stdout
    assert 'exports_runs_total{export="students",status="published"} 1.0' in printed
    samples = cli.json("metrics")["metrics"]
    (rows,) = [s for s in samples if s["name"] == "exports_rows_total" and s["labels"] == {"export": "students"}]
    assert rows["value"] == 4
    target = cli.root / "collected" / "exports.prom"
    target.parent.mkdir()
    target.write_text("old")
    target.chmod(0o600)
    assert cli("metrics", "--output", str(target)).stdout == f"Wrote {target}\n"
    changing = r".*(last_seen|longest_unread|store_free).*"
    assert re.sub(changing, "", target.read_text()) == re.sub(changing, "", printed)
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert list(target.parent.iterdir()) == [target]
    assert "Check the path" in cli("metrics", "--output", str(cli.root / "no" / "x.prom"), code=1).stderr


@contextmanager
def listening(cli: Cli) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`exports metrics --listen` as a process of its own, and its URL."""
    command, environ = cli.program("metrics", "--listen", "127.0.0.1:0", "--json")
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        answer = "".join(process.stdout.readline() for _ in range(3))
        yield process, json.loads(answer)["url"]
    finally:
        process.kill()
        process.communicate()


def test_metrics_are_served_as_they_are_at_each_request_until_sigterm(cli: Cli) -> None:
    alive(cli)
    with listening(cli) as (process, url):
        before = urlopen(url, timeout=30).read().decode()
        assert 'exports_runs_total{export="students",status="published"} 0.0' in before
        cli("run", "students", "--partition", "2026-01-05")
        cli.use({"students": {}, "added": EXPORT})
        after = urlopen(url, timeout=30).read().decode()
        assert 'exports_runs_total{export="students",status="published"} 1.0' in after
        assert 'exports_runs_total{export="added",status="published"} 0.0' in after
        busy = cli("metrics", "--listen", url.removeprefix("http://").removesuffix("/metrics"), code=1)
        assert "Choose another address or port" in busy.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize("address", ["9464", ":9464", "localhost:http", "localhost:70000"])
def test_an_address_that_is_none_is_wrong_usage(cli: Cli, address: str) -> None:
    assert "is not HOST:PORT" in cli("metrics", "--listen", address, code=2).stderr
    assert "exclude each other" in cli("metrics", "--listen", "localhost:1", "--output", "x", code=2).stderr


def test_lines_fit_a_narrow_terminal(cli: Cli) -> None:
    cli("run", "grades", "--from", "2026-01-04", "--to", "2026-01-06", code=1)
    cli("run", "students", "--partition", "2026-01-05")
    alive(cli)
    for arguments in ("stats --slowest 3", "stats --storage", "history"):
        for columns in (80, 120):
            lines = cli(*arguments.split(), COLUMNS=str(columns)).stdout.splitlines()
            assert max(map(len, lines)) <= columns, arguments
