"""A thousand exports that are due in the same minute, on PostgreSQL, with a real daemon.

    python -m benchmarks.speed.thousand [--exports 1000] [--default 40] [--batch-size N] [--storage custom|postgres]

Our way: one named schedule. The default way: plain assets that write CSV with pandas, a run for each, and Dagster's own
settings; so many are measured, and the time of all is extrapolated from the first to the last of them. Prints the
seconds from the tick until the last one is published, and the CPU seconds of Dagster and of PostgreSQL.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from sqlalchemy import text

from benchmarks.speed.many import write_exports
from benchmarks.speed.process_tree import child, cpu_seconds
from benchmarks.speed.race import Result
from export_pipelines.project import Project
from export_pipelines.settings import load_settings
from export_pipelines_tests.e2e.test_live import REPOSITORY, service
from export_pipelines_tests.servers import PostgresServer, postgres_server

MOST_SECONDS = 120
REACH = 20
_LEAD = timedelta(seconds=25)  # before the minute of the tick, for everything to start
_PATIENCE = 1800


@dataclass(frozen=True)
class Passed:
    """Seconds from the tick to the first and to the last file, and CPU seconds of Dagster and of PostgreSQL."""

    number: int
    first: float
    last: float
    cpu: float
    postgres: float

    def of(self, number: int) -> Passed:
        """The same for so many, at the pace of those after the first."""
        last = self.first + (self.last - self.first) / (self.number - 1) * (number - 1)
        share = number / self.number
        return Passed(number, self.first, last, self.cpu * share, self.postgres * share)

    def __str__(self) -> str:
        return f"{self.last:.0f} s, CPU {self.cpu:.0f} s and {self.postgres:.0f} s of PostgreSQL"


def main() -> int:
    """Measure both ways and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exports", type=int, default=1000)
    parser.add_argument("--default", type=int, default=40, help="assets that are run the default way; 0: none")
    parser.add_argument("--batch-size", type=int, help="of the schedule; default: its default")
    parser.add_argument("--storage", default="custom", choices=["custom", "postgres"], help="as in dagster.yaml")
    options = parser.parse_args()
    with postgres_server() as server:
        ours = _ours(server, options.exports, batch_size=options.batch_size, storage=options.storage)
        print(f"{options.exports} exports: {ours}", flush=True)
        if not options.default:
            return 0
        measured = _plain(server, options.default)
    default = measured.of(options.exports)
    ratio, ratio_cpu = default.last / ours.last, (default.cpu + default.postgres) / (ours.cpu + ours.postgres)
    print(f"{options.default} plain assets: {measured}; {options.exports}: {default}")
    print(f"ratio={ratio:.1f} ratio_of_cpu={ratio_cpu:.1f}")
    return 0 if ours.last <= MOST_SECONDS and ratio >= REACH else 1


def results(only: str, *, exports: int = 1000, default: int = 40) -> Iterator[Result]:
    """Both ways as rows of the table."""
    name = f"{exports:,} exports due in one minute"
    if only not in name:
        return
    with postgres_server() as server:
        ours = _ours(server, exports)
        measured = _plain(server, default)
    plain = measured.of(exports)
    yield Result(
        f"{name}, all published", "–", ours.last, f"≤ {MOST_SECONDS} s", ours.last <= MOST_SECONDS, note=str(ours)
    )
    ratio, note = plain.last / ours.last, f"{default} plain assets: {measured}; {exports:,} of them: {plain}"
    yield Result(name, "a Dagster run each", ratio, f"≥ {REACH} ×", ratio >= REACH, note=note)


def _ours(server: PostgresServer, exports: int, *, batch_size: int | None = None, storage: str = "custom") -> Passed:
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="thousand-")))
        url = server.url(stack.enter_context(server.database()))
        tick = _next_tick()
        schedule = {"cron": f"{tick.minute} {tick.hour} * * *"} | ({"batch_size": batch_size} if batch_size else {})
        variables = write_exports(root, exports, schedule="due") | {"EXPORT_LEDGER_URL": url}
        (root / "specs" / "schedules.yaml").write_text(yaml.safe_dump({"schedules": {"due": schedule}}))
        ledger = Project.load(load_settings(variables)).ledger
        stack.callback(ledger.close)

        def _published() -> int:
            with ledger.read() as connection:
                return int(connection.execute(text("select count(*) from export_artifacts")).scalar_one())

        _home(root, storage)
        workspace = ("--workspace", str(REPOSITORY / "workspace.yaml"))
        variables |= {"DAGSTER_EVENT_BATCH_SIZE": "100"}  # as in deploy/postgres/env.example
        return _Race(server, root, url, tick).run(workspace, variables, number=exports, done=_published)


