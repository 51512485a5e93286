"""Webserver and daemon on PostgreSQL: a schedule ticks, a file appears, the run is green over GraphQL."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from export_pipelines.ledger import artifacts
from export_pipelines.project import Project
from export_pipelines.verify import verify
from export_pipelines_tests.projects import environment, write_project

REPOSITORY = Path(__file__).parents[2]
RUNS = "query { runsOrError { ... on Runs { results { runId status tags { key value } } } } }"
BACKFILL = """
mutation { launchPartitionBackfill(backfillParams: {
  assetSelection: [{path: ["exports", "%s"]}], partitionNames: [%s], title: "some days"
}) { ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
TWO_DAYS = '"2026-01-05", "2026-01-06"'
TWO_MONTHS = '"2026-01-30", "2026-01-31", "2026-02-01", "2026-02-02"'


@contextmanager
def service(*command: str, environ: dict[str, str], log: Path) -> Iterator[None]:
    """A process of its own group that runs until the end of the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environ, stdout=output, stderr=output, start_new_session=True, cwd=log.parent
        )
        try:
            yield
            assert process.poll() is None, f"{command} ended early:\n{log.read_text()[-4000:]}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def graphql(port: int, query: str) -> Any:
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)["data"]


def wait_for(what: Callable[[], Any], *, seconds: float, logs: Path) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := what():
                return found
        except (urllib.error.URLError, ConnectionError):
            pass  # not listening yet
        if time.monotonic() > deadline:
            tails = [f"--- {log.name}\n{log.read_text()[-3000:]}" for log in logs.glob("*.log")]
            raise AssertionError("nothing happened in time:\n" + "\n".join(tails))
        time.sleep(0.5)


def test_a_schedule_ticks_for_real_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    home = tmp_path / "dagster_home"
    home.mkdir()
    shutil.copy(REPOSITORY / "deploy" / "postgres" / "dagster.yaml", home)
    variables = environment(
        tmp_path,
        DAGSTER_HOME=str(home),
        DAGSTER_POSTGRES_URL=postgres_url.replace("postgresql://", "postgresql+psycopg2://", 1),
        EXPORT_LEDGER_URL=postgres_url,  # one database for both: the tables have different names
        EXPORT_MIN_INTERVAL_MINUTES="1",
    )
    schedules = {"minutely": {"cron": "* * * * *", "timezone": "Europe/Berlin"}}
    entries = {"students": {"schedule": "minutely"}, "leavers": {"schedule": "minutely", "on_empty": "skip"}}
    entries["leavers"]["datasets"] = {"leavers": {"table": "students", "filters": {"status": "nobody"}}}
    entries["joined"] = {"combine": "month"}
    settings = write_project(tmp_path, entries, environ=variables, schedules=schedules)
    environ = os.environ | variables
    port = free_port()
    workspace = ("--workspace", str(REPOSITORY / "workspace.yaml"))
    web = (sys.executable, "-m", "dagster_webserver", *workspace, "--host", "127.0.0.1", "--port", str(port))
    daemon = (sys.executable, "-m", "dagster._daemon", "run", *workspace)
    with (
        service(*web, environ=environ, log=tmp_path / "web.log"),
        service(*daemon, environ=environ, log=tmp_path / "daemon.log"),
    ):

        def green() -> Any:
            found = graphql(port, RUNS)["runsOrError"]["results"]
            failed = [run for run in found if run["status"] == "FAILURE"]
            assert not failed, (failed, (tmp_path / "daemon.log").read_text()[-6000:])
            return [run for run in found if run["status"] == "SUCCESS"]

        run = wait_for(green, seconds=240, logs=tmp_path)[-1]
        for name, keys in (("students", TWO_DAYS), ("joined", TWO_MONTHS)):
            assert graphql(port, BACKFILL % (name, keys))["launchPartitionBackfill"]["backfillId"]

        def backfilled() -> bool:
            keys = {row.manifest.partition for row in artifacts.find(Project.load(settings).ledger, export="students")}
            return {"2026-01-05", "2026-01-06"} <= keys

        wait_for(backfilled, seconds=240, logs=tmp_path)

        def joined() -> list[str]:
            rows = artifacts.find(Project.load(settings).ledger, export="joined")
            assert len({row.manifest.run_id for row in rows}) <= 1
            return sorted(row.manifest.span for row in rows) if len(rows) == 2 else []

        found = wait_for(joined, seconds=240, logs=tmp_path)
        wait_for(lambda: len(green()) >= 4, seconds=60, logs=tmp_path)
    assert found == ["2026-01-30--2026-01-31", "2026-02-01--2026-02-02"]
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert tags["exports/schedule"] == "minutely"
    made = Project.load(settings)
    published = artifacts.find(made.ledger, export="students", run_id=run["runId"])
    assert len(published) == 1
    assert published[0].manifest.scheduled_at is not None
    assert published[0].manifest.partition == tags["dagster/partition"]
    assert artifacts.find(made.ledger, export="leavers") == []
    assert verify(made.store("local"), made.ledger).problems == []
