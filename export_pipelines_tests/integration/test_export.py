"""The whole story without Dagster: query, write, publish, register."""

import hashlib
import json
import os
import sqlite3
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from export_pipelines.errors import (
    ConfigurationError,
    EmptyExportError,
    LeaseLostError,
    OnEmptySkip,
    QueryError,
    RowLimitExceededError,
)
from export_pipelines.export import publish
from export_pipelines.ledger import artifacts, runs
from export_pipelines.ledger.leases import acquire
from export_pipelines.project import Project
from export_pipelines.rebuild import rebuild
from export_pipelines.verify import verify
from export_pipelines_tests.projects import project, published_files, write_project

DAY = "2026-01-05"
RUN = "0123456789abcdef"


def run(made: Project, name: str = "students", partition: str = DAY, **options):
    return made.run(made.request(name, partition, run_id=options.pop("run_id", RUN), **options))


def test_one_entry_becomes_one_published_verified_file(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}})
    artifact = run(made)
    files = published_files(tmp_path)
    manifest_path = artifact.row.manifest_path
    stamp = artifact.manifest.created_at.strftime("%Y%m%d_%H%M%S")
    assert set(files) == {f"{DAY}/students/{stamp}_01234567/{name}" for name in ("students.csv", "metadata.json")}
    manifest = json.loads(files[manifest_path])
    data = files[manifest_path.replace("metadata.json", "students.csv")]
    assert manifest["files"] == [
        {
            "name": "students.csv",
            "dataset": "students",
            "format": "csv",
            "media_type": "text/csv",
            "rows": 4,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    ]
    assert manifest["window"] == {"start": "2026-01-05T00:00:00Z", "end": "2026-01-06T00:00:00Z"}
    assert data.decode().splitlines()[0] == "id,name,status,balance,born,seen_at,active"
    assert data.decode().splitlines()[3].startswith("3,'=1+1,left,,1999-12-31,")
    assert [row.state for row in runs.recent(made.ledger)] == ["published"]
    assert artifacts.get(made.ledger, manifest["artifact_id"]).manifest == artifact.manifest
    assert verify(made.store("local"), made.ledger).problems == []


def test_all_formats_come_from_one_pass(tmp_path: Path) -> None:
    formats = ["csv", "json", {"type": "json", "shape": "object"}, "jsonl", "parquet", "xlsx", "pdf"]
    formats.append({"type": "csv", "compression": "gzip", "name": "packed"})
    datasets = {"students": {"table": "students"}, "grades": {"table": "grades"}}
    made = project(tmp_path, {"both": {"formats": formats, "datasets": datasets}})
    names = [(file.name, file.dataset, file.rows) for file in run(made, "both").manifest.files]
    assert names == [
        ("students.csv", "students", 4),
        ("grades.csv", "grades", 2),
        ("students.json", "students", 4),
        ("grades.json", "grades", 2),
        ("both.json", None, 6),
        ("students.jsonl", "students", 4),
        ("grades.jsonl", "grades", 2),
        ("students.parquet", "students", 4),
        ("grades.parquet", "grades", 2),
        ("both.xlsx", None, 6),
        ("both.pdf", None, 6),
        ("packed_students.csv.gz", "students", 4),
        ("packed_grades.csv.gz", "grades", 2),
    ]
    assert verify(made.store("local"), made.ledger).problems == []


def test_flat_layout_puts_files_beside_their_manifest(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {"layout": "flat", "formats": ["csv", "jsonl"]}})
    artifact = run(made)
    stem = f"students_01234567_{artifact.manifest.created_at:%Y%m%d_%H%M%S}"
    assert set(published_files(tmp_path)) == {f"{stem}.csv", f"{stem}.jsonl", f"{stem}.metadata.json"}
    run(made, run_id="second-run")
    assert len(published_files(tmp_path)) == 6
    assert verify(made.store("local"), made.ledger).problems == []


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}, "flat": {"layout": "flat", "path": "a/{year}"}})
    for mask in (0o000, 0o077):
        before = os.umask(mask)
        try:
            run(made, run_id=f"{mask:08d}")
            run(made, "flat", run_id=f"{mask:08d}")
        finally:
            os.umask(before)
    for path in [tmp_path / "out", *(tmp_path / "out").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o750 if path.is_dir() else 0o600), path


def test_a_second_run_publishes_beside_the_first(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}})
    run(made)
    before = published_files(tmp_path)
    run(made, run_id="fedcba9876543210")
    after = published_files(tmp_path)
    assert len(after) == 4
    assert {path: after[path] for path in before} == before


@pytest.mark.parametrize(
    ("entry", "error", "message"),
    [
        ({"datasets": {"s": {"sql": "select * from nowhere"}}}, QueryError, "nowhere"),
        ({"datasets": {"s": {"table": "students", "filters": {"colour": 1}}}}, QueryError, "colour"),
        ({"max_rows": 3}, RowLimitExceededError, "more than 3 rows"),
        (
            {"on_empty": "fail", "datasets": {"s": {"table": "students", "filters": {"id": 99}}}},
            EmptyExportError,
            "no rows",
        ),
    ],
)
def test_a_failed_run_publishes_nothing_and_says_why(tmp_path: Path, entry: dict, error: type, message: str) -> None:
    made = project(tmp_path, {"students": {}})
    run(made)
    before = published_files(tmp_path)
    broken = project(tmp_path, {"students": entry})
    with pytest.raises(error, match=message):
        run(broken, run_id="fedcba9876543210")
    assert published_files(tmp_path) == before
    assert not (tmp_path / "out" / ".staging").exists()
    last = runs.recent(made.ledger)[0]
    assert last.state == "failed"
    assert message in (last.error or "")


