"""Disks that fill up and processes that die: nothing half done is ever seen (I1, I4)."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from export_pipelines.ledger import artifacts
from export_pipelines.project import Project
from export_pipelines.verify import is_manifest, verify
from export_pipelines_tests.projects import environment, project, published_files, write_project
from export_pipelines_tests.publishers import PUBLISH, big_project, killed, left, publishing

DAY = "2026-01-05"


@pytest.mark.parametrize("layout", ["artifact", "flat"])
def test_killed_at_random_moments(tmp_path: Path, layout: str) -> None:
    made = big_project(tmp_path, rows=60_000, layout=layout)
    whole = publishing(tmp_path)
    began = time.monotonic()
    assert whole.wait() == 0
    seconds = time.monotonic() - began
    moments = random.Random(20260105)
    kills = 0
    for _ in range(8):
        kills += killed(publishing(tmp_path), moments, seconds)
        found = left(tmp_path)
        assert found.violations == []
        if layout == "artifact":  # a directory appears by one rename
            assert found.listed == found.files
    assert kills >= 3
    assert publishing(tmp_path).wait() == 0
    found = left(tmp_path)
    assert found.violations == []
    assert found.listed == set(published_files(tmp_path))
    assert not (tmp_path / "out" / ".staging").exists()
    assert verify(made.store("local"), made.ledger).problems == []


def test_an_artifact_whose_run_died_before_the_ledger_knew_is_registered_by_the_next(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}})
    first = made.run(made.request("students", DAY, run_id="0123456789abcdef"))
    with made.ledger.write() as connection:  # as a kill between the manifest and the commit leaves it
        connection.exec_driver_sql("delete from export_artifacts")
        connection.exec_driver_sql("update export_runs set state = 'running', artifact_id = null")
    assert [found.kind for found in verify(made.store("local"), made.ledger).problems] == ["unregistered"]
    second = made.run(made.request("students", DAY, run_id="fedcba9876543210"))
    assert [row.manifest for row in artifacts.find(made.ledger)] == [second.manifest, first.manifest]
    assert verify(made.store("local"), made.ledger).problems == []


def test_ten_publishers_of_one_partition_take_turns(tmp_path: Path) -> None:
    made = big_project(tmp_path, rows=5_000)
    processes = [publishing(tmp_path) for _ in range(10)]
    results = [process.communicate()[1] + str(process.returncode) for process in processes]
    done = results.count("0")
    assert done >= 1
    assert all(result == "0" or result.startswith("LeaseHeldError") for result in results)
    assert left(tmp_path).violations == []
    manifests = [json.loads(data) for path, data in published_files(tmp_path).items() if is_manifest(path)]
    assert len(manifests) == done
    assert len(published_files(tmp_path)) == 3 * done
    assert verify(made.store("local"), made.ledger).problems == []


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs a mount namespace of its own")
def test_a_full_disk_is_named_and_the_earlier_artifact_stays(tmp_path: Path) -> None:
    big_project(tmp_path, rows=300_000)
    script = f"""
set -e
mkdir -p {tmp_path}/out && mount -t tmpfs -o size=6m tmpfs {tmp_path}/out
printf old > {tmp_path}/out/earlier
"{sys.executable}" -c '{PUBLISH}' && exit 3 || true
find {tmp_path}/out -type f
"""
    result = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
        env=os.environ | environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "StorageError" in result.stderr
    assert "disk is full" in result.stderr
    assert result.stdout.splitlines() == ["ready", f"{tmp_path}/out/earlier"]


def test_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    write_project(tmp_path, {"students": {}})
    made = Project.load(write_project(tmp_path, {"students": {}}))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / DAY).symlink_to(outside)
    with pytest.raises(Exception, match="symbolic link"):
        made.run(made.request("students", DAY, run_id="0123456789abcdef"))
    assert list(outside.iterdir()) == []
    assert not (tmp_path / "out" / ".staging").exists()
