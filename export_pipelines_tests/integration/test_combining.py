"""`combine` on the command line and in the ledger: one artifact from many partitions."""

from __future__ import annotations

import csv
import io
import signal
import subprocess
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from export_pipelines.errors import LeaseHeldError, OnEmptySkip
from export_pipelines.export import publish
from export_pipelines.ledger import artifacts, due, leases, runs, tables
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.ledger.due import Asked
from export_pipelines.monitoring.missing import missing
from export_pipelines.notify import events, incidents
from export_pipelines.notify.deadlines import punctuality
from export_pipelines.notify.dispatch import dispatch
from export_pipelines.notify.events import Sighting
from export_pipelines.opening import open_export
from export_pipelines.project import Project
from export_pipelines.rebuild import rebuild
from export_pipelines.retention.passes import Order, Pass
from export_pipelines.retention.prune import prune
from export_pipelines.retention.restore import restore
from export_pipelines.verify import verify
from export_pipelines_tests.combinations import MONTHLY, days_in, fill
from export_pipelines_tests.integration.cli_project import Cli
from export_pipelines_tests.projects import environment, project, published_files, write_project

WINDOW = "select :partition as key, :window_start as begins, :window_end as ends"
BERLIN = {"schedule": {"cron": "0 6 * * *", "timezone": "Europe/Berlin"}}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path)
    made.use({"days": MONTHLY})
    fill(tmp_path)
    return made


def days(document: dict[str, Any]) -> list[str]:
    return days_in(document["files"])


def test_a_range_is_one_artifact_per_month(cli: Cli) -> None:
    document = cli.json("run", "days", "--from", "2026-01-30", "--to", "2026-03-01")
    assert (document["published"], document["failed"], document["not_run"]) == (3, 0, [])
    found = [entry["artifact"] for entry in document["results"]]
    assert [(one["partition"], one["last_partition"], one["rows"]) for one in found] == [
        ("2026-01-30", "2026-01-31", 2),
        ("2026-02-01", "2026-02-28", 28),
        ("2026-03-01", None, 1),  # the only day of March is an ordinary artifact
    ]
    assert days(found[0]) == ["2026-01-30", "2026-01-31"]
    assert (found[1]["window_start"], found[1]["window_end"]) == ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z")
    assert "/2026-02-01--2026-02-28/days/" in found[1]["directory"]
    text = cli("run", "days", "--from", "2026-04-01", "--to", "2026-05-31")
    assert "days 2026-04-01--2026-04-30, artifact " in text.stdout
    assert "2 artifacts: 2 published" in text.stderr
    assert cli.json("verify")["ok"]


def test_commands_know_what_covers_a_day(cli: Cli) -> None:
    (month,) = (e["artifact"] for e in cli.json("run", "days", "--partition", "2026-02-01--2026-02-28")["results"])
    for asked in ("2026-02-01", "2026-02-14", "2026-02-28", "2026-02-01--2026-02-28"):
        assert [a["artifact_id"] for a in cli.json("artifacts", "days", "--partition", asked)["artifacts"]] == [
            month["artifact_id"]
        ]
        assert cli.json("path", "days", "--partition", asked)["artifact_id"] == month["artifact_id"]
    cli("path", "days", "--partition", "2026-03-01", code=1)
    (day,) = (e["artifact"] for e in cli.json("run", "days", "--partition", "2026-02-14")["results"])
    assert day["last_partition"] is None
    newest = {key: cli.json("path", "days", "--partition", key)["artifact_id"] for key in ("2026-02-13", "2026-02-14")}
    assert newest == {"2026-02-13": month["artifact_id"], "2026-02-14": day["artifact_id"]}
    for command in (("artifacts",), ("artifacts", "--files"), ("history",), ("stats", "--slowest", "3")):
        assert "2026-02-01--2026-02-28" in cli(*command, COLUMNS="200").stdout
    assert "those of a month combined" in cli("show", "days").stdout
    assert cli.json("list")["exports"][0]["last_partition"] == "2026-02-28"
    assert "such as 2026-01-31" in cli("path", "days", "--partition", "2026-02-01--2026-02-31", code=1).stderr
    cli("pin", month["artifact_id"], "--why", "asked for")
    kept = cli.json("prune", "--dry-run")["keep"]
    assert {entry["last_partition"] for entry in kept} == {None, "2026-02-28"}
    assert "2026-02-01--2026-02-28" in cli("prune", "--dry-run", COLUMNS="200").stdout