def test_a_missing_database_is_named(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}}, connections={"school": {"url": f"sqlite:///{tmp_path}/gone.db"}})
    with pytest.raises(ConfigurationError, match=r"gone\.db"):
        run(made)
    assert published_files(tmp_path) == {}


def test_no_rows(tmp_path: Path) -> None:
    nobody = {"datasets": {"students": {"table": "students", "filters": {"id": 99}}}, "formats": ["csv", "jsonl"]}
    made = project(tmp_path, {"written": {**nobody, "on_empty": "write"}, "skipped": {**nobody, "on_empty": "skip"}})
    written = run(made, "written").manifest
    assert written.total_rows == 0
    directory = tmp_path / "out" / DAY / "written"
    assert next(directory.rglob("*.csv")).read_text() == "id,name,status,balance,born,seen_at,active\n"
    with pytest.raises(OnEmptySkip, match="no rows"):
        run(made, "skipped")
    assert not (tmp_path / "out" / DAY / "skipped").exists()
    assert runs.recent(made.ledger, export="skipped")[0].state == "skipped"


def test_on_empty_skip_publishes_all_rows_when_there_are_some(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {"on_empty": "skip"}})
    assert run(made).manifest.rows == {"students": 4}


def test_row_limit_is_recorded(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}})
    manifest = run(made, row_limit=2).manifest
    assert (manifest.rows, manifest.row_limit) == ({"students": 2}, 2)


def test_window_parameters_select_the_partition(tmp_path: Path) -> None:
    sql = "select * from grades where graded_at >= :window_start and graded_at < :window_end"
    made = project(
        tmp_path,
        {
            "grades": {"datasets": {"grades": {"sql": sql}}},
            "seen": {"datasets": {"students": {"table": "students", "window": "seen_at"}}},
        },
    )
    assert run(made, "grades", "2026-01-05").manifest.total_rows == 1
    assert run(made, "grades", "2026-01-06").manifest.total_rows == 1
    assert run(made, "seen", "2026-01-05").manifest.total_rows == 2
    assert run(made, "seen", "2026-01-06").manifest.total_rows == 1


def test_a_publisher_that_was_overtaken_publishes_nothing(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}})
    request = made.request("students", DAY, run_id=RUN)
    with pytest.raises(LeaseLostError), made.open(request) as opened:
        with made.ledger.write() as connection:
            connection.exec_driver_sql("update export_leases set expires_at = 0")
        overtaking = acquire(made.ledger, "students", DAY, ttl_seconds=60, wait_seconds=0)
        assert overtaking.fence == opened.lease.fence + 1
        publish(opened)
    assert published_files(tmp_path) == {}
    assert artifacts.find(made.ledger) == []


def test_verify_names_what_is_wrong(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {"formats": ["csv", "jsonl"]}})
    run(made)
    store = made.store("local")
    csv = next((tmp_path / "out").rglob("*.csv"))
    data = bytearray(csv.read_bytes())
    data[10] ^= 1
    csv.write_bytes(data)
    next((tmp_path / "out").rglob("*.jsonl")).unlink()
    (csv.parent / "extra.txt").write_text("hello")
    found = {(finding.kind, Path(finding.path).name) for finding in verify(store, made.ledger).problems}
    assert found == {("damaged", "students.csv"), ("missing", "students.jsonl"), ("unlisted", "extra.txt")}


def test_the_ledger_can_be_rebuilt_from_the_manifests_alone(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}, "flat": {"layout": "flat"}})
    for name in ("students", "flat"):
        run(made, name)
    before = artifacts.find(made.ledger)
    (tmp_path / "state" / "ledger.db").unlink()
    again = Project.load(made.settings)
    assert artifacts.find(again.ledger) == []
    assert rebuild(again.store("local"), again.ledger) == (2, [])
    assert sorted(artifacts.find(again.ledger), key=str) == sorted(before, key=str)
    assert verify(again.store("local"), again.ledger).problems == []


def test_datasets_of_one_export_see_one_state(tmp_path: Path) -> None:
    datasets = {"first": {"table": "students"}, "second": {"table": "students"}}
    made = project(tmp_path, {"students": {"datasets": datasets, "formats": ["jsonl"]}})
    with sqlite3.connect(tmp_path / "school.db") as connection:
        connection.execute("pragma journal_mode=wal")
    connection.close()
    with made.open(made.request("students", DAY, run_id=RUN)) as opened:
        writer = sqlite3.connect(tmp_path / "school.db")
        with writer:
            writer.execute("delete from students")
        writer.close()
        assert publish(opened).manifest.rows == {"first": 4, "second": 4}


def test_spec_hash_follows_content_only(tmp_path: Path) -> None:
    def digest(**entry: object) -> str:
        made = Project.load(write_project(tmp_path, {"students": entry}))
        return made.specs.exports["students"].spec_sha256

    assert digest() == digest(description="for the registrar", owners=["team:registrar"])
    assert digest() != digest(formats=["csv", "jsonl"])
    assert digest() != digest(spreadsheet_safe=False)


def test_created_at_is_now(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}})
    assert abs((run(made).manifest.created_at - datetime.now(UTC)).total_seconds()) < 60
