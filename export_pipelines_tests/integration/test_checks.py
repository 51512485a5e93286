"""Checks on real databases: measured while writing, judged before publishing, kept in manifest and ledger."""

from __future__ import annotations

import json
import re
import sqlite3
import uuid
from pathlib import Path
from typing import Any, get_args

import psycopg2
import pytest

from export_pipelines.checks.plan import planned_checks
from export_pipelines.export import publish
from export_pipelines.ledger import artifacts
from export_pipelines.opening import Artifact
from export_pipelines.project import Project
from export_pipelines.rebuild import rebuild
from export_pipelines.settings import Settings
from export_pipelines.spec.checks import CheckKind
from export_pipelines.spec.load import load_specs
from export_pipelines.storage.local import LocalStore
from export_pipelines.storage.manifest import CheckResult, Manifest
from export_pipelines_tests.integration.cli_project import Cli
from export_pipelines_tests.projects import project

DAY = "2026-01-05"
BALANCE = {"column": "balance", "sql": "select sum(balance) from students"}
TABLES = """
create table payments (id integer, party text, amount decimal(12,2), ratio double precision, paid timestamp);
insert into payments values (1, 'a', 0.10, 0.1, '2026-01-05 10:00:00'), (2, 'a', 0.20, 0.2, '2026-01-05 11:00:00'),
  (3, 'b', 1000000000.05, 0.3, '2026-01-06 10:00:00');
"""


def run(made: Project, name: str = "students", partition: str = DAY, **options: Any) -> Artifact:
    return made.run(made.request(name, partition, run_id=uuid.uuid4().hex, **options))


def students(root: Path, checks: dict[str, Any], *, batch_rows: int = 2, **entry: Any) -> Project:
    """An export of the table `students`, in small batches."""
    datasets = {"students": {"table": "students", "checks": checks}}
    connections = {"school": {"url": f"sqlite:///{root}/school.db", "batch_rows": batch_rows}}
    return project(root, {"students": {"datasets": datasets, **entry}}, connections=connections)


def only(artifact: Artifact) -> CheckResult:
    (result,) = artifact.checks
    return result


def execute(root: Path, statement: str) -> None:
    with sqlite3.connect(root / "school.db") as connection:
        connection.execute(statement)
    connection.close()


CASES: list[tuple[dict[str, Any], bool, str, dict[str, Any]]] = [
    ({"rows": {"min": 4, "max": 4}}, True, "4 rows", {"rows": 4, "min": 4, "max": 4}),
    ({"rows": {"min": 10}}, False, "4 rows, at least 10 expected", {"rows": 4, "min": 10}),
    ({"rows": {"max": 3}}, False, "4 rows, at most 3 expected", {"rows": 4, "max": 3}),
    ({"not_null": ["id", "name"]}, True, "no NULL in 4 rows", {"nulls": 0}),
    (
        {"not_null": ["id", "status", "seen_at", "active"]},
        False,
        "1 NULL in column 'status', 1 NULL in column 'seen_at', 1 NULL in column 'active' of 4 rows",
        {"nulls": 3},
    ),
    (
        {"not_null": ["email"]},
        False,
        "there is no column 'email'. The query returns: id, name, status, balance, born, seen_at, active",
        {},
    ),
    ({"unique": ["id"]}, True, "every id occurs once in 4 rows", {"duplicates": 0}),
    ({"unique": ["status"]}, False, "1 of 4 rows repeats the status of another row", {"duplicates": 1}),
    ({"unique": ["active"]}, False, "1 of 4 rows repeats the active of another row", {"duplicates": 1}),
    ({"unique": ["status", "active"]}, True, "every status, active occurs once in 4 rows", {"duplicates": 0}),
    (
        {"control_total": {**BALANCE, "sql": "select sum(balance) + 1 from students"}},
        False,
        "balance adds up to 1,000,012.45, the control query says 1,000,013.45: -1 off",
        {"sum": 1000012.45, "control_total": 1000013.45, "difference": -1.0},
    ),
    (
        {"control_total": {"column": "id", "sql": "select 9", "tolerance": 1}},
        True,
        "id adds up to 10, the control query says 9",
        {"sum": 10, "control_total": 9, "difference": 1},
    ),
    (
        {"control_total": {**BALANCE, "column": "name"}},
        False,
        "column 'name' is string, which does not add up. Name a column of numbers, or cast it in the SQL",
        {},
    ),
    (
        {"control_total": {**BALANCE, "sql": "select id from students"}},
        False,
        "the control query gives 4 rows of 1 column. It must give one row with one number",
        {},
    ),
    (
        {"control_total": {**BALANCE, "sql": "select 'much'"}},
        False,
        "the control query gives a string. It must give one row with one number",
        {},
    ),
]


