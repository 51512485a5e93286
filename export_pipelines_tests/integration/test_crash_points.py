"""Runs that end by a signal at every point of publishing, and publishers that are suspended (I1 to I4)."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import select

from export_pipelines.crash import VARIABLE
from export_pipelines.ledger import artifacts, runs
from export_pipelines.ledger.tables import leases
from export_pipelines.orchestration.build import build_definitions
from export_pipelines.verify import verify
from export_pipelines_tests.crashes import (
    DAY,
    OF_COMMANDS,
    OF_PUBLISHING,
    Crash,
    Scene,
    exports_run,
    materialize,
    materialize_again,
    violations,
)
from export_pipelines_tests.forks import DAGSTER, EXPORTS, Forks, forks
from export_pipelines_tests.integration.test_s3 import lake_environment, lake_project
from export_pipelines_tests.projects import environment, published_files
from export_pipelines_tests.publishers import left
from export_pipelines_tests.s3_servers import S3Server


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with forks(EXPORTS, tmp_path_factory.mktemp("forks")) as running:
        yield running


@pytest.mark.parametrize(("layout", "names"), [("artifact", ("KILL", "TERM")), ("flat", ("KILL", "INT"))])
def test_a_run_ended_at_any_point_leaves_nothing_half_done(
    tmp_path: Path, child: Forks, layout: str, names: tuple[str, ...]
) -> None:
    scene = Scene.at(tmp_path, layout)
    found = {}
    for point, name in product(OF_COMMANDS, names):
        crash = Crash(point, name, layout)
        found[str(crash)] = list(violations(scene, crash, partial(exports_run, child, scene)))
    assert {crash: texts for crash, texts in found.items() if texts} == {}
    assert len(found) == 2 * (len(OF_PUBLISHING) - 1)


def test_a_dagster_run_ended_at_any_point_leaves_nothing_half_done(tmp_path: Path) -> None:
    scene = Scene.at(tmp_path / "scene", "artifact")
    cases = [("half_rows", "TERM"), ("manifest_written", "INT"), ("materialized", "KILL")]
    found = {}
    with forks(DAGSTER, tmp_path) as child:
        for point, name in cases:
            crash = Crash(point, name, "artifact")
            found[str(crash)] = list(violations(scene, crash, partial(materialize, child, scene)))
    assert {crash: texts for crash, texts in found.items() if texts} == {}


def test_one_tick_ends_a_killed_dagster_run_and_frees_its_partition(tmp_path: Path) -> None:
    scene = Scene.at(tmp_path / "scene", "artifact")
    sensor = build_definitions(scene.made).get_repository_def().get_sensor_def("dead_runs")
    with forks(DAGSTER, tmp_path) as child:
        assert materialize(child, scene, "half_rows:KILL").code == -signal.SIGKILL
        with dg.DagsterInstance.from_config(str(scene.home)) as instance:
            (dead,) = instance.get_runs()
            assert (dead.status, holder_of(scene) is None) == (dg.DagsterRunStatus.STARTED, False)
            tick = sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
            assert tick.skip_message == f"ended: {dead.run_id}"
            assert (instance.get_run_by_id(dead.run_id).status, holder_of(scene)) == (dg.DagsterRunStatus.FAILURE, None)
        assert [row.state for row in scene.attempts()] == ["died", "published"]
        ended = materialize_again(child, scene, EXPORT_LEASE_WAIT_SECONDS="0.001")
        assert ended.code == 0, ended.stderr
    assert [row.state for row in scene.attempts()] == ["published", "died", "published"]
    assert not (scene.root / "out" / ".staging").exists()


def holder_of(scene: Scene) -> str | None:
    """Who has the lease of the scene's partition."""
    with scene.made.ledger.read() as connection:
        return connection.execute(select(leases.c.holder).where(leases.c.export == "big")).scalar_one()


