"""CPU seconds of an evaluation of the sensor `catch_up` while nothing is due, and while all exports wait for something.

    python benchmarks/idle_catch_up.py [--exports 1000] [--evaluations 60]

Evaluations are ten seconds apart; exports tick every hour, at four different minutes, half of them with a schedule of
their own. Ends with 1 if an idle evaluation costs more than 0.3 s.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from export_pipelines.ledger import due
from export_pipelines.orchestration.catch_up import catch_up
from export_pipelines.project import Project
from export_pipelines_tests.projects import environment, write_project
from export_pipelines_tests.servers import postgres_server

MOST_SECONDS = 0.3
STEP = timedelta(seconds=10)
START = datetime(2026, 3, 2, 12, 5, tzinfo=UTC)


def main() -> int:
    """Measure one export and many, on SQLite and PostgreSQL."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exports", type=int, default=1000)
    parser.add_argument("--evaluations", type=int, default=60)
    options = parser.parse_args()
    slowest = 0.0
    with postgres_server() as server, dg.instance_for_test() as instance:
        for number in (1, options.exports):
            for backend in ("sqlite", "postgresql"):
                with tempfile.TemporaryDirectory() as directory, server.database() as name:
                    extra = {"EXPORT_LEDGER_URL": server.url(name)} if backend == "postgresql" else {}
                    made = _project(Path(directory), number, extra)
                    slowest = max(slowest, _measure(made, instance, options.evaluations))
    return 0 if slowest <= MOST_SECONDS else 1


def _project(root: Path, number: int, extra: dict[str, str]) -> Project:
    own = [{"cron": f"{minute} * * * *"} for minute in (0, 15, 30, 45)]
    shared = {f"s{position}": schedule for position, schedule in enumerate(own)}
    entries: dict[str, Any] = {
        f"e{n}": {"partition": "hourly", "schedule": own[n % 4] if n % 2 else f"s{n % 4}"} for n in range(number)
    }
    environ = environment(root, **extra)
    return Project.load(write_project(root, entries, environ=environ, schedules=shared))


def _measure(made: Project, instance: dg.DagsterInstance, evaluations: int) -> float:
    """Print what evaluations cost; the mean of the idle ones in CPU seconds."""
    now = START
    catch_up(made, instance, now)
    idle = []
    for _ in range(evaluations):
        now += STEP
        began = time.process_time(), time.monotonic()
        done = catch_up(made, instance, now)
        idle.append((time.process_time() - began[0], time.monotonic() - began[1]))
        if done.requests or done.waiting:
            raise SystemExit("something was due")
    noting = time.process_time()
    catch_up(made, instance, START + timedelta(hours=2))
    noting = time.process_time() - noting
    waiting = time.process_time()
    catch_up(made, instance, START + timedelta(hours=2) + STEP)
    waiting = time.process_time() - waiting
    cpu, wall = (sum(column) / evaluations for column in zip(*idle, strict=True))
    kind, number = made.ledger.url.get_backend_name(), len(made.specs.exports)
    worst = max(seconds for seconds, _ in idle)
    print(f"{kind}: exports={number} idle_cpu={cpu:.4f} s worst={worst:.4f} s wall={wall:.4f} s", end=" ")
    print(f"noting_cpu={noting:.2f} s due={due.count(made.ledger, 'due')} waiting_cpu={waiting:.2f} s", flush=True)
    made.ledger.close()
    return cpu


if __name__ == "__main__":
    sys.exit(main())
