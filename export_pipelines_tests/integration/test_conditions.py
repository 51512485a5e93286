"""`only_if`: what is published, what is skipped and with which words, and that nothing is left of a skipped run."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from export_pipelines.errors import ConditionSkip, OnEmptySkip
from export_pipelines.ledger import artifacts, due, runs
from export_pipelines.ledger.due import Asked
from export_pipelines.opening import Artifact
from export_pipelines.project import Project
from export_pipelines.verify import verify
from export_pipelines_tests.integration.cli_project import Cli
from export_pipelines_tests.projects import environment, project, published_files, write_project

DAY, NEXT = "2026-01-05", "2026-01-06"
NOBODY = {"datasets": {"students": {"table": "students", "filters": {"id": 99}}}}
SOMEBODY = {"datasets": {"nobody": {"table": "students", "filters": {"id": 99}}, "students": {"table": "students"}}}


def run(made: Project, name: str, partition: str = DAY, **options: Any) -> Artifact:
    number = len(runs.recent(made.ledger))
    return made.run(made.request(name, partition, run_id=f"{number:08x}0000", **options))


def reason(made: Project, name: str, partition: str = DAY, **options: Any) -> str:
    """Why the run is skipped."""
    with pytest.raises(ConditionSkip) as skip:
        run(made, name, partition, **options)
    last = runs.recent(made.ledger, export=name)[0]
    assert (last.state, last.rows, last.error) == ("skipped", 0, skip.value.reason)
    assert str(skip.value) == f"export {name}, partition {partition}: {skip.value.reason}: nothing is published"
    return skip.value.reason


def change(root: Path, statement: str) -> None:
    with sqlite3.connect(root / "school.db") as connection:
        connection.execute(statement)
    connection.close()


def students(root: Path, **entry: Any) -> Project:
    return project(root, {"students": {"only_if": "changed", **entry}})


def test_only_with_rows_or_only_without(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        {
            "with": {**SOMEBODY, "only_if": "rows"},
            "with_none": {**NOBODY, "only_if": "rows"},
            "same": {**NOBODY, "only_if": "rows", "on_empty": "skip"},
            "without": {**NOBODY, "only_if": "no_rows"},
            "without_any": {**SOMEBODY, "only_if": "no_rows"},
        },
    )
    assert run(made, "with").manifest.rows == {"nobody": 0, "students": 4}
    assert reason(made, "with_none") == "no rows, and `only_if` is rows"
    assert reason(made, "same") == "no rows, and `on_empty` is skip"
    assert run(made, "without").manifest.total_rows == 0
    assert reason(made, "without_any") == "there are rows, and `only_if` is no_rows"
    assert reason(made, "without_any", row_limit=1) == "there are rows, and `only_if` is no_rows"
    assert len(published_files(tmp_path)) == 3 + 2
    assert verify(made.store("local"), made.ledger).problems == []


def test_only_what_has_changed(tmp_path: Path) -> None:
    made = students(tmp_path)
    first = run(made, "students").manifest
    assert len(first.content_sha256 or "") == 64
    before = published_files(tmp_path)
    same = f"the same content as artifact {first.artifact_id[:8]} of {DAY}, and `only_if` is changed"
    assert [reason(made, "students", key) for key in (DAY, NEXT, "2026-01-09")] == [same] * 3
    assert published_files(tmp_path) == before
    change(tmp_path, "update students set balance = null where id = 1")
    second = run(made, "students", NEXT).manifest
    assert second.content_sha256 != first.content_sha256
    assert f"artifact {second.artifact_id[:8]} of {NEXT}" in reason(made, "students", NEXT)
    assert run(made, "students").manifest.content_sha256 == second.content_sha256, "compared with a later partition"
    assert verify(made.store("local"), made.ledger).problems == []


def test_each_partition_is_compared_with_what_was_there_then(tmp_path: Path) -> None:
    """Content that comes back is a change, although it was published before."""
    made = students(tmp_path)
    first = run(made, "students").manifest
    change(tmp_path, "update students set name = 'B' where id = 1")
    run(made, "students", NEXT)
    change(tmp_path, "update students set name = 'Ann O''Neil' where id = 1")
    third = run(made, "students", NEXT).manifest
    assert third.content_sha256 == first.content_sha256


def test_the_size_of_batches_is_no_change(tmp_path: Path) -> None:
    first = run(students(tmp_path), "students").manifest
    url = f"sqlite:///{tmp_path}/school.db"
    again = project(
        tmp_path, {"students": {"only_if": "changed"}}, connections={"school": {"url": url, "batch_rows": 3}}
    )
    assert first.artifact_id[:8] in reason(again, "students")


def test_another_recipe_is_a_change(tmp_path: Path) -> None:
    run(students(tmp_path), "students")
    again = run(students(tmp_path, formats=["csv", "jsonl"]), "students")
    assert len(again.manifest.files) == 2
    assert reason(students(tmp_path, formats=["csv", "jsonl"], owners=["team:a"]), "students")


def test_what_nothing_can_be_compared_with_is_published(tmp_path: Path) -> None:
    plain = run(project(tmp_path, {"students": {}}), "students").manifest
    assert plain.content_sha256 is None
    made = students(tmp_path)
    limited = run(made, "students", row_limit=4).manifest
    assert (limited.content_sha256, limited.row_limit) == (None, 4)
    assert run(made, "students").manifest.content_sha256
    assert run(made, "students", row_limit=4).manifest.row_limit == 4
    assert reason(made, "students")


def test_deleted_files_still_count_and_bad_ones_do_not(tmp_path: Path) -> None:
    made = students(tmp_path)
    first = run(made, "students").manifest
    with made.ledger.write() as connection:
        artifacts.mark_deleted(connection, first.artifact_id, datetime.now(UTC))
    assert first.artifact_id[:8] in reason(made, "students")
    artifacts.mark_bad(made.ledger, first.artifact_id)
    second = run(made, "students").manifest
    assert second.artifact_id[:8] in reason(made, "students")


def test_no_rows_at_all_are_a_content_too(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        {"none": {**NOBODY, "only_if": "changed"}, "skips": {**NOBODY, "only_if": "changed", "on_empty": "skip"}},
    )
    first = run(made, "none").manifest
    assert (first.total_rows, reason(made, "none")) == (
        0,
        f"the same content as artifact {first.artifact_id[:8]} of {DAY}, and `only_if` is changed",
    )
    with pytest.raises(OnEmptySkip, match="`on_empty` is skip"):
        run(made, "skips")


def test_no_check_is_asked_where_nothing_has_changed(tmp_path: Path) -> None:
    total = {"column": "balance", "sql": "select sum(balance) from students"}
    datasets = {"students": {"table": "students", "checks": {"rows": {"min": 5}, "control_total": total}}}
    made = students(tmp_path, datasets=datasets)
    assert [check.passed for check in run(made, "students").checks] == [False, True]
    assert reason(made, "students")


def test_a_skipped_run_leaves_no_lease_and_nothing_in_staging(tmp_path: Path) -> None:
    made = students(tmp_path, layout="flat")
    run(made, "students")
    before = published_files(tmp_path)
    reason(made, "students")
    assert (published_files(tmp_path), (tmp_path / "out" / ".staging").exists()) == (before, False)
    with made.ledger.read() as connection:
        assert connection.exec_driver_sql("select holder from export_leases").scalars().all() == [None]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_what_is_due_is_settled_with_the_reason_of_the_run(
    tmp_path: Path, request: pytest.FixtureRequest, database: str
) -> None:
    extra = {} if database == "sqlite" else {"EXPORT_LEDGER_URL": request.getfixturevalue("postgres_url")}
    entries = {name: {"only_if": "changed"} for name in ("a", "b", "old")} | {"new": {}}
    made = Project.load(write_project(tmp_path, entries, environ=environment(tmp_path, **extra)))
    now = datetime.now(UTC)
    first = run(made, "a").manifest
    run(made, "b")
    reason(made, "a", NEXT)
    reason(made, "b", NEXT)
    number = runs.start(made.ledger, run_id="r", export="old", partition=NEXT, now=now)
    runs.finish(made.ledger, number, "skipped", rows=0)
    run(made, "new", NEXT)
    asked = [
        Asked(export=name, partition=NEXT, schedule="s", tick=now - timedelta(minutes=1))
        for name in ("a", "b", "old", "new")
    ]
    with made.ledger.write() as connection:
        due.note(connection, asked, now)
    due.settle(made.ledger)
    rows = {row.export: row for row in due.find(made.ledger, "due", "done", "skipped", "given_up")}
    assert {name: (row.state, row.cause) for name, row in rows.items()} == {
        **dict.fromkeys(("a", "b", "old"), ("skipped", "condition")),
        "new": ("done", None),
    }
    assert first.artifact_id[:8] in (rows["a"].reason or "")
    assert (rows["b"].reason or "").startswith("the same content as artifact ")
    assert rows["a"].reason != rows["b"].reason
    assert rows["old"].reason == "no rows, and `on_empty` is skip"


def test_commands_tell_the_reason(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    cli.use({"students": {"only_if": "changed"}, "alarm": {"only_if": "no_rows"}})
    first = cli.json("run", "students", "--partition", DAY)["results"][0]["artifact"]["artifact_id"]
    why = f"the same content as artifact {first[:8]} of {DAY}, and `only_if` is changed"
    document = cli.json("run", "students", "--from", DAY, "--to", NEXT)
    assert (document["skipped"], document["published"]) == (2, 0)
    assert document["results"][1]["reason"] == f"export students, partition {NEXT}: {why}: nothing is published"
    assert f"{why}: nothing is published" in cli("run", "students", "--partition", DAY).stderr
    assert "there are rows, and `only_if` is no_rows" in cli("run", "alarm", "--partition", DAY).stderr
    assert cli.json("history", "students")["runs"][0]["error"] == why
    assert "the same content as artifact" in cli("history", "students", COLUMNS="200").stdout
    shown = cli("show", "students", COLUMNS="200").stdout
    assert f": {why}" in shown
    assert "the content differs from what was published last" in shown
    assert cli.json("run", "students", "--partition", DAY, "--limit", "2")["published"] == 1