@pytest.mark.parametrize(
    ("point", "visible"), [("moved", False), ("manifest_written", True), ("ledger_committed", True)]
)
def test_a_run_killed_on_its_way_to_s3(tmp_path: Path, child: Forks, moto: S3Server, point: str, visible: bool) -> None:
    bucket = moto.new_bucket()
    made = lake_project(tmp_path, moto, bucket)
    first = made.run(made.request("students", DAY, run_id="0123456789abcdef"))
    before = contents(moto, bucket)
    words = ["run", "students", "--partition", DAY]
    ended = child.run(words, {**lake_environment(tmp_path), VARIABLE: f"{point}:KILL"})
    assert ended.code == -signal.SIGKILL, ended.stderr
    after = contents(moto, bucket)
    assert len([key for key in after if key.endswith("metadata.json")]) == 1 + visible
    last = made.run(made.request("students", DAY, run_id="fedcba9876543210"))
    whole = contents(moto, bucket)
    assert verify(made.store("lake"), made.ledger).problems == []
    assert whole.items() >= before.items()
    assert len(whole) == len(before) * (2 + visible)
    assert [key for key in moto.listing(bucket) if ".staging" in key or key.startswith("upload")] == []
    found = artifacts.find(made.ledger, partition=DAY)
    assert found[0].manifest == last.manifest
    assert {tuple(file.sha256 for file in row.manifest.files) for row in found} == {
        tuple(file.sha256 for file in first.manifest.files)
    }
    assert [row.state for row in runs.recent(made.ledger)] == [
        "published",
        "published" if visible else "died",
        "published",
    ]


def contents(server: S3Server, bucket: str) -> dict[str, bytes]:
    """Every object of the bucket."""
    keys = [key for key in server.listing(bucket) if not key.startswith("upload of ")]
    return {key: server.client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


@pytest.mark.parametrize(("layout", "point"), [("artifact", "half_rows"), ("artifact", "fsynced"), ("flat", "moved")])
def test_a_publisher_that_was_suspended_publishes_nothing(tmp_path: Path, layout: str, point: str) -> None:
    scene = Scene.at(tmp_path, layout)
    lease_seconds = 1.0
    short = {"EXPORT_LEASE_SECONDS": str(lease_seconds), VARIABLE: f"{point}:STOP"}
    words = [sys.executable, "-m", "export_pipelines.cli.main", "run", "big", "--partition", DAY]
    with subprocess.Popen(
        words,
        env=os.environ | environment(tmp_path, **short),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as suspended:
        assert os.WIFSTOPPED(os.waitpid(suspended.pid, os.WUNTRACED)[1])
        stopped = time.monotonic()
        last = scene.publish()  # waits until the lease has expired: a suspended process is not a dead one
        before = published_files(tmp_path)
        time.sleep(max(0.0, stopped + 2.1 * lease_seconds - time.monotonic()))
        status = Path(f"/proc/{suspended.pid}/stat").read_text().rpartition(")")[2].split()[0]
        asleep = time.monotonic() - stopped
        suspended.send_signal(signal.SIGCONT)
        _, stderr = suspended.communicate()
    assert (status, asleep >= 2 * lease_seconds) == ("T", True)
    assert suspended.returncode == 1
    assert "Error: " in stderr
    assert published_files(tmp_path) == before
    found = left(tmp_path)
    assert found.violations == []
    assert found.listed == found.files
    assert not (tmp_path / "out" / ".staging").exists()
    assert verify(scene.made.store("local"), scene.made.ledger).problems == []
    assert artifacts.find(scene.made.ledger)[0].manifest.artifact_id == last
    assert [row.state for row in scene.attempts()] == ["published", "failed", "published"]


@pytest.mark.parametrize("text", ["half_row:KILL", "half_rows:HUP", "half_rows", ":"])
def test_a_mistake_in_the_variable_is_told(tmp_path: Path, child: Forks, text: str) -> None:
    scene = Scene.at(tmp_path, "artifact")
    ended = exports_run(child, scene, text)
    assert ended.code == 1
    assert f"{VARIABLE} is {text!r}" in ended.stderr
    assert "half_rows" in ended.stderr
    assert len(artifacts.find(scene.made.ledger)) == 1


def test_an_attempt_that_published_is_never_recorded_as_failed(tmp_path: Path) -> None:
    scene = Scene.at(tmp_path, "artifact")
    (before,) = scene.attempts()
    runs.finish(scene.made.ledger, 1, "failed", error="the ledger's answer to the commit was lost")
    assert scene.attempts() == [before]