def test_a_month_that_fails_does_not_stop_the_others(cli: Cli) -> None:
    cli.use({"days": {**MONTHLY, "max_rows": 30}})
    result = cli("run", "days", "--from", "2026-01-01", "--to", "2026-02-28", code=1)
    assert "Failed: 2026-01-01--2026-01-31" in result.stderr
    assert [a["partition"] for a in cli.json("artifacts")["artifacts"]] == ["2026-02-01"]
    assert "days 2026-01-01--2026-01-31" not in cli("status").stdout  # the last run was that of February
    assert [row["last_partition"] for row in cli.json("history")["runs"]] == ["2026-02-28", "2026-01-31"]


@pytest.mark.parametrize(
    ("combine", "partition", "first", "last", "expected"),
    [
        ("week", "daily", "2026-01-03", "2026-01-12", ["2026-01-03--2026-01-04", "2026-01-05--2026-01-11", "2026-01-12"]),
        ("quarter", "monthly", "2026-02-01", "2026-07-01", ["2026-02-01--2026-03-01", "2026-04-01--2026-06-01", "2026-07-01"]),
        ("month", "weekly", "2026-01-05", "2026-02-02", ["2026-01-05--2026-01-26", "2026-02-02"]),
        ("year", "monthly", "2026-01-01", "2026-08-01", ["2026-01-01--2026-08-01"]),
    ],
)  # fmt: skip
def test_every_period(tmp_path: Path, combine: str, partition: str, first: str, last: str, expected: list[str]) -> None:
    cli = Cli(tmp_path)
    cli.use({"days": {**MONTHLY, "combine": combine, "partition": partition}})
    fill(tmp_path)
    results = cli.json("run", "days", "--from", first, "--to", last)["results"]
    names = [
        entry["partition"] + (f"--{entry['last_partition']}" if entry["last_partition"] else "") for entry in results
    ]
    assert names == expected
    joined = [day for entry in results for day in days(entry["artifact"])]
    assert joined == sorted(set(joined))
    assert sum(entry["artifact"]["rows"] for entry in results) == len(joined)


