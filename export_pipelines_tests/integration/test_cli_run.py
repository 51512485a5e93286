"""The commands that produce: run and preview."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from export_pipelines.ledger import runs
from export_pipelines.ledger.ledger import Ledger
from export_pipelines_tests.integration.cli_project import Cli

GRADES = {"datasets": {"grades": {"table": "grades", "window": "graded_at"}}}
ENDLESS = "with recursive n(x) as (select 1 union all select x + 1 from n) select x, :partition as p from n"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_run_publishes_the_last_complete_partition_and_prints_the_files(cli: Cli) -> None:
    text = cli("run", "students").stdout.splitlines()
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
    artifact = cli.json("artifacts")["artifacts"][0]
    assert abs((datetime.fromisoformat(artifact["partition"]).date() - yesterday).days) <= 1
    assert text[0].startswith(f"students {artifact['partition']}, artifact {artifact['artifact_id'][:8]}, ")
    assert f"{artifact['rows']:,} rows, " in text[1]
    assert text[2] == artifact["directory"] + "/"
    assert [line.split()[-1] for line in text[4:]] == ["students.csv", "students.xlsx", "students.pdf"]
    for file in artifact["files"]:
        assert Path(file["path"]).stat().st_size == file["bytes"]


def test_run_as_json_is_one_document_with_the_artifact(cli: Cli) -> None:
    cli.use({"students": {"formats": ["csv", "jsonl"]}})
    document = cli.json("run", "students", "--partition", "2026-01-05", "--limit", "2")
    assert (document["published"], document["failed"], document["not_run"]) == (1, 0, [])
    artifact = document["results"][0]["artifact"]
    assert (artifact["rows"], artifact["row_limit"]) == (2, 2)
    assert (artifact["window_start"], artifact["window_end"]) == ("2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z")
    assert cli.json("artifacts")["artifacts"] == [artifact]


def test_a_range_continues_after_a_failure_and_reports_it(cli: Cli) -> None:
    cli.use({"grades": {**GRADES, "on_empty": "fail"}})
    result = cli("run", "grades", "--from", "2026-01-04", "--to", "2026-01-07", code=1)
    assert "3 failed" not in result.stderr
    assert "4 partitions: 2 published, 2 failed. Failed: 2026-01-04, 2026-01-07" in result.stderr
    assert result.stderr.count("no rows. Check that the data has arrived") == 2
    published = [artifact["partition"] for artifact in cli.json("artifacts")["artifacts"]]
    assert published == ["2026-01-06", "2026-01-05"]
    document = cli.json("run", "grades", "--from", "2026-01-04", "--to", "2026-01-05", code=1)
    assert [entry["state"] for entry in document["results"]] == ["failed", "published"]
    assert "no rows" in document["results"][0]["reason"]


def test_a_range_without_end_goes_to_the_last_complete_partition(cli: Cli) -> None:
    cli.use({"monthly": {"partition": "monthly", "start": "2026-01-01"}})
    newest = cli.json("run", "monthly")["results"][0]["partition"]
    keys = [entry["partition"] for entry in cli.json("run", "monthly", "--from", newest)["results"]]
    assert keys == [newest]


def test_a_skipped_partition_is_no_failure(cli: Cli) -> None:
    cli.use({"grades": {**GRADES, "on_empty": "skip"}})
    result = cli("run", "grades", "--partition", "2026-01-04")
    assert "nothing is published" in result.stderr
    document = cli.json("run", "grades", "--from", "2026-01-04", "--to", "2026-01-05")
    assert [entry["state"] for entry in document["results"]] == ["skipped", "published"]


def test_a_partition_that_has_not_ended_needs_a_word(cli: Cli) -> None:
    cli.use({"students": {}})
    today = datetime.now(UTC).date().isoformat()
    refused = cli("run", "students", "--partition", today, code=1)
    assert "--allow-incomplete" in refused.stderr
    assert f"partition {today} of export students ends at" in refused.stderr
    assert cli.json("artifacts")["artifacts"] == []
    cli("run", "students", "--from", "2026-01-05", "--to", today, code=1)
    assert cli.json("artifacts")["artifacts"] == []
    cli("run", "students", "--partition", today, "--allow-incomplete")
    assert cli.json("artifacts")["artifacts"][0]["partition"] == today


def test_partitions_that_cannot_be_meant_are_refused_with_advice(cli: Cli) -> None:
    cli.use({"students": {"start": "2026-01-05"}, "later": {"start": "2099-01-01"}})
    assert "such as 2026-01-31" in cli("run", "students", "--partition", "yesterday", code=1).stderr
    assert "such as 2026-01-31" in cli("artifacts", "students", "--partition", "2026-1-5", code=1).stderr
    before = cli("run", "students", "--partition", "2026-01-04", code=1).stderr
    assert "lies before the first one of export students, 2026-01-05" in before
    assert "earlier one first" in cli("run", "students", "--from", "2026-01-08", "--to", "2026-01-06", code=1).stderr
    assert "begins with partition 2099-01-01" in cli("run", "later", code=1).stderr
    assert "--to needs --from" in cli("run", "students", "--to", "2026-01-06", code=2).stderr
    assert "either" in cli("run", "students", "--partition", "2026-01-06", "--from", "2026-01-06", code=2).stderr


def test_broken_specs_are_all_named_and_nothing_runs(cli: Cli) -> None:
    cli.use({"students": {}})
    cli.break_specs()
    for command in ("run", "preview"):
        result = cli(command, "students", "--partition", "2026-01-05", code=1)
        assert "2 mistakes in" in result.stderr
        assert "unknown connection 'scool'" in result.stderr
        assert "unknown format 'xslx'" in result.stderr
        assert result.stdout == ""
    assert "xslx" in cli.json("run", "students", code=1)["error"]["message"]
    assert cli.json("artifacts")["artifacts"] == []


def test_an_unknown_name_gets_a_suggestion(cli: Cli) -> None:
    assert "Did you mean 'students'?" in cli("run", "studens", code=1).stderr
    assert "Did you mean 'students'?" in cli("preview", "studens", code=1).stderr


def test_a_missing_demo_database_says_how_to_make_it(cli: Cli) -> None:
    (cli.root / "demo.db").unlink()
    for command in ("run", "preview"):
        result = cli(command, "students", code=1)
        assert str(cli.root / "demo.db") in result.stderr
        assert "exports demo" in result.stderr
    assert not (cli.root / "demo.db").exists()


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGINT, 130, "Stopped by Ctrl-C"), (signal.SIGTERM, 143, "Stopped by SIGTERM")],
)
def test_a_stopped_run_publishes_nothing_and_leaves_nothing(cli: Cli, number: int, code: int, words: str) -> None:
    cli.use(
        {"endless": {"datasets": {"n": {"sql": ENDLESS, "types": {"x": "int64", "p": "string"}}}, "max_rows": 10**12}}
    )
    arguments = ("run", "endless", "--from", "2026-01-05", "--to", "2026-01-06", "--json")
    command, environ = cli.program(*arguments)
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not any(file.stat().st_size for file in cli.root.glob("out/.staging/**/*.csv")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == code, stderr
    assert stderr == f"{words}: nothing of partition 2026-01-05 was published\n"
    document = json.loads(stdout)
    assert document["not_run"] == ["2026-01-05", "2026-01-06"]
    assert [path for path in (cli.root / "out").rglob("*") if path.is_file()] == []
    assert cli.json("artifacts")["artifacts"] == []
    (attempt,) = runs.recent(Ledger(f"sqlite:///{cli.root / 'state' / 'ledger.db'}"))
    assert (attempt.state, attempt.error) == ("failed", words)


def test_preview_shows_the_first_rows_and_publishes_nothing(cli: Cli) -> None:
    document = cli.json("preview", "org_chart", "--rows", "3")
    assert [dataset["name"] for dataset in document["datasets"]] == ["units", "persons", "assignments"]
    for dataset in document["datasets"]:
        assert len(dataset["rows"]) == 3
        assert all(len(row) == len(dataset["columns"]) for row in dataset["rows"])
    assert document["window_start"] < document["window_end"]
    text = cli("preview", "org_chart", "--rows", "3").stdout
    assert "Lincoln Group" in text
    assert not (cli.root / "out").exists()
    assert cli.json("artifacts")["artifacts"] == []
    assert cli.json("status")["running"] == []


def test_preview_shows_values_as_they_are(cli: Cli) -> None:
    cli.use({"students": {}})
    columns = [column["name"] for column in cli.json("preview", "students")["datasets"][0]["columns"]]
    rows = [
        dict(zip(columns, row, strict=True))
        for row in cli.json("preview", "students", "--partition", "2026-01-05")["datasets"][0]["rows"]
    ]
    assert len(rows) == 4
    assert rows[0]["name"] == "Ann O'Neil"
    assert (rows[0]["balance"], rows[0]["born"], rows[0]["active"]) == ("12.50", "2001-02-03", True)
    assert rows[0]["seen_at"] == "2026-01-05T10:00:00Z"
    assert rows[3]["status"] is None
    assert cli.json("preview", "students", "--rows", "0")["datasets"][0]["rows"] == []
    assert "no rows" in cli("preview", "students", "--rows", "0").stdout


def test_preview_writes_control_characters_out_and_turns_wide_tables(cli: Cli) -> None:
    sql = "select 'a' || char(27) || '[2J' || char(10) || 'b' as evil, " + ", ".join(
        f"{n} as column_{n}" for n in range(30)
    )
    cli.use({"wide": {"datasets": {"wide": {"sql": sql}}}})
    text = cli("preview", "wide", COLUMNS="80").stdout
    assert r"a\x1b[2J\nb" in text
    assert "\x1b" not in text
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line.startswith("column_29 ")]


def test_preview_of_a_running_day_is_allowed(cli: Cli) -> None:
    cli.use({"grades": GRADES})
    today = datetime.now(UTC).date().isoformat()
    assert cli.json("preview", "grades", "--partition", today)["partition"] == today
