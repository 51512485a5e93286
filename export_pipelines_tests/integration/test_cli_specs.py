"""The commands around specs: check, new, schema, demo."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import jsonschema
import pytest
import yaml

from export_pipelines_tests.integration.cli_project import SHIPPED_SPECS, Cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_check_of_good_specs_is_one_sentence(cli: Cli) -> None:
    result = cli("check")
    assert result.stdout.endswith("no mistakes.\n")
    assert result.stdout.count("\n") == 1
    document = cli.json("check")
    assert (document["ok"], document["problems"]) == (True, [])
    assert document["exports"] == len(cli.json("list")["exports"])


def test_check_names_every_mistake_with_file_and_line(cli: Cli) -> None:
    cli.use({"students": {}})
    cli.break_specs()
    result = cli("check", code=1)
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("broken.yaml:3 exports.one.source: unknown connection 'scool'")
    assert "exports.two.formats[1]: unknown format 'xslx'" in lines[1]
    assert "2 mistakes" in result.stderr
    document = cli.json("check", code=1)
    first = document["problems"][0]
    assert (first["file"], first["line"], first["path"], first["export"]) == (
        "broken.yaml",
        3,
        "exports.one.source",
        "one",
    )
    assert (document["ok"], document["exports"]) == (False, 1)


def test_specs_option_wins_over_the_environment(cli: Cli, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert "does not exist" in cli("--specs", str(other), "check", code=1).stdout
    other.mkdir()
    assert cli.json("--specs", str(other), "list")["exports"] == []
    assert "exports new NAME" in cli("--specs", str(other), "list").stderr


def test_new_writes_a_valid_entry_and_never_overwrites(cli: Cli, tmp_path: Path) -> None:
    specs = tmp_path / "mine"
    cli.environ["EXPORT_SPECS"] = str(specs)
    result = cli("new", "students")
    assert f"Wrote {specs / 'students.yaml'}" in result.stdout
    for step in ("exports check", "exports preview students", "exports run students"):
        assert step in result.stdout
    cli("check")
    assert cli.json("preview", "students", "--rows", "1")["datasets"][0]["rows"]
    before = (specs / "students.yaml").read_text()
    assert "there is an export 'students' already" in cli("new", "students", code=1).stderr
    (specs / "grades.yaml").write_text("# mine\n")
    assert "is not overwritten" in cli("new", "grades", code=1).stderr
    assert (specs / "grades.yaml").read_text() == "# mine\n"
    assert (specs / "students.yaml").read_text() == before


def test_new_takes_connection_and_table_and_hides_passwords(cli: Cli, tmp_path: Path) -> None:
    cli.environ["EXPORT_SPECS"] = str(tmp_path / "mine")
    url = "postgresql://report:hunter2@db/shop"
    document = cli.json("new", "orders", "--source", "shop", "--url", url, "--table", "sales.orders")
    text = Path(document["file"]).read_text()
    assert "hunter2" not in text
    entry = yaml.safe_load(text)
    assert entry["connections"]["shop"]["url"] == "postgresql://report:${env:SHOP_PASSWORD}@db/shop"
    assert entry["exports"]["orders"]["datasets"]["orders"]["table"] == "sales.orders"
    assert cli.json("check")["ok"]
    cli("new", "refunds", "--source", "shop")
    assert cli.json("show", "refunds")["spec"]["source"] == "shop"
    assert "Known: shop" in cli("new", "more", "--source", "shpo", code=1).stderr
    assert "is defined already" in cli("new", "more", "--source", "shop", "--url", url, code=1).stderr
    cli("new", "hotels", "--source", "inn", "--url", "sqlite:///inn.db")
    assert "--source: shop, inn" in cli("new", "more", code=1).stderr.replace("inn, shop", "shop, inn")
    assert "more.yaml" not in [path.name for path in (tmp_path / "mine").iterdir()]


@pytest.mark.parametrize("name", ["Students", "../students", "a-b", "1st", "con"])
def test_new_refuses_names_that_cannot_be(cli: Cli, tmp_path: Path, name: str) -> None:
    cli.environ["EXPORT_SPECS"] = str(tmp_path / "mine")
    assert f"{name!r} cannot be the name of an export" in cli("new", name, code=1).stderr
    assert not (tmp_path / "mine").exists()


def test_schema_accepts_the_shipped_specs_and_refuses_mistakes(cli: Cli) -> None:
    schema = cli.json("schema")
    assert json.loads(cli("schema").stdout) == schema
    validator = jsonschema.Draft202012Validator(schema)
    for path in SHIPPED_SPECS.glob("*.yaml"):
        document = json.loads(json.dumps(yaml.safe_load(path.read_text()), default=str))
        assert list(validator.iter_errors(document)) == [], path
    assert list(validator.iter_errors({"exports": {"x": {"source": "demo"}}}))


def test_demo_builds_the_database_and_shows_its_tables(cli: Cli) -> None:
    database = cli.root / "demo.db"
    database.unlink()
    document = cli.json("demo", "--scale", "2")
    assert document["database"] == str(database)
    assert document["bytes"] == database.stat().st_size
    with closing(sqlite3.connect(database)) as connection:
        for entry in document["tables"]:
            (count,) = connection.execute(f"select count(*) from {entry['table']}").fetchone()
            assert count == entry["rows"]
    students = next(entry["rows"] for entry in document["tables"] if entry["table"] == "students")
    assert f"{students:,}" in cli("demo", "--scale", "2").stdout
    assert cli.json("demo")["tables"] != document["tables"]
    assert document["materialized"] is None


def test_demo_materializes_every_export_through_dagster(cli: Cli, tmp_path: Path) -> None:
    refused = cli("demo", "--materialize", code=1, DAGSTER_HOME="")
    assert "DAGSTER_HOME" in refused.stderr
    home = tmp_path / "dagster"
    home.mkdir()
    document = cli.json("demo", "--materialize", DAGSTER_HOME=str(home))
    states = {entry["export"]: entry["state"] for entry in document["materialized"]}
    assert set(states) == {export["name"] for export in cli.json("list")["exports"]}
    assert set(states.values()) <= {"published", "skipped"}
    made = {artifact["export"]: artifact for artifact in cli.json("artifacts", "--limit", "100")["artifacts"]}
    for entry in document["materialized"]:
        if entry["state"] == "published":
            assert made[entry["export"]]["directory"] == entry["directory"]
            assert made[entry["export"]]["run_id"] == entry["run_id"]