def test_a_month_of_hours_across_a_change_of_the_clocks(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    hourly = {"datasets": {"w": {"sql": WINDOW}}, "combine": "month", "partition": "hourly", "start": "2026-01-01"}
    cli.use({"hours": {**hourly, **BERLIN}})
    (entry,) = cli.json("run", "hours", "--from", "2026-03-01-00:00", "--to", "2026-03-31-23:00")["results"]
    window = [datetime.fromisoformat(entry["artifact"][key]) for key in ("window_start", "window_end")]
    assert (window[1] - window[0]).total_seconds() / 3600 == 743
    assert "/2026-03-01-0000--2026-03-31-2300/" in entry["artifact"]["directory"]
    (row,) = csv.DictReader(io.StringIO(Path(entry["artifact"]["files"][0]["path"]).read_text()))
    assert row["key"] == "2026-03-01-00:00"
    assert datetime.fromisoformat(row["begins"]).replace(tzinfo=UTC) == window[0]
    autumn = ("--from", "2026-10-25-00:00", "--to", "2026-10-25-23:00")
    (entry,) = cli.json("run", "hours", *autumn)["results"]
    window = [datetime.fromisoformat(entry["artifact"][key]) for key in ("window_start", "window_end")]
    assert (window[1] - window[0]).total_seconds() / 3600 == 25
    for key in ("2026-10-25-02:00", "2026-10-25-02:00+0100", "2026-10-25-03:00"):
        found = cli.json("path", "hours", "--partition", key)["artifact_id"]
        assert found == entry["artifact"]["artifact_id"]


TICK = datetime(2026, 2, 1, 6, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A project whose days were combined from 5 to 31 January, in either ledger."""
    extra = {} if request.param == "sqlite" else {"EXPORT_LEDGER_URL": request.getfixturevalue("postgres_url")}
    entry = {**MONTHLY, "schedule": {**BERLIN["schedule"], "deadline_minutes": 30}, "on_empty": "skip"}
    made = Project.load(write_project(tmp_path, {"days": entry}, environ=environment(tmp_path, **extra)))
    made.specs.require_valid()
    fill(tmp_path)
    return made


def produce(made: Project, first: str, last: str | None = None, **options: Any) -> ArtifactRow:
    return made.run(made.request("days", first, last_partition=last, run_id=uuid.uuid4().hex, **options)).row


def current(made: Project, key: str) -> str:
    return artifacts.find(made.ledger, export="days", partition=key)[0].manifest.artifact_id


def test_what_is_covered_is_neither_missing_nor_late(made: Project) -> None:
    punctuality(made, made.specs.exports.values(), datetime(2026, 1, 5, tzinfo=UTC))
    keys = ["2026-01-04", "2026-01-05", "2026-01-20", "2026-01-31", "2026-02-01"]
    asked = [Asked(export="days", partition=key, schedule="s", tick=TICK) for key in keys]
    with made.ledger.write() as connection:
        due.note(connection, asked, TICK)
    now = TICK + timedelta(hours=2)
    assert [(one.number, one.oldest) for one in missing(made, now)] == [(5, "2026-01-04")]
    produce(made, "2026-01-05", "2026-01-31")
    assert [one.number for one in missing(made, now)] == [2]
    assert not punctuality(made, made.specs.exports.values(), datetime(2026, 2, 1, 12, tzinfo=UTC))[0].late
    assert punctuality(made, made.specs.exports.values(), datetime(2026, 2, 2, 12, tzinfo=UTC))[0].late
    due.settle(made.ledger)
    assert {row.partition: row.state for row in due.find(made.ledger, "due", "done")} == dict(
        zip(keys, ["due", "done", "done", "done", "due"], strict=True)
    )


def test_a_month_without_rows_is_skipped_day_by_day(made: Project) -> None:
    keys = ["2027-01-01", "2027-01-31", "2027-02-01"]
    with made.ledger.write() as connection:
        due.note(connection, [Asked(export="days", partition=key, schedule="s", tick=TICK) for key in keys], TICK)
    with pytest.raises(OnEmptySkip, match="partition 2027-01-01--2027-01-31"):
        produce(made, "2027-01-01", "2027-01-31")
    due.settle(made.ledger)
    assert [row.state for row in due.find(made.ledger, "due", "skipped")] == ["skipped", "skipped", "due"]
    (attempt,) = runs.recent(made.ledger)
    assert (attempt.state, attempt.span) == ("skipped", "2027-01-01--2027-01-31")


def test_a_day_that_is_restated_is_a_newer_version_of_that_day_only(made: Project) -> None:
    month = produce(made, "2026-01-01", "2026-01-31").manifest.artifact_id
    day = produce(made, "2026-01-10").manifest.artifact_id
    assert {key: current(made, key) for key in ("2026-01-01", "2026-01-09", "2026-01-10", "2026-01-11")} == {
        "2026-01-01": month,
        "2026-01-09": month,
        "2026-01-10": day,
        "2026-01-11": month,
    }
    again = produce(made, "2026-01-01", "2026-01-31").manifest.artifact_id
    assert current(made, "2026-01-10") == again
    assert verify(made.store("local"), made.ledger).problems == []


def test_a_combined_run_and_one_of_a_day_exclude_each_other(made: Project) -> None:
    request = made.request("days", "2026-01-01", last_partition="2026-01-31", run_id="a" * 32)
    services = replace(made.services("local"), lease_wait_seconds=0)
    source = made.source(request.export)
    with open_export(request, source, services) as opened:
        assert [(held.export, held.partition) for held in leases.held(made.ledger)] == [("days", leases.WHOLE)]
        for key in ("2026-01-10", "2026-06-01"):
            with pytest.raises(LeaseHeldError):
                open_export(made.request("days", key, run_id="b" * 32), source, services)
        publish(opened)
    with (
        open_export(made.request("days", "2026-01-10", run_id="c" * 32), source, services),
        pytest.raises(LeaseHeldError, match="export days is being published"),
    ):
        open_export(request, source, services)


def test_checks_compare_like_with_like(tmp_path: Path) -> None:
    datasets = {"days": {**MONTHLY["datasets"]["days"], "checks": {"rows": {"change_percent": 20}}}}
    made = project(tmp_path, {"days": {**MONTHLY, "datasets": datasets}})
    fill(tmp_path)
    produce(made, "2026-01-01")
    first = made.run(made.request("days", "2026-01-02", last_partition="2026-01-31", run_id="a" * 32))
    assert "nothing" not in first.checks[0].message
    assert "there is no good artifact" in first.checks[0].message
    second = made.run(made.request("days", "2026-02-01", last_partition="2026-02-28", run_id="b" * 32))
    assert second.checks[0].message == "rows 30 -> 28 (-6.7 %) from partition 2026-01-02--2026-01-31"
    third = made.run(made.request("days", "2026-03-01", run_id="c" * 32))
    assert third.checks[0].message == "rows 1 -> 1 (+0 %) from partition 2026-01-01"


def test_titles_and_flat_names_tell_both_ends(tmp_path: Path) -> None:
    formats = ["csv", {"type": "pdf", "title": "Days {partition}"}]
    made = project(tmp_path, {"days": {**MONTHLY, "formats": formats, "layout": "flat"}})
    fill(tmp_path)
    now = produce(made, "2026-01-01", "2026-01-31", shared_run=True).manifest
    assert all("_2026-01-01--2026-01-31_" in file.name for file in now.files)
    run_id = uuid.uuid4().hex  # one run, one second: only the partitions tell them apart
    for first, last in (("2026-02-01", "2026-02-28"), ("2026-03-01", None), ("2026-04-01", "2026-04-30")):
        made.run(made.request("days", first, last_partition=last, run_id=run_id, shared_run=True))
    assert len(artifacts.find(made.ledger, run_id=run_id)) == 3
    name = next(path for path in published_files(tmp_path) if path.endswith(".pdf") and "--2026-01-31" in path)
    assert "Days 2026-01-01 to 2026-01-31" in PdfReader(tmp_path / "out" / name).pages[0].extract_text()
    assert verify(made.store("local"), made.ledger).problems == []


def test_the_ledger_made_anew_knows_the_ranges(made: Project, tmp_path: Path) -> None:
    month = produce(made, "2026-01-01", "2026-01-31").manifest.artifact_id
    with made.ledger.write() as connection:
        connection.execute(tables.artifacts.delete())
    rebuild(made.store("local"), made.ledger)
    assert current(made, "2026-01-20") == month


@pytest.mark.parametrize(
    ("failed", "produced", "over"),
    [
        ("2026-03-01--2026-03-31", "2026-03-01--2026-03-31", True),
        ("2026-03-01--2026-03-31", "2026-03-15", False),
        ("2026-03-01--2026-03-31", "2026-04-01", True),
        ("2026-03-15", "2026-03-01--2026-03-31", True),
        ("2026-03-15", "2026-02-01--2026-02-28", False),
    ],
)
def test_an_incident_ends_when_its_last_partition_is_reached(
    tmp_path: Path, failed: str, produced: str, over: bool
) -> None:
    made = project(tmp_path, {"days": MONTHLY})
    now = datetime.now(UTC)
    for minute, (kind, partition) in enumerate((("failed", failed), ("succeeded", produced))):
        at = now + timedelta(minutes=minute)
        seen = Sighting(key=kind, kind=kind, happened_at=at, export="days", partition=partition)  # type: ignore[arg-type]
        events.record(made, [seen])
    dispatch(made, now + timedelta(minutes=5))
    assert bool(incidents.all_open(made.ledger)) is not over


POLICY = {"retention": {"keep_last": 2, "archive": {"store": "vault", "format": "zip"}, "max_delete_percent": 100}}


@pytest.mark.parametrize("layout", ["artifact", "flat"])
def test_retention_archives_and_restores_what_is_combined(tmp_path: Path, layout: str) -> None:
    stores = {"vault": {"type": "local", "root": str(tmp_path / "vault")}}
    made = project(tmp_path, {"days": {**MONTHLY, **POLICY, "layout": layout}}, stores=stores)
    fill(tmp_path)
    spans = [("2026-01-01", "2026-01-31"), ("2026-02-01", "2026-02-28"), ("2026-03-01", "2026-03-31")]
    ids = [produce(made, *span).manifest.artifact_id for span in spans]
    day = produce(made, "2026-03-15").manifest.artifact_id
    before = published_files(tmp_path)
    outcome = prune(Pass(made, Order(by="test", now=datetime.now(UTC))))
    assert outcome.errors == []
    assert {row.artifact_id: row.span for row in outcome.deleted} == {
        ids[0]: "2026-01-01--2026-01-31",
        ids[1]: "2026-02-01--2026-02-28",
    }
    assert {item.item.artifact_id for item in outcome.plan.keep} == {ids[2], day}  # the newest good one, and one more
    names = [path.name for path in (tmp_path / "vault").rglob("*.zip")]
    assert any("2026-01-01--2026-01-31" in name for name in names)
    restore(made, ids[0], by="test", now=datetime.now(UTC))
    back = {path: data for path, data in published_files(tmp_path).items() if path in before}
    assert {path for path in before if "2026-01-01--" in path} <= back.keys()
    assert all(before[path] == data for path, data in back.items())
    assert current(made, "2026-01-20") == ids[0]
    assert verify(made.store("local"), made.ledger).problems == []


@pytest.mark.parametrize("point", ["half_rows", "manifest_written", "moved"])
def test_what_a_killed_run_leaves_is_settled_by_the_next_one(tmp_path: Path, point: str) -> None:
    cli = Cli(tmp_path)
    cli.use({"days": MONTHLY})
    fill(tmp_path)
    command, environ = cli.program("run", "days", "--from", "2026-01-01", "--to", "2026-01-31")
    killed = subprocess.run(command, env={**environ, "EXPORT_CRASH_AT": f"{point}:KILL"}, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    staging = tmp_path / "out" / ".staging" / "days"
    assert point == "moved" or [path.name for path in staging.iterdir()] == ["_whole"]
    cli("run", "days", "--from", "2026-01-05", "--to", "2026-01-31")  # another range: the lease is the same
    assert not staging.exists()
    states = [(row["partition"], row["state"]) for row in cli.json("history")["runs"]]
    visible = point != "half_rows"
    assert states == [("2026-01-05", "published"), ("2026-01-01", "published" if visible else "died")]
    assert len(cli.json("artifacts")["artifacts"]) == 1 + visible
    assert cli.json("verify")["ok"]


def test_retention_sweeps_what_a_killed_run_left(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    cli.use({"days": {**MONTHLY, "retention": {"failed_after_hours": 0.000001}}})
    fill(tmp_path)
    command, environ = cli.program("run", "days", "--from", "2026-01-01", "--to", "2026-01-31")
    subprocess.run(command, env={**environ, "EXPORT_CRASH_AT": "file_closed:KILL"}, capture_output=True)
    cli("run", "days", "--partition", "2026-01-05")
    assert (tmp_path / "out" / ".staging" / "days" / "_whole").exists()
    assert cli.json("prune")["swept"] == ["local: days/_whole"]
    assert not (tmp_path / "out" / ".staging").exists()
