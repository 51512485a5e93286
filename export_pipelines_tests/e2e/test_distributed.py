"""Celery workers on Redis and PostgreSQL, with the configuration of deploy/celery. Run by `make test-distributed`."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import select

from export_pipelines.ledger import artifacts, runs
from export_pipelines.ledger.tables import workers
from export_pipelines.project import Project
from export_pipelines.verify import verify
from export_pipelines_tests.e2e.test_live import REPOSITORY, service, wait_for
from export_pipelines_tests.projects import environment, write_project

EXPORTS = 200
BATCH = 10
WORKSPACE = ("--workspace", str(REPOSITORY / "workspace.yaml"))
pytestmark = [pytest.mark.distributed, pytest.mark.timeout(900)]


@dataclass
class Cluster:
    """A daemon and workers that share a broker, PostgreSQL and a directory."""

    root: Path
    environ: dict[str, str]
    workers: list[Any]
    made: Project


@contextmanager
def cluster(
    root: Path, url: str, *, size: int, exports: dict[str, Any], schedules: dict[str, Any] | None = None
) -> Iterator[Cluster]:
    """Started with these specs; each worker does one run at a time."""
    from export_pipelines_tests.celery_parts import Worker, redis_server, write_instance

    with ExitStack() as stack:
        broker = stack.enter_context(redis_server(root))
        write_instance(root / "home", slots=size)
        variables = environment(
            root,
            DAGSTER_HOME=str(root / "home"),
            DAGSTER_POSTGRES_URL=url.replace("postgresql://", "postgresql+psycopg2://", 1),
            EXPORT_LEDGER_URL=url,
            EXPORT_CELERY_BROKER=f"{broker}/0",
            EXPORT_CELERY_RESULTS=f"{broker}/1",
        )
        settings = write_project(root, exports, environ=variables, schedules=schedules or {})
        environ = os.environ | variables
        daemon = (sys.executable, "-m", "dagster._daemon", "run", *WORKSPACE)
        stack.enter_context(service(*daemon, environ=environ, log=root / "daemon.log"))
        started = []
        for number in range(size):
            started.append(Worker(f"worker_{number}", environ, root))
            stack.callback(started[-1].end)
        yield Cluster(root, environ, started, Project.load(settings))


def at_work(found: Cluster) -> dict[str, int]:
    """Run -> the process that works on it, as the ledger knows."""
    with found.made.ledger.read() as connection:
        return {row.run_id: int(row.holder.split("/")[2]) for row in connection.execute(select(workers))}


def killed_in_the_middle(found: Cluster, victim: Any) -> str | None:
    """Kill the worker and its children if one of them is just making an export; the run that it was at."""
    mine = [run_id for run_id, pid in at_work(found).items() if victim.owns(pid)]
    if not mine or len(artifacts.find(found.made.ledger)) < EXPORTS // 5:
        return None
    victim.signal(signal.SIGSTOP)
    attempts = [row for row in runs.recent(found.made.ledger, limit=EXPORTS) if row.run_id == mine[0]]
    states = {row.state for row in attempts}
    if states != {"running", "published"}:  # it has just begun, or is between two exports
        victim.signal(signal.SIGCONT)
        return None
    victim.signal(signal.SIGKILL)
    return mine[0]


def test_a_killed_worker_loses_and_repeats_nothing(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick = (datetime.now(UTC) + timedelta(seconds=75)).replace(second=0, microsecond=0)
    due = {"due": {"cron": f"{tick.minute} {tick.hour} * * *", "batch_size": BATCH}}
    entries = {f"export_{number:03}": {"schedule": "due"} for number in range(EXPORTS)}
    with cluster(tmp_path, postgres_url, size=2, exports=entries, schedules=due) as found:
        victim, _survivor = found.workers
        dead = wait_for(lambda: killed_in_the_middle(found, victim), seconds=300, logs=tmp_path)
        ledger = found.made.ledger
        wait_for(lambda: len(artifacts.find(ledger)) >= EXPORTS, seconds=400, logs=tmp_path)
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", found.environ["DAGSTER_POSTGRES_URL"])
        for name in ("EXPORT_CELERY_BROKER", "EXPORT_CELERY_RESULTS"):
            monkeypatch.setenv(name, found.environ[name])
        with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
            over = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
            wait_for(lambda: all(run.status in over for run in instance.get_runs()), seconds=120, logs=tmp_path)
            failed = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
            (repeated,) = instance.get_runs(dg.RunsFilter(tags={"dagster/parent_run_id": dead}))
            shown = instance.get_latest_materialization_events([dg.AssetKey(["exports", name]) for name in entries])
        assert [run.run_id for run in failed] == [dead]
        assert repeated.status == dg.DagsterRunStatus.SUCCESS
        assert [key.path[-1] for key, event in shown.items() if event is None] == []
    published = Counter((row.manifest.export, row.manifest.partition) for row in artifacts.find(ledger))
    assert {export for export, _ in published} == set(entries)
    assert set(published.values()) == {1}
    assert len(published) == EXPORTS
    report = verify(found.made.store("local"), ledger)
    assert (report.problems, report.files) == ([], EXPORTS)
    assert not (tmp_path / "out" / ".staging").exists()


def test_a_worker_that_runs_on_reads_changed_specs(tmp_path: Path, postgres_url: str) -> None:
    entry = {"schedule": {"cron": "0 0 1 1 *"}}
    launch = (sys.executable, "-m", "dagster", "job", "launch", *WORKSPACE, "--job", "exports_students_schedule")
    tags = json.dumps({"dagster/partition": "2026-01-05"})
    with cluster(tmp_path, postgres_url, size=1, exports={"students": entry}) as found:

        def files(number: int) -> list[list[str]]:
            rows = artifacts.find(found.made.ledger)
            return [[file.name for file in row.manifest.files] for row in rows] if len(rows) == number else []

        subprocess.run([*launch, "--tags", tags], env=found.environ, check=True, capture_output=True)
        assert wait_for(lambda: files(1), seconds=240, logs=tmp_path) == [["students.csv"]]
        write_project(tmp_path, {"students": {**entry, "formats": ["jsonl"]}}, environ=found.environ)
        subprocess.run([*launch, "--tags", tags], env=found.environ, check=True, capture_output=True)
        assert wait_for(lambda: files(2), seconds=240, logs=tmp_path) == [["students.jsonl"], ["students.csv"]]