@pytest.mark.parametrize(("checks", "passed", "message", "values"), CASES, ids=lambda case: str(case)[:60])
def test_each_check_says_what_it_found(
    tmp_path: Path, checks: dict[str, Any], passed: bool, message: str, values: dict[str, Any]
) -> None:
    made = students(tmp_path, checks)
    result = only(run(made))
    assert (result.passed, result.message) == (passed, message)
    assert result.values == pytest.approx(values)
    assert (result.dataset, result.blocking) == ("students", False)


def test_results_are_in_the_manifest_and_its_version_stays(tmp_path: Path) -> None:
    made = students(tmp_path, {"rows": {"min": 10}, "unique": ["id"], "blocking": ["rows"]})
    artifact = run(made)
    text = (tmp_path / "out" / artifact.row.manifest_path).read_text()
    document = json.loads(text)
    assert document["version"] == 1
    assert document["checks"][0] == {
        "name": "rows",
        "dataset": "students",
        "passed": False,
        "blocking": True,
        "message": "4 rows, at least 10 expected",
        "values": {"rows": 4, "min": 10},
    }
    assert [check["name"] for check in document["checks"]] == ["rows", "unique"]
    del document["checks"]
    assert Manifest.model_validate(document).checks == []


def test_with_several_datasets_each_has_its_own_results(tmp_path: Path) -> None:
    datasets = {
        "students": {"table": "students", "checks": {"unique": ["status"], "rows": {"min": 1}}},
        "plain": {"table": "students"},
        "grades": {"table": "grades", "checks": {"rows": {"min": 3}, "not_null": ["course"], "blocking": ["rows"]}},
    }
    made = project(tmp_path, {"both": {"datasets": datasets}})
    found = [(check.name, check.dataset, check.passed, check.blocking) for check in run(made, "both").checks]
    assert found == [
        ("students_rows", "students", True, False),
        ("students_unique", "students", False, False),
        ("grades_rows", "grades", False, True),
        ("grades_not_null", "grades", True, False),
    ]


def test_only_a_blocking_check_makes_an_artifact_bad_and_rebuild_knows(tmp_path: Path) -> None:
    made = students(tmp_path, {"rows": {"min": 5}, "unique": ["status"], "blocking": ["rows"]})
    bad = run(made)
    execute(tmp_path, "insert into students (id, name) values (5, 'Eve')")
    good = run(made)
    assert (bad.row.good, good.row.good) == (False, True)
    assert [check.passed for check in good.checks] == [True, False]
    before = {row.manifest.artifact_id: row.good for row in artifacts.find(made.ledger)}
    assert before == {bad.manifest.artifact_id: False, good.manifest.artifact_id: True}
    rebuild(made.store("local"), made.ledger)
    assert {row.manifest.artifact_id: row.good for row in artifacts.find(made.ledger)} == before


def test_a_run_with_a_row_limit_evaluates_no_check(tmp_path: Path) -> None:
    checks = {"rows": {"min": 10}, "control_total": {**BALANCE, "sql": "select nonsense"}, "blocking": ["rows"]}
    made = students(tmp_path, checks, reread=True)
    artifact = run(made, row_limit=2)
    assert (artifact.checks, artifact.manifest.checks) == ([], [])


