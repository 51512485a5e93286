"""Control totals: a second query on the same state of the database, compared with the rows that were written."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from export_pipelines.export import publish
from export_pipelines.ledger import artifacts
from export_pipelines.project import Project
from export_pipelines_tests.integration.checked import DAY, only, run
from export_pipelines_tests.projects import project

TABLES = """
create table payments (id integer, party text, amount decimal(12,2), ratio double precision, paid timestamp);
insert into payments values (1, 'a', 0.10, 0.1, '2026-01-05 10:00:00'), (2, 'a', 0.20, 0.2, '2026-01-05 11:00:00'),
  (3, 'b', 1000000000.05, 0.3, '2026-01-06 10:00:00');
"""


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