def _plain(server: PostgresServer, assets: int) -> Passed:
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plain-")))
        url = server.url(stack.enter_context(server.database()))
        tick = _next_tick()
        write_exports(root, 0)
        variables = {"PLAIN_ASSETS": str(assets), "PLAIN_DATABASE": str(root / "data.db"), "PLAIN_OUT": str(root)}
        variables |= {"PLAIN_CRON": f"{tick.minute} {tick.hour} * * *", "PYTHONPATH": str(REPOSITORY)}
        home = _home(root, "postgres")
        both = yaml.safe_load((home / "dagster.yaml").read_text())
        (home / "dagster.yaml").write_text(yaml.safe_dump({key: both[key] for key in ("storage", "telemetry")}))
        workspace = ("--module-name", "benchmarks.speed.plain_dagster")
        return _Race(server, root, url, tick).run(
            workspace, variables, number=assets, done=lambda: len(list(root.glob("*.csv")))
        )


def _next_tick() -> datetime:
    return (datetime.now(UTC) + _LEAD + timedelta(minutes=1)).replace(second=0, microsecond=0)


def _home(root: Path, storage: str) -> Path:
    """The home of Dagster with the configuration for PostgreSQL, with the class of storage that this names."""
    home = root / "dagster_home"
    home.mkdir()
    shutil.copy(REPOSITORY / "deploy" / "postgres" / "dagster.yaml", home)
    if storage == "postgres":
        both = yaml.safe_load((home / "dagster.yaml").read_text())
        both["storage"] = {"postgres": both["storage"]["custom"]["config"]}
        (home / "dagster.yaml").write_text(yaml.safe_dump(both))
    return home


@dataclass(frozen=True)
class _Race:
    """A daemon that is started before its tick. `root` holds its home, `url` is its database."""

    server: PostgresServer
    root: Path
    url: str
    tick: datetime

    def run(
        self, workspace: tuple[str, str], variables: dict[str, str], *, number: int, done: Callable[[], int]
    ) -> Passed:
        """Wait until so many are `done`."""
        environ = {**os.environ, **variables, "DAGSTER_HOME": str(self.root / "dagster_home")}
        environ["DAGSTER_POSTGRES_URL"] = self.url.replace("postgresql://", "postgresql+psycopg2://", 1)
        command = (sys.executable, "-m", "dagster._daemon", "run", *workspace)
        with ExitStack() as stack:
            stack.enter_context(service(*command, environ=environ, log=self.root / "daemon.log"))
            daemon = child(os.getpid(), "dagster._daemon")
            with ExitStack() as after:  # its code server waits for runs
                after.callback(_kill_group, daemon)
                after.push(stack.pop_all())
                return self._watch(daemon, number, done)

    def _watch(self, daemon: int, number: int, done: Callable[[], int]) -> Passed:
        roots = daemon, _postmaster(self.server)
        time.sleep(max(0.0, (self.tick - datetime.now(UTC)).total_seconds()))
        before, first = [cpu_seconds(root) for root in roots], 0.0
        while True:
            ready, passed = done(), (datetime.now(UTC) - self.tick).total_seconds()
            first = first or (passed if ready else 0.0)
            if ready >= number:
                spent = [cpu_seconds(root) - earlier for root, earlier in zip(roots, before, strict=True)]
                return Passed(number, first, passed, *spent)
            if passed > _PATIENCE:
                print((self.root / "daemon.log").read_text()[-4000:])
                raise SystemExit(f"after {passed:.0f} s {ready} of {number} are published")
            time.sleep(0.5)


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _postmaster(server: PostgresServer) -> int:
    return int(next(server.directory.rglob("postmaster.pid")).read_text().split()[0])


if __name__ == "__main__":
    raise SystemExit(main())
