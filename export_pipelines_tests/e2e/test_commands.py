"""Dagster's own commands work on the project: `dagster asset materialize`, `dg list`, `dg check`, `dg launch`."""

import json
import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

from export_pipelines.ledger import artifacts
from export_pipelines.project import Project
from export_pipelines.settings import Settings
from export_pipelines_tests.projects import environment, write_project

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))
DAY = "2026-01-05"


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_bytes((REPOSITORY / "dagster.yaml").read_bytes())
    found = environment(tmp_path, DAGSTER_HOME=str(home))
    write_project(tmp_path, {"students": {"schedule": "daily"}}, environ=found)
    return found


def command(variables: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [str(SCRIPTS / words[0]), *words[1:]],
        env=os.environ | variables,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def published(variables: dict[str, str]) -> list[str]:
    made = Project.load(Settings(variables))
    return [row.manifest.partition for row in artifacts.find(made.ledger, export="students")]


def test_dagster_asset_materialize(variables: dict[str, str]) -> None:
    module = ("-m", "export_pipelines.definitions")
    command(variables, "dagster", "asset", "materialize", *module, "--select", "exports/students", "--partition", DAY)
    assert published(variables) == [DAY]


def test_dg_lists_checks_and_launches(variables: dict[str, str]) -> None:
    listed = json.loads(command(variables, "dg", "list", "defs", "--json"))
    assert "exports/students" in {asset["asset_key"] for asset in listed["assets"]}
    assert [schedule["name"] for schedule in listed["schedules"]] == ["daily", "retention", "verify"]
    command(variables, "dg", "check", "defs")
    command(variables, "dg", "launch", "--assets", "key:exports/students", "--partition", DAY)
    assert published(variables) == [DAY]
