"""How long the sensors take for 1,000 runs that end in the same minute, on PostgreSQL.

    python benchmarks/observe_runs.py [--runs 1000]

Half of the runs failed, half published. Prints the seconds of one tick of the observer, and of routing and sending a
message for each failure to a mail server on this machine. Both must be done within a minute; exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.test_utils import create_run_for_test

from export_pipelines.ledger import runs
from export_pipelines.notify.drain import drain
from export_pipelines.orchestration.assets import asset_key
from export_pipelines.orchestration.observer import observe
from export_pipelines.project import Project
from export_pipelines_tests.notify_servers import smtp_server
from export_pipelines_tests.projects import environment, write_project
from export_pipelines_tests.servers import postgres_server


def main() -> int:
    """Make the runs, look at them, send."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    number = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as directory, postgres_server() as postgres, smtp_server() as server:
        names = [f"e{index:04}" for index in range(number)]
        environ = environment(Path(directory), **server.environment(EXPORT_LEDGER_URL=postgres.url()))
        exports = {name: {"owners": ["owner@example.org"]} for name in names}
        notify = {"default": {"group_over": 10_000}}
        made = Project.load(write_project(Path(directory), exports, environ=environ, notify=notify))
        url = postgres.url(driver="psycopg2")
        with dg.instance_for_test({"storage": {"postgres": {"postgres_url": url}}}) as instance:
            for index, name in enumerate(names):
                _end_a_run(made, instance, name, fails=index % 2 == 0)
            began = time.monotonic()
            observe(made, instance, since=None, names=(), now=datetime.now(UTC))
            observed = time.monotonic() - began
            began = time.monotonic()
            done = drain(made, seconds=600)
            drained = time.monotonic() - began
    print(f"runs={number} observed_seconds={observed:.1f} sent={done.sent} sent_seconds={drained:.1f}")
    return 0 if observed + drained < 60 and done.sent == (number + 1) // 2 else 1


def _end_a_run(made: Project, instance: dg.DagsterInstance, name: str, *, fails: bool) -> None:
    partition = "2026-01-05"
    started = dg.DagsterRunStatus.STARTED
    tags = {"dagster/partition": partition}
    run = create_run_for_test(instance, job_name="e", status=started, asset_selection={asset_key(name)}, tags=tags)
    number = runs.start(made.ledger, run_id=run.run_id, export=name, partition=partition, now=datetime.now(UTC))
    if fails:
        runs.finish(made.ledger, number, "failed", error="disk full")
        instance.report_run_failed(run, "Steps failed")
    else:
        runs.finish(made.ledger, number, "published", artifact_id=uuid.uuid4().hex, rows=1, bytes=1)
        event = DagsterEvent(DagsterEventType.RUN_SUCCESS.value, job_name="e", message="done")
        instance.report_dagster_event(event, run_id=run.run_id)


if __name__ == "__main__":
    raise SystemExit(main())
