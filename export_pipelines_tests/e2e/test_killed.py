"""Worker, code server and daemon killed together: after a restart the owner hears of it, once."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from pathlib import Path

import pytest

from export_pipelines.ledger import pulses, runs
from export_pipelines.project import Project
from export_pipelines_tests.e2e.test_live import REPOSITORY, service, wait_for
from export_pipelines_tests.notify_servers import SmtpServer, smtp_server
from export_pipelines_tests.projects import environment, write_project

OWNER = "owner@example.org"
PROMISED_SECONDS = 300


@pytest.mark.timeout(900)
def test_the_owner_hears_of_a_run_that_died_with_everything(tmp_path: Path, postgres_url: str) -> None:
    home = tmp_path / "dagster_home"
    home.mkdir()
    shutil.copy(REPOSITORY / "deploy" / "postgres" / "dagster.yaml", home)
    with smtp_server() as server:
        variables = environment(
            tmp_path,
            DAGSTER_HOME=str(home),
            DAGSTER_POSTGRES_URL=postgres_url.replace("postgresql://", "postgresql+psycopg2://", 1),
            EXPORT_LEDGER_URL=postgres_url,
            **server.environment(),
        )
        slow = {
            "source": "slow",
            "owners": [OWNER],
            "schedule": {"cron": "0 0 1 1 *"},  # the run is launched by hand
            "datasets": {"slow": {"sql": "select pg_sleep(600)::text as nothing"}},
        }
        settings = write_project(
            tmp_path, {"students": slow}, environ=variables, connections={"slow": {"url": postgres_url}}
        )
        environ = os.environ | variables
        workspace = ("--workspace", str(REPOSITORY / "workspace.yaml"))
        daemon = (sys.executable, "-m", "dagster._daemon", "run", *workspace)
        launch = (sys.executable, "-m", "dagster", "job", "launch", *workspace, "--job", "exports_students_schedule")
        tags = json.dumps({"dagster/partition": "2026-01-05"})
        made = Project.load(settings)

        def working() -> list[str]:
            return [row.run_id for row in runs.recent(made.ledger) if row.state == "running"]

        with (tmp_path / "daemon_1.log").open("wb") as log:
            process = subprocess.Popen(daemon, env=environ, stdout=log, stderr=log, start_new_session=True)
            try:
                subprocess.run([*launch, "--tags", tags], env=environ, check=True, capture_output=True)
                (dead,) = wait_for(working, seconds=240, logs=tmp_path)
            finally:
                kill_everything_of(home)
                process.wait()
        assert working() == [dead]  # nobody has said that it died
        assert len(server.mails) == 0
        with service(*daemon, environ=environ, log=tmp_path / "daemon_2.log"):
            wait_for(lambda: told(server), seconds=PROMISED_SECONDS, logs=tmp_path)
            heard = datetime.now(UTC)
            wait_for(lambda: working() not in ([], [dead]), seconds=120, logs=tmp_path)  # the run is repeated
            wait_for(lambda: ticked(made, heard + timedelta(seconds=75)), seconds=180, logs=tmp_path)
        kill_everything_of(home)  # the repeated run, which would take ten minutes
        (subject,) = told(server)
        assert "students" in subject


def ticked(made: Project, after: datetime) -> bool:
    """Whether the sensors have ticked since then."""
    seen = pulses.read(made.ledger)
    return seen[pulses.OBSERVER].at > after and seen[pulses.SENDER].at > after


def told(server: SmtpServer) -> list[str]:
    """Subjects of the messages to the owner."""
    return [str(message_from_bytes(mail.raw)["Subject"]) for mail in server.mails]


def kill_everything_of(home: Path) -> None:
    """SIGKILL, at once, for every process that belongs to the instance: daemon, code server, workers."""
    mark = f"DAGSTER_HOME={home}".encode()
    mine = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if mark in _read(path).split(b"\0")]
    for pid in mine:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended, or is not ours
        return b""