def test_the_last_good_artifact_is_complete_good_and_of_the_latest_partition(tmp_path: Path) -> None:
    made = students(tmp_path, {"rows": {"min": 4, "max": 4}, "blocking": ["rows"]})
    assert artifacts.last_good(made.ledger, "students") is None
    run(made, partition="2026-01-03")
    newest = run(made, partition="2026-01-03")
    older = run(made, partition="2026-01-02")
    run(made, partition="2026-01-04", row_limit=4)
    execute(tmp_path, "delete from students where id = 4")
    assert not run(made, partition="2026-01-05").row.good
    found = artifacts.last_good(made.ledger, "students")
    assert found
    assert found.manifest.artifact_id == newest.manifest.artifact_id
    earlier = artifacts.last_good(made.ledger, "students", before=newest.manifest.window.start)
    assert earlier
    assert earlier.manifest.artifact_id == older.manifest.artifact_id
    assert artifacts.last_good(made.ledger, "students", before=older.manifest.window.start) is None
    assert artifacts.last_good(made.ledger, "others") is None


CHANGES = [
    ("2026-01-05", 4, True, "4 rows; there is no good artifact of an earlier partition to compare with"),
    ("2026-01-06", 6, True, "rows 4 -> 6 (+50 %) from partition 2026-01-05"),
    ("2026-01-07", 10, False, "rows 6 -> 10 (+66.7 %), more than 50 % from partition 2026-01-06"),
    ("2026-01-08", 3, True, "rows 6 -> 3 (-50 %) from partition 2026-01-06"),  # the bad one does not count
    ("2026-01-09", 1, False, "rows 3 -> 1 (-66.7 %), more than 50 % from partition 2026-01-08"),
    ("2026-01-09", 3, True, "rows 3 -> 3 (+0 %) from partition 2026-01-08"),  # again, after a repair
    ("2026-01-06", 4, True, "rows 4 -> 4 (+0 %) from partition 2026-01-05"),  # a backfill compares with its past
]


def test_rows_are_compared_with_the_last_good_earlier_partition(tmp_path: Path) -> None:
    made = students(tmp_path, {"rows": {"change_percent": 50}, "blocking": ["rows"]})
    for partition, rows, passed, message in CHANGES:
        execute(tmp_path, "delete from students")
        execute(
            tmp_path,
            f"insert into students (id) with recursive n(x) as (values (1) union all select x + 1 from n where x < {rows}) select x from n",
        )
        result = only(run(made, partition=partition))
        assert (result.passed, result.message) == (passed, message)


def test_from_no_rows_to_some_is_more_than_any_per_cent(tmp_path: Path) -> None:
    made = students(tmp_path, {"rows": {"change_percent": 1000}})
    execute(tmp_path, "delete from students")
    run(made, partition="2026-01-04")
    assert only(run(made)).message == "rows 0 -> 0 from partition 2026-01-04"
    execute(tmp_path, "insert into students (id) values (1)")
    result = only(run(made, partition="2026-01-06"))
    assert (result.passed, result.message) == (False, "rows 0 -> 1, more than 1000 % from partition 2026-01-05")


DRIFTS = [
    ("id, name, born", "fixed", True, "columns as in partition 2026-01-04"),
    ("id, name, born, status", "may_grow", True, "columns as in partition 2026-01-04, and 1 new one"),
    ("id, name, born, status", "fixed", False, "column 'status' is new, unlike partition 2026-01-04"),
    ("id, status, name, born", "may_grow", False, "new columns ('status') stand between the others, unlike"),
    ("id, born", "may_grow", False, "column 'name' is missing, unlike partition 2026-01-04"),
    ("name, id, born", "fixed", False, "the order of the columns changed, unlike partition 2026-01-04"),
    (
        "cast(id as text) as id, name, status",
        "may_grow",
        False,
        "column 'born' is missing; column 'id' is string, was int64, unlike partition 2026-01-04",
    ),
]


