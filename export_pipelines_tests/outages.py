"""A mail server that goes away, runs that fail meanwhile, and a sender that is killed: what reaches the owner."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path

import dagster as dg

from export_pipelines.orchestration.assets import export_asset
from export_pipelines.orchestration.io_managers import io_manager
from export_pipelines.orchestration.observer import observe
from export_pipelines.project import Project
from export_pipelines_tests.notify_servers import SmtpServer
from export_pipelines_tests.projects import environment, write_project

OWNER = "owner@example.org"
_PARTITION = "2026-01-05"


@dataclass
class Received:
    """What the mail server has got, counted from its raw messages."""

    ids: Counter[str] = field(default_factory=Counter)
    exports: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, server: SmtpServer) -> Received:
        """Every message that was accepted so far."""
        found = cls()
        for mail in list(server.mails):
            parsed = message_from_bytes(mail.raw)
            found.ids[str(parsed["Message-ID"])] += 1
            found.exports.update(re.findall(r"\be\d{4}\b", str(parsed["Subject"])))
        return found

    @property
    def duplicates(self) -> int:
        """Messages beyond the first one of each Message-ID."""
        return sum(self.ids.values()) - len(self.ids)


class Outage:
    """A project with many exports that fail, its Dagster instance, and its sender as a process of its own."""

    def __init__(self, root: Path, exports: int, server: SmtpServer) -> None:
        self.names = [f"e{number:04}" for number in range(exports)]
        self.environ = environment(root, **server.environment())
        bad = {"datasets": {"bad": {"sql": "select nonsense"}}, "owners": [OWNER]}
        settings = write_project(
            root,
            dict.fromkeys(self.names, bad),
            environ=self.environ,
            notify={"default": {"group_over": 10_000, "include_statistics": False}},
        )
        self.project = Project.load(settings)
        self.project.specs.require_valid()
        self._position: datetime | None = None

    def fail(self, instance: dg.DagsterInstance, names: Sequence[str]) -> None:
        """Run these exports, each in a run of its own."""
        for name in names:
            result = dg.materialize(
                [export_asset(self.project, self.project.export(name))],
                partition_key=_PARTITION,
                instance=instance,
                resources={"artifacts_local": io_manager(self.project, "local")},
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )
            assert not result.success

    def observe(self, instance: dg.DagsterInstance) -> None:
        """One tick of the sensor that watches Dagster."""
        self._position = observe(self.project, instance, since=self._position, names=(), now=datetime.now(UTC))

    def sender(self) -> subprocess.Popen[bytes]:
        """`exports notify send --watch`, started."""
        command = [sys.executable, "-m", "export_pipelines.cli.main", "notify", "send", "--watch", "--every", "0.5"]
        return subprocess.Popen(command, env=os.environ | self.environ, stderr=subprocess.DEVNULL)


@contextmanager
def running(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The process, killed in the end."""
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End the process without a chance to clean up."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait()


def wait_until(what: Callable[[], bool], *, seconds: float) -> float:
    """Wait until it holds; return how long that took. Raises AssertionError when the time is over."""
    began = time.monotonic()
    while not what():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"did not happen within {seconds:g} s")
        time.sleep(0.02)
    return time.monotonic() - began
