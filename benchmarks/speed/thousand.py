"""A thousand exports that are due in the same minute, on PostgreSQL, with a real daemon.

    python -m benchmarks.speed.thousand [--exports 1000] [--default 40]

Our way: one named schedule. Dagster's default way: a run for each export, and its default executor; so many exports
are measured, and the time of all is extrapolated. Prints the seconds from the tick until the last one is published.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from benchmarks.speed.many import write_exports
from export_pipelines.project import Project
from export_pipelines.settings import load_settings
from export_pipelines_tests.e2e.test_live import REPOSITORY, service
from export_pipelines_tests.servers import PostgresServer, postgres_server

MOST_SECONDS = 120
REACH = 20
_LEAD = timedelta(seconds=50)  # before the tick, for everything to start


def main() -> int:
    """Measure both ways and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exports", type=int, default=1000)
    parser.add_argument("--default", type=int, default=40, help="exports that are run the default way")
    options = parser.parse_args()
    with postgres_server() as server:
        ours = seconds(server, options.exports)
        default = seconds(server, options.default, batch_size=1) * options.exports / options.default
    ratio = default / ours
    print(f"exports={options.exports} seconds={ours:.0f} default_seconds={default:.0f} ratio={ratio:.1f}")
    return 0 if ours <= MOST_SECONDS and ratio >= REACH else 1


def seconds(server: PostgresServer, exports: int, *, batch_size: int = 50) -> float:
    """From the tick until all are published."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="thousand-")))
        url = server.url(stack.enter_context(server.database()))
        tick = (datetime.now(UTC) + _LEAD + timedelta(minutes=1)).replace(second=0, microsecond=0)
        environ = _project(root, url, exports, tick, batch_size)
        ledger = Project.load(load_settings(environ)).ledger
        command = (sys.executable, "-m", "dagster._daemon", "run", "--workspace", str(REPOSITORY / "workspace.yaml"))
        stack.enter_context(service(*command, environ=environ, log=root / "daemon.log"))
        while True:
            with ledger.read() as connection:
                done = connection.execute(text("select count(*) from export_artifacts")).scalar_one()
            passed = (datetime.now(UTC) - tick).total_seconds()
            if done >= exports:
                return passed
            if passed > 1800:
                print((root / "daemon.log").read_text()[-4000:])
                raise SystemExit(f"after {passed:.0f} s {done} of {exports} are published")
            time.sleep(0.5)


def _project(root: Path, url: str, exports: int, tick: datetime, batch_size: int) -> dict[str, str]:
    home = root / "dagster_home"
    home.mkdir()
    shutil.copy(REPOSITORY / "deploy" / "postgres" / "dagster.yaml", home)
    schedule = {"cron": f"{tick.minute} {tick.hour} * * *", "batch_size": batch_size}
    variables = write_exports(root, exports, schedule="due")
    (root / "specs" / "schedules.yaml").write_text(f"schedules: {{due: {schedule}}}\n")
    variables |= {"DAGSTER_HOME": str(home), "EXPORT_LEDGER_URL": url}
    variables["DAGSTER_POSTGRES_URL"] = url.replace("postgresql://", "postgresql+psycopg2://", 1)
    return {**os.environ, **variables}


if __name__ == "__main__":
    raise SystemExit(main())
