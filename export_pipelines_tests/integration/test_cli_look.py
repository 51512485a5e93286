"""The commands that look: list, show, schedules, artifacts, status, path."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from export_pipelines_tests.integration.cli_project import Cli

EVERY_DAY = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_list_shows_every_export_and_what_it_published_last(cli: Cli) -> None:
    before = {export["name"]: export for export in cli.json("list")["exports"]}
    assert before["students"]["last_partition"] is None
    assert before["students"]["formats"] == ["csv", "xlsx", "pdf"]
    assert before["grades"]["cron"] == ["30 5 * * 2-6", "0 9 * * 0,1"]
    assert before["large_postings"]["cron"] == "0 3 * * *"
    assert before["unit_headcount"]["rhythm"] == "every month on the last working day at 08:00"
    published = cli.json("run", "students")["results"][0]["partition"]
    earlier = "2026-02-03"
    cli("run", "students", "--partition", earlier)
    after = {export["name"]: export for export in cli.json("list")["exports"]}
    assert after["students"]["last_partition"] == published
    lines = cli("list").stdout.splitlines()
    assert lines[0].split() == ["Export", "Schedule", "Partition", "Formats", "Published", "Store", "Owner"]
    assert [line.split()[0] for line in lines[1:]] == sorted(before)
    (students,) = (line for line in lines if line.startswith("students "))
    assert students.split("  ")[-1] == "team:registrar"
    assert published in students


def test_lines_fit_the_terminal(cli: Cli) -> None:
    cli("run", "hotel_mappings_full")
    cli("run", "unit_headcount", "--limit", "3")
    looks = ("list", "status", "show trial_balance", "schedules", "artifacts", "stats", "preview org_chart", "--help")
    for arguments in looks:
        for columns in (80, 120):
            output = cli(*arguments.split(), COLUMNS=str(columns)).stdout
            too_long = [line for line in output.splitlines() if len(line) > columns and str(cli.root) not in line]
            assert not too_long, arguments
        assert "…" not in cli(*arguments.split()).stdout or arguments.startswith("preview")


def test_a_narrow_terminal_leaves_out_whole_columns_and_cuts_no_name(cli: Cli) -> None:
    names = {export["name"] for export in cli.json("list")["exports"]}
    lines = cli("list", COLUMNS="80").stdout.splitlines()
    assert "Owner" not in lines[0]
    assert {line.split()[0] for line in lines[1:]} == names


def test_show_says_everything_and_resolves_no_secret(cli: Cli) -> None:
    cli.use(
        {
            "report": {
                "source": "shop",
                "description": "What was sold",
                "schedule": "nightly",
                "datasets": {"sales": {"sql": "select * from orders join shop.items using (id)"}},
                "formats": ["csv", {"type": "json", "compression": "gzip"}],
                "path": "{year}/{export}/{run8}",
            }
        },
        connections={"shop": {"url": "postgresql://report:${env:SHOP_PASSWORD}@db/shop"}},
        schedules={"nightly": {"cron": "0 2 * * *", "timezone": "Europe/Berlin"}},
    )
    cli.environ["SHOP_PASSWORD"] = "hunter2-very-secret"
    text = cli("show", "report").stdout
    for expected in ("What was sold", "nightly: 0 2 * * *", "postgresql://report:${env:SHOP_PASSWORD}@db/shop"):
        assert expected in text
    for expected in ("items", "orders", "csv, json (compression gzip)", "{year}/{export}/{run8}", "select * from"):
        assert expected in text
    document = cli.json("show", "report")
    assert document["reads"] == {"sales": ["orders", "shop.items"]}
    assert document["spec"]["formats"][1]["compression"] == "gzip"
    assert document["path_example"].startswith(str(cli.root / "out" / "20"))
    assert document["last_artifact"] is None
    assert len(document["next"]) == 3
    assert "hunter2" not in text + cli("show", "report", "--json").output


def test_show_of_an_unknown_export_suggests_the_nearest(cli: Cli) -> None:
    result = cli("show", "studens", code=1)
    assert result.stderr == "Error: there is no export 'studens'. Did you mean 'students'?\n"
    assert result.stdout == ""
    error = cli.json("show", "studens", code=1)["error"]
    assert (error["type"], error["hint"]) == ("SpecError", "Did you mean 'students'?")


def test_schedules_tell_tick_partition_and_days_off(cli: Cli) -> None:
    cli.use(
        {
            "skipping": {"schedule": "office"},
            "running": {"schedule": "always"},
            "on_request": {},
            "monthly_one": {"partition": "monthly", "schedule": {"cron": "0 5 2 * *", "timezone": "Europe/Berlin"}},
        },
        calendars={"never": {"weekend": EVERY_DAY}},
        schedules={
            "office": {"cron": "0 6 * * *", "timezone": "Asia/Tokyo", "calendar": "never"},
            "always": {"cron": "0 6 * * *", "calendar": "never", "on_holiday": "run"},
        },
    )
    by_name = {entry["schedule"]: entry for entry in cli.json("schedules", "--next", "4")["schedules"]}
    assert sorted(by_name) == ["always", "monthly_one_schedule", "office"]
    for entry in by_name["office"]["next"]:
        assert entry["partition"] is None
        assert "no working day" in entry["skipped"]
        assert datetime.fromisoformat(entry["tick"]) == datetime.fromisoformat(entry["tick_local"])
        assert entry["tick_local"].endswith("T06:00:00+09:00")
        assert entry["tick"].endswith("T21:00:00Z")
    ran = by_name["always"]["next"]
    assert [entry["tick"] for entry in ran] == sorted({entry["tick"] for entry in ran})
    assert all(entry["partition"] < entry["tick"] and entry["day_off"] and not entry["skipped"] for entry in ran)
    assert len(ran) == 4
    human = cli("schedules", "office").stdout
    assert "06:00 JST" in human
    assert "skipped:" in human
    assert "runs all the same" in cli("schedules", "running").stdout
    assert "on request only" in cli("schedules", "on_request").stderr
    assert "Schedules: always" in cli("schedules", "offic", code=1).stderr


def test_artifacts_are_filtered_limited_and_say_where_files_are(cli: Cli) -> None:
    for partition in ("2026-02-03", "2026-02-04"):
        cli("run", "students", "--partition", partition)
    cli("run", "org_chart", "--partition", "2026-02-03", "--limit", "2")
    newest_first = [(a["export"], a["partition"]) for a in cli.json("artifacts")["artifacts"]]
    assert newest_first == [("org_chart", "2026-02-03"), ("students", "2026-02-04"), ("students", "2026-02-03")]
    assert len(cli.json("artifacts", "students", "--partition", "2026-02-03")["artifacts"]) == 1
    one = cli.json("artifacts", "--limit", "1")
    assert (len(one["artifacts"]), one["more"]) == (1, True)
    assert "--limit" in cli("artifacts", "--limit", "1").stderr
    for file in cli.json("artifacts", "students")["artifacts"][0]["files"]:
        assert Path(file["path"]).stat().st_size == file["bytes"]
    human = cli("artifacts").stdout
    assert "xlsx, json (limited)" in human
    files = cli("artifacts", "students", "--files").stdout
    assert "students.pdf" in files
    assert one["artifacts"][0]["directory"].startswith(str(cli.root / "out"))


def test_artifacts_of_an_export_that_left_the_specs_are_still_found(cli: Cli) -> None:
    cli("run", "students", "--partition", "2026-02-03")
    cli.use({"other": {}})
    assert "students" in cli("artifacts", "students").stdout
    assert cli("path", "students").stdout.strip().startswith(str(cli.root))
    assert "there is no export 'never_was'" in cli("artifacts", "never_was", code=1).stderr


def test_status_names_what_failed_last_and_is_fine_again_afterwards(cli: Cli) -> None:
    cli.use(
        {
            "grades": {
                "datasets": {"g": {"table": "grades", "window": "graded_at"}},
                "on_empty": "fail",
                "schedule": "daily",
            }
        }
    )
    assert "No scheduled export has run yet" in cli("status").stdout
    cli("run", "grades", "--partition", "2026-01-04", code=1)
    failed = cli("status", code=1)
    assert "Failed: grades 2026-01-04" in failed.stdout
    assert "  export grades, partition 2026-01-04: no rows\n" in failed.stdout
    document = cli.json("status", code=1)
    assert not document["ok"]
    assert document["failed"][0]["state"] == "failed"
    assert document["schedules"][0]["failed"] == ["grades"]
    assert document["schedules"][0]["last_run_at"] == document["failed"][0]["started_at"]
    (store,) = document["stores"]
    assert store["free_bytes"] > 0
    assert "free" in failed.stdout
    cli("run", "grades", "--partition", "2026-01-05")
    assert "No export failed last" in cli("status").stdout
    assert cli.json("status")["ok"]


def test_path_is_the_directory_of_the_newest_artifact_and_nothing_else(cli: Cli) -> None:
    nothing = cli("path", "students", "--partition", "2026-02-03", code=1)
    assert nothing.stdout == ""
    assert "exports run students --partition 2026-02-03" in nothing.stderr
    first = cli.json("run", "students", "--partition", "2026-02-03")["results"][0]["artifact"]
    second = cli.json("run", "students", "--partition", "2026-02-03", "--limit", "1")["results"][0]["artifact"]
    assert first["directory"] != second["directory"]
    found = cli("path", "students", "--partition", "2026-02-03")
    assert found.stdout == second["directory"] + "\n"
    assert (Path(found.stdout.strip()) / "students.csv").is_file()
    assert "--limit 1" in found.stderr
    assert cli.json("path", "students") == second


def test_the_flat_layout_has_its_files_in_the_root(cli: Cli) -> None:
    cli.use({"students": {"layout": "flat"}})
    cli("run", "students", "--partition", "2026-01-05")
    assert cli("path", "students").stdout == f"{cli.root / 'out'}\n"
    (file,) = cli.json("artifacts")["artifacts"][0]["files"]
    assert Path(file["path"]).is_file()


def test_looking_works_in_spite_of_broken_specs_and_warns(cli: Cli) -> None:
    cli.use({"students": {}})
    cli.break_specs()
    for arguments in ("list", "show students", "artifacts", "stats", "status", "schedules"):
        result = cli(*arguments.split())
        assert "Warning: 2 mistakes in" in result.stderr, arguments
        assert "Warning" not in result.stdout
    assert len(cli.json("list")["problems"]) == 2
    assert "unknown connection 'scool'" in cli("show", "one", code=1).stderr


def test_wrong_usage_exits_with_2(cli: Cli) -> None:
    assert "Did you mean 'list'?" in cli("lits", code=2).stderr
    assert "Missing argument 'NAME'" in cli("show", code=2).stderr
    cli("artifacts", "--limit", "0", code=2)
    assert cli("--version").stdout.startswith("exports ")
    assert cli("-h").stdout == cli("--help").stdout
    assert cli("list", "-h").stdout.startswith("Usage: exports list")


def test_a_ledger_that_cannot_be_reached_is_one_message_without_its_password(cli: Cli) -> None:
    cli.environ["EXPORT_LEDGER_URL"] = "postgresql://me:hunter2@127.0.0.1:1/ledger"
    result = cli("list", code=1)
    assert "EXPORT_LEDGER_URL" in result.stderr
    assert "Traceback" not in result.stderr
    assert "hunter2" not in result.output


def test_a_ledger_that_cannot_be_created_is_one_message(cli: Cli) -> None:
    (cli.root / "file").write_text("")
    cli.environ["EXPORT_STATE_PATH"] = str(cli.root / "file" / "state")
    assert cli("list", code=1).stderr.startswith(f"Error: creating the ledger {cli.root}/file/state/ledger.db: ")


def test_a_year_shows_moved_and_skipped_ticks_holidays_and_changes_of_the_clocks(cli: Cli) -> None:
    month = {"every": "month", "day": 1, "time": "02:30", "timezone": "Europe/Berlin", "calendar": "berlin"}
    cli.use(
        {
            "monthly_one": {"partition": "monthly", "schedule": {**month, "on_holiday": "next"}},
            "daily_one": {"schedule": {**month, "every": "working day", "day": None}},
        },
        calendars={"berlin": {"country": "DE", "subdivision": "BE", "extra_workdays": ["2027-01-09"]}},
    )
    document = cli.json("schedules", "--year", "2027")
    by_name = {entry["name"]: entry for entry in document["schedules"]}
    monthly = by_name["monthly_one_schedule"]
    assert document["year"] == 2027
    assert [entry["partition"] for entry in monthly["next"]] == [
        "2026-12-01",
        *(f"2027-{m:02}-01" for m in range(1, 12)),
    ]
    assert monthly["next"][0]["moved_from"] == "2027-01-01T01:30:00Z"
    assert monthly["next"][0]["tick_local"] == "2027-01-04T02:30:00+01:00"
    assert {"day": "2027-03-08", "name": "Women's Day"} in monthly["holidays"]
    assert monthly["clock_changes"][0] == {
        "at": "2027-03-28T01:00:00Z", "before": "2027-03-28 02:00", "after": "2027-03-28 03:00",
    }  # fmt: skip
    daily = by_name["daily_one_schedule"]["next"]
    assert "2027-01-09T02:30:00+01:00" in [entry["tick_local"] for entry in daily]
    assert {entry["skipped"] for entry in daily if entry["tick_local"].startswith("2027-01-01")} == {
        "2027-01-01 is no working day: New Year's Day"
    }
    human = cli("schedules", "monthly_one", "--year", "2027").stdout
    assert "Mon 04 02:30 CET" in human
    assert "moved from 2027-01-01 02:30 CET (New Year's Day)" in human
    assert "Clocks go from 2027-03-28 02:00 to 03:00" in human
    assert "Mon 08 Mar Women's Day" in human
    assert "12 ticks, 0 of them skipped and" in human


def test_conflicts_are_told_with_advice(cli: Cli) -> None:
    cli.use(
        {"night": {"schedule": "nightly"}, "other": {"schedule": "nightly"}, "calm": {"schedule": "calm"}},
        schedules={
            "nightly": {"cron": "30 2 * * *", "timezone": "Europe/Berlin"},
            "calm": {"cron": "0 12 * * *"},
            "spare": {"cron": "0 4 29 2 *"},
        },
    )
    found = cli.json("schedules", "--conflicts", EXPORT_CROWD="1")["conflicts"]
    assert [(entry["kind"], entry["schedules"]) for entry in found] == [
        ("crowd", ["nightly"]),
        ("clock", ["nightly"]),
        ("rare", ["spare"]),
        ("unused", ["spare"]),
    ]
    assert found[0]["exports"] == ["night", "other"]
    assert all(entry["message"] and entry["advice"] for entry in found)
    human = cli("schedules", "--conflicts").stdout
    assert "Changes of the clocks\nnightly: 02:30 in Europe/Berlin is" in human
    assert "spare: no export uses it\n  Name it in an export, or delete it" in human
    assert cli.json("schedules", "calm", "--conflicts")["conflicts"] == []
    assert [entry["kind"] for entry in cli.json("schedules", "night", "--conflicts")["conflicts"]] == ["clock"]
    assert "Nothing was found." in cli("schedules", "calm", "--conflicts").stderr
    assert "no schedule or export 'clam'" in cli("schedules", "clam", "--conflicts", code=1).stderr


def test_a_schedule_that_has_ended_is_shown_as_such(cli: Cli) -> None:
    cli.use({"old": {"schedule": {"cron": "0 4 * * *", "end": "2026-01-31"}}})
    assert cli.json("schedules")["schedules"][0]["next"] == []
    assert "no further tick" in cli("schedules").stdout
    assert "it has ended" in cli("status").stdout
    assert cli.json("show", "old")["next"] == []
