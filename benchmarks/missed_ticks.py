"""Stop the Dagster daemon for minutes while exports should run every minute, and count what is missing afterwards.

    python benchmarks/missed_ticks.py [--away-seconds 190] [--within-seconds 180]

A real daemon on PostgreSQL makes one minutely export. It is stopped, and after `--away-seconds` started again. Within
`--within-seconds` from then, every minute since the first one must be published, each exactly once. Exits with 1
otherwise.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from export_pipelines.ledger import artifacts
from export_pipelines.project import Project
from export_pipelines_tests.e2e.test_live import REPOSITORY, service, wait_for
from export_pipelines_tests.projects import environment, write_project
from export_pipelines_tests.servers import postgres_server

_MINUTE = timedelta(minutes=1)


def main() -> int:
    """Run it and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--away-seconds", type=float, default=190)
    parser.add_argument("--within-seconds", type=float, default=180)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, postgres_server() as server, server.database() as name:
        return _play(Path(directory), server.url(name), options)


def _play(root: Path, url: str, options: argparse.Namespace) -> int:
    environ = _project(root, url)
    made = Project.load()
    daemon = (sys.executable, "-m", "dagster._daemon", "run", "--workspace", str(REPOSITORY / "workspace.yaml"))
    with service(*daemon, environ=environ, log=root / "first.log"):
        wait_for(lambda: len(_published(made)) >= 2, seconds=300, logs=root)
    print(f"stopped after {len(_published(made))} partitions, for {options.away_seconds:.0f} s")
    time.sleep(options.away_seconds)
    back = datetime.now(UTC)
    with service(*daemon, environ=environ, log=root / "second.log"):
        deadline = time.monotonic() + options.within_seconds
        while time.monotonic() < deadline and _missing(_published(made), back):
            time.sleep(1)
        seconds = (datetime.now(UTC) - back).total_seconds()
        time.sleep(30)  # what would come twice has time to come
    found = _published(made)
    missing, twice = _missing(found, back), [key for key, number in found.items() if number > 1]
    print(f"partitions={len(found)} missing={len(missing)} duplicates={len(twice)} recovered_seconds={seconds:.0f}")
    return 1 if missing or twice else 0


def _project(root: Path, url: str) -> dict[str, str]:
    """Write specs and the instance's configuration; the environment of the processes, which is ours from now on."""
    home = root / "dagster_home"
    home.mkdir()
    shutil.copy(REPOSITORY / "deploy" / "postgres" / "dagster.yaml", home)
    variables = environment(
        root,
        DAGSTER_HOME=str(home),
        DAGSTER_POSTGRES_URL=url.replace("postgresql://", "postgresql+psycopg2://", 1),
        EXPORT_LEDGER_URL=url,
        EXPORT_MIN_INTERVAL_MINUTES="1",
    )
    entry = {
        "schedule": "minutes",
        "partition": "minutely",
        "start": f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}",
    }
    write_project(root, {"students": entry}, environ=variables, schedules={"minutes": {"cron": "* * * * *"}})
    os.environ |= variables
    return dict(os.environ)


def _published(made: Project) -> Counter[str]:
    """Partition -> how many artifacts it has."""
    return Counter(row.manifest.partition for row in artifacts.find(made.ledger, export="students"))


def _missing(found: Counter[str], until: datetime) -> list[str]:
    """The minutes from the first one published to the last one that was complete then, that are not published."""
    minute = datetime.strptime(min(found), "%Y-%m-%d-%H:%M").replace(tzinfo=UTC)
    keys = []
    while minute + _MINUTE <= until:
        keys.append(f"{minute:%Y-%m-%d-%H:%M}")
        minute += _MINUTE
    return [key for key in keys if key not in found]


if __name__ == "__main__":
    raise SystemExit(main())
