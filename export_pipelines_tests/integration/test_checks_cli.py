"""Checks in `exports run`, `artifacts` and `show`, and the page about them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from export_pipelines.checks.plan import planned_checks
from export_pipelines.settings import Settings
from export_pipelines.spec.checks import CheckKind
from export_pipelines.spec.load import load_specs
from export_pipelines_tests.integration.checked import DAY
from export_pipelines_tests.integration.cli_project import Cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def checked(cli: Cli, checks: dict[str, Any]) -> None:
    cli.use({"students": {"datasets": {"students": {"table": "students", "checks": checks}}}})


def test_run_prints_failed_checks_and_exits_with_1_for_a_blocking_one(cli: Cli) -> None:
    checked(cli, {"rows": {"min": 10}, "unique": ["status"], "blocking": ["rows"]})
    result = cli("run", "students", "--partition", DAY, code=1)
    assert "Blocking check rows failed: 4 rows, at least 10 expected\n" in result.stderr
    assert "Check unique failed: 1 of 4 rows repeats the status of another row\n" in result.stderr
    document = cli.json("run", "students", "--from", DAY, "--to", "2026-01-06", code=1)
    assert (document["published"], document["failed"]) == (2, 0)
    assert [(entry["state"], entry["artifact"]["good"]) for entry in document["results"]] == [("published", False)] * 2
    assert [check["passed"] for check in document["results"][0]["checks"]] == [False, False]
    assert cli.json("artifacts")["artifacts"][0]["checks"] == document["results"][1]["checks"]
    several = cli("run", "students", "--from", DAY, "--to", "2026-01-06", code=1)
    assert f"2 partitions: 2 published. Blocking checks failed: {DAY}, 2026-01-06" in several.stderr


def test_a_check_that_does_not_block_leaves_the_exit_code(cli: Cli) -> None:
    checked(cli, {"unique": ["status"]})
    assert "Check unique failed" in cli("run", "students", "--partition", DAY).stderr
    checked(cli, {"unique": ["id"]})
    assert cli("run", "students", "--partition", DAY).stderr == ""


def test_run_with_a_limit_says_that_checks_were_not_evaluated(cli: Cli) -> None:
    checked(cli, {"rows": {"min": 10}, "blocking": ["rows"]})
    result = cli("run", "students", "--partition", DAY, "--limit", "2")
    assert result.stderr == "Its checks were not evaluated, because of --limit\n"
    checked(cli, {})
    assert cli("run", "students", "--partition", DAY, "--limit", "2").stderr == ""


def test_failed_checks_are_seen_where_artifacts_are(cli: Cli) -> None:
    checked(cli, {"rows": {"min": 10}, "blocking": ["rows"]})
    cli("run", "students", "--partition", DAY, code=1)
    assert cli("artifacts").stdout.splitlines()[1].split()[-2:] == ["bad", "csv"]
    assert "Blocking check rows failed: 4 rows, at least 10 expected" in cli("artifacts", "--files").stdout
    found = cli("path", "students")
    assert found.stderr == "Warning: a blocking check failed, see: exports artifacts --files students\n"
    assert Path(found.stdout.strip()).is_dir()
    checked(cli, {"unique": ["status"]})
    cli("run", "students", "--partition", DAY)
    assert cli("artifacts").stdout.splitlines()[1].split()[-2:] == ["warning", "csv"]
    assert cli("path", "students").stderr == ""


def test_show_lists_the_checks(cli: Cli) -> None:
    checked(cli, {"rows": {"min": 10}, "not_null": ["id"], "blocking": ["rows"]})
    text = cli("show", "students").stdout
    assert "rows      At least 10 rows (blocking)" in text
    assert "not_null  No NULL in id" in text
    assert [check["name"] for check in cli.json("show", "students")["checks"]] == ["rows", "not_null"]


def test_the_entry_of_the_page_is_valid_and_names_every_check(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "checks.md").read_text()
    (entry,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "page.yaml").write_text("connections: {bank: {url: 'sqlite:///bank.db'}}\n" + entry)
    specs = load_specs(tmp_path, settings=Settings({}))
    assert specs.problems == []
    names = [check.name for check in planned_checks(specs.exports["payments"].spec)]
    assert names == re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)[:6] == [*get_args(CheckKind), "reread"]
