"""metrics.jsonl: one line for every attempt, however many processes write it, and no effect on any result."""

import fcntl
import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from export_pipelines.errors import ConfigurationError, QueryError
from export_pipelines.ledger import runs
from export_pipelines.ledger.metrics_file import MetricsFile, metrics
from export_pipelines.ledger.runs import RunRow
from export_pipelines.project import Project
from export_pipelines_tests.projects import environment, project, write_project

DAY = "2026-01-05"
BEGAN = datetime(2026, 1, 6, 2, 0, tzinfo=UTC)
ATTEMPT = RunRow(
    run_id="r",
    export="students",
    partition=DAY,
    state="published",
    started_at=BEGAN,
    finished_at=BEGAN + timedelta(seconds=2.5),
    artifact_id="a" * 32,
    rows=500,
    bytes=1_234_567,
    error=None,
    export_id="a" * 32,
    formats="csv,xlsx",
)
FIELDS = [
    "export_id",
    "export_type",
    "export_format",
    "start_time",
    "end_time",
    "total_records",
    "total_duration_seconds",
    "records_per_second",
    "file_size_bytes",
    "file_size_mb",
    "status",
    "error_message",
]
WRITE = """
import sys
from dataclasses import replace
from pathlib import Path
from export_pipelines.ledger.metrics_file import MetricsFile
from export_pipelines_tests.unit.test_monitoring_metrics_file import ATTEMPT
file = MetricsFile(Path(sys.argv[1]), max_bytes=40_000, keep=60)
for number in range(500):
    file.append(replace(ATTEMPT, export_id=f"{sys.argv[2]}-{number}"))
"""


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_line_has_exactly_these_fields() -> None:
    line = metrics(ATTEMPT)
    assert list(line) == FIELDS
    assert line["start_time"] == "2026-01-06T02:00:00Z"
    assert line["end_time"] == "2026-01-06T02:00:02.500000Z"
    assert (line["total_duration_seconds"], line["records_per_second"]) == (2.5, 200.0)
    assert (line["file_size_bytes"], line["file_size_mb"]) == (1_234_567, 1.235)


def test_every_attempt_of_an_export_leaves_a_line_that_agrees_with_the_ledger(tmp_path: Path) -> None:
    broken = {"datasets": {"b": {"sql": "select * from no_such_table"}}}
    made = project(
        tmp_path, {"students": {"formats": ["csv", "jsonl", {"type": "csv", "name": "b"}]}, "broken": broken}
    )
    artifact = made.run(made.request("students", DAY, run_id="one"))
    with pytest.raises(QueryError):
        made.run(made.request("broken", DAY, run_id="two"))
    good, bad = lines(tmp_path / "state" / "metrics.jsonl")
    failed, published = runs.recent(made.ledger)
    assert [good, bad] == [metrics(published), metrics(failed)]
    assert good["export_id"] == artifact.manifest.artifact_id == published.artifact_id
    assert (good["export_type"], good["export_format"], good["status"]) == ("students", "csv,jsonl", "published")
    assert (good["total_records"], good["file_size_bytes"]) == (4, artifact.manifest.total_bytes)
    assert (bad["status"], bad["total_records"], bad["records_per_second"]) == ("failed", 0, None)
    assert "no_such_table" in str(bad["error_message"])
    assert failed.hint
    assert str(bad["error_message"]).endswith(failed.hint)


def test_the_file_and_its_lock_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        MetricsFile(tmp_path / "new" / "metrics.jsonl").append(ATTEMPT)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}
    assert modes == {"metrics.jsonl": 0o600, "metrics.jsonl.lock": 0o600}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o750


def test_no_line_is_lost_or_torn_when_many_processes_write_and_rotate(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    started = [subprocess.Popen([sys.executable, "-c", WRITE, str(path), str(number)]) for number in range(8)]
    assert [process.wait() for process in started] == [0] * 8
    files = [file for file in tmp_path.iterdir() if not file.name.endswith(".lock")]
    assert len(files) > 20
    assert max(file.stat().st_size for file in files) <= 40_000
    found = [line["export_id"] for file in files for line in lines(file)]
    assert sorted(found) == sorted(f"{process}-{number}" for process in range(8) for number in range(500))


def test_only_so_many_old_files_are_kept_the_newest_with_the_lowest_number(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl", max_bytes=1, keep=2)
    for number in range(6):
        file.append(replace(ATTEMPT, export_id=str(number)))
    found = {path.name: lines(path)[0]["export_id"] for path in tmp_path.iterdir() if not path.name.endswith(".lock")}
    assert found == {"metrics.jsonl": "5", "metrics.jsonl.1": "4", "metrics.jsonl.2": "3"}


def test_what_cannot_be_written_is_logged_and_changes_no_result(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    environ = environment(tmp_path, EXPORT_METRICS_FILE=str(tmp_path / "file" / "metrics.jsonl"))
    made = Project.load(write_project(tmp_path, {"students": {}}, environ=environ))
    assert made.run(made.request("students", DAY, run_id="one")).manifest.total_rows == 4
    assert [row.state for row in runs.recent(made.ledger)] == ["published"]
    assert "writing the metrics of export students" in caplog.text


def test_a_full_disk_is_logged(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    MetricsFile(tmp_path / "metrics.jsonl").append(ATTEMPT)
    assert "No space left" in caplog.text


def test_a_writer_that_was_stopped_in_the_middle_holds_nobody_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = MetricsFile(tmp_path / "m", wait_seconds=0.05)
    with (tmp_path / "m.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        file.append(ATTEMPT)
        assert "another process has kept the lock" in caplog.text
    file.append(ATTEMPT)
    assert len(lines(tmp_path / "m")) == 1


def test_off_writes_nothing(tmp_path: Path) -> None:
    settings = write_project(tmp_path, {"students": {}}, environ=environment(tmp_path, EXPORT_METRICS_FILE="off"))
    made = Project.load(settings)
    made.run(made.request("students", DAY, run_id="one"))
    assert not list(tmp_path.rglob("*metrics*"))


def test_a_limit_that_is_no_number_is_refused(tmp_path: Path) -> None:
    settings = write_project(tmp_path, {"students": {}}, environ=environment(tmp_path, EXPORT_METRICS_MAX_BYTES="big"))
    with pytest.raises(ConfigurationError, match="EXPORT_METRICS_MAX_BYTES"):
        MetricsFile.from_settings(settings)


def test_text_that_is_no_unicode_is_written_all_the_same(tmp_path: Path) -> None:
    MetricsFile(tmp_path / "m").append(replace(ATTEMPT, error="torn \udcff and\nbroken \u2028 Ω"))
    (line,) = (tmp_path / "m").read_bytes().split(b"\n")[:-1]
    assert json.loads(line)["error_message"] == "torn ? and\nbroken \u2028 Ω"
