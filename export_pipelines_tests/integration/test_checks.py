"""Checks on real databases: measured while writing, judged before publishing, kept in manifest and ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from export_pipelines.export import publish
from export_pipelines.ledger import artifacts
from export_pipelines.project import Project
from export_pipelines.rebuild import rebuild
from export_pipelines.storage.local import LocalStore
from export_pipelines.storage.manifest import Manifest
from export_pipelines_tests.integration.checked import BALANCE, DAY, execute, only, run, students
from export_pipelines_tests.projects import project

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