@pytest.mark.parametrize(("columns", "rule", "passed", "message"), DRIFTS)
def test_columns_are_compared_with_an_earlier_partition(
    tmp_path: Path, columns: str, rule: str, passed: bool, message: str
) -> None:
    def exported(sql_columns: str) -> Project:
        datasets = {"students": {"sql": f"select {sql_columns} from students", "checks": {"columns": rule}}}
        return project(tmp_path, {"students": {"datasets": datasets}})

    first = only(run(exported("id, name, born"), partition="2026-01-04"))
    assert (first.passed, first.values) == (True, {"columns": 3})
    result = only(run(exported(columns)))
    assert result.passed == passed
    assert result.message.startswith(message)
    assert result.values["earlier_partition"] == "2026-01-04"


# --- control totals -------------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "sqlite_sqlalchemy", "postgres", "postgres_sqlalchemy", "duckdb"])
def payments(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with the table `payments`, read through each of the sources."""
    kind: str = request.param
    if kind.startswith("postgres"):
        url: str = request.getfixturevalue("postgres_url")
        with psycopg2.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute(TABLES)
        connection.close()
        return url.replace("postgresql://", "postgresql+psycopg2://") if kind.endswith("alchemy") else url
    if kind == "duckdb":
        import duckdb

        with duckdb.connect(str(tmp_path / "pay.duckdb")) as duck:
            duck.execute(TABLES)
        return f"duckdb:///{tmp_path}/pay.duckdb"
    with sqlite3.connect(tmp_path / "pay.db") as lite:
        lite.executescript(TABLES)
    lite.close()
    return f"sqlite{'+pysqlite' * kind.endswith('alchemy')}:///{tmp_path}/pay.db"


def paying(root: Path, url: str, *, where: str = "", **totals: dict[str, Any]) -> Project:
    """An export whose datasets all read `payments`, each with a control total."""
    datasets = {
        name: {"sql": f"select * from payments {where} order by id", "checks": {"control_total": total}}
        for name, total in totals.items()
    }
    return project(root, {"pay": {"datasets": datasets}}, connections={"school": {"url": url, "batch_rows": 2}})


def test_control_totals_are_exact_in_every_database(tmp_path: Path, payments: str) -> None:
    decimals = {"column": "amount", "sql": "select sum(amount) from payments"}
    integers = {"column": "id", "sql": "select sum(id) from payments"}
    floats = {"column": "ratio", "sql": "select sum(ratio) from payments"}
    made = paying(tmp_path, payments, decimals=decimals, integers=integers, floats=floats)
    found = run(made, "pay").checks
    assert [(check.passed, check.values["sum"]) for check in found] == [
        (True, 1000000000.35),
        (True, 6),
        (True, pytest.approx(0.6)),
    ], found


def test_a_cent_is_a_difference_in_every_database(tmp_path: Path, payments: str) -> None:
    cent = {"column": "amount", "sql": "select sum(amount) + 0.01 from payments"}
    result = only(run(paying(tmp_path, payments, cent=cent), "pay"))
    assert not result.passed
    said = "amount adds up to 1,000,000,000.35, the control query says 1,000,000,000.36: -0.01 off"
    assert result.message == said
    assert result.values == {"sum": 1000000000.35, "control_total": 1000000000.36, "difference": -0.01}


def test_null_counts_as_0_and_parameters_are_bound(tmp_path: Path, payments: str) -> None:
    window = "where paid >= :window_start and paid < :window_end"
    total = {"column": "amount", "sql": f"select sum(amount) from payments {window}"}
    made = paying(tmp_path, payments, where=window, day=total)
    assert only(run(made, "pay")).values["sum"] == 0.3
    nothing = only(run(made, "pay", partition="2026-01-09"))
    assert (nothing.passed, nothing.values) == (True, {"sum": 0, "control_total": 0, "difference": 0})


def test_a_control_query_that_is_refused_fails_its_check_only(tmp_path: Path, payments: str) -> None:
    good = {"column": "amount", "sql": "select sum(amount) from payments"}
    wrong = {"column": "amount", "sql": "select sum(amount) from nowhere"}
    made = paying(tmp_path, payments, first=wrong, second=good, third=wrong)
    artifact = run(made, "pay")
    assert [check.passed for check in artifact.checks] == [False, True, False]
    assert "dataset 'control total of first': " in artifact.checks[0].message
    assert "nowhere" in artifact.checks[2].message
    assert artifact.manifest.rows == {"first": 3, "second": 3, "third": 3}
    assert len(artifacts.find(made.ledger)) == 1


def test_a_control_query_that_breaks_while_it_is_read_fails_its_check_only(tmp_path: Path, postgres_url: str) -> None:
    with psycopg2.connect(postgres_url) as connection, connection.cursor() as cursor:
        cursor.execute(TABLES)
    connection.close()
    broken = {"column": "id", "sql": "select sum(id / (id - 2)) from payments"}
    artifact = run(paying(tmp_path, postgres_url, broken=broken), "pay")
    assert not only(artifact).passed
    assert "division by zero" in only(artifact).message
    assert artifact.manifest.total_rows == 3


def test_a_writer_between_the_rows_and_the_total_changes_neither(tmp_path: Path, postgres_url: str) -> None:
    with psycopg2.connect(postgres_url) as connection, connection.cursor() as cursor:
        cursor.execute(TABLES)
    total = {"column": "amount", "sql": "select sum(amount) from payments"}
    made = paying(tmp_path, postgres_url, payments=total)
    seen: list[int] = []

    def write(rows: int) -> None:
        seen.append(rows)
        with connection, connection.cursor() as cursor:
            cursor.execute("insert into payments values (%s, 'late', 5, 0.5, '2026-01-05')", [100 + rows])

    with made.open(made.request("pay", DAY, run_id="r" * 16)) as opened:
        result = only(publish(opened, on_rows=write))
    assert seen == [2, 3]
    assert (result.passed, result.values["control_total"]) == (True, 1000000000.35)
    later = only(run(made, "pay"))
    connection.close()
    assert (later.passed, later.values["control_total"]) == (True, 1000000010.35)


# --- reread ---------------------------------------------------------------------------------------------------------


class RottingStore(LocalStore):
    """A disk that changes the last byte of a file after it was written."""

    def publish(self, staging: Any, placement: Any, files: Any, **options: Any) -> None:
        super().publish(staging, placement, files, **options)
        path = Path(self.uri(placement.path_of(files[0].name)))
        path.write_bytes(path.read_bytes()[:-1] + b"?")


def test_files_are_read_again(tmp_path: Path) -> None:
    made = students(tmp_path, {}, reread=True, formats=["csv", "jsonl"])
    artifact = run(made)
    result = only(artifact)
    assert (result.name, result.passed, result.blocking) == ("reread", True, True)
    assert (result.message, result.values) == (
        "2 files read again, as written",
        {"files": 2, "bytes": artifact.manifest.total_bytes},
    )
    assert artifact.manifest.checks == []


def test_a_file_that_differs_when_it_is_read_again_is_bad(tmp_path: Path) -> None:
    made = students(tmp_path, {}, reread=True)
    request = made.request("students", DAY, run_id="r" * 16)
    with made.open(request) as opened:
        rotting = RottingStore.from_spec("local", request.export.store, made.settings)
        opened.services = type(opened.services)(store=rotting, ledger=made.ledger)
        artifact = publish(opened)
    assert not only(artifact).passed
    assert "students.csv: sha256 " in only(artifact).message
    assert not artifact.row.good
    assert [row.good for row in artifacts.find(made.ledger)] == [False]
    assert artifacts.last_good(made.ledger, "students") is None


# --- the command ----------------------------------------------------------------------------------------------------


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


# --- the page -------------------------------------------------------------------------------------------------------


def test_the_entry_of_the_page_is_valid_and_names_every_check(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "checks.md").read_text()
    (entry,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "page.yaml").write_text("connections: {bank: {url: 'sqlite:///bank.db'}}\n" + entry)
    specs = load_specs(tmp_path, settings=Settings({}))
    assert specs.problems == []
    names = [check.name for check in planned_checks(specs.exports["payments"].spec)]
    assert names == re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)[:6] == [*get_args(CheckKind), "reread"]
