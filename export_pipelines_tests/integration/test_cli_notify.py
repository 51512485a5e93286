"""`exports notify`, and the damage that `exports verify` reports."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from export_pipelines.notify import events
from export_pipelines.notify.events import Sighting
from export_pipelines.project import Project
from export_pipelines.settings import Settings
from export_pipelines_tests.integration.cli_project import Cli
from export_pipelines_tests.notify_servers import SmtpServer, WebhookServer, smtp_server, webhook_server

SECRET = "whsec_c2VjcmV0LWZvci10ZXN0cw=="


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with smtp_server() as server:
        yield server


@pytest.fixture
def hook() -> Iterator[WebhookServer]:
    with webhook_server() as server:
        yield server


@pytest.fixture
def cli(tmp_path: Path, smtp: SmtpServer, hook: WebhookServer) -> Cli:
    made = Cli(tmp_path)
    recipients = {
        "ops": {"type": "email", "to": ["ops@example.org"]},
        "partner": {"type": "webhook", "url": hook.url, "secret": "${env:HOOK_SECRET}"},
    }
    made.use({"students": {}}, recipients=recipients, notify={"default": {"failure": ["ops", "partner"]}})
    made.environ |= smtp.environment(HOOK_SECRET=SECRET)
    return made


def fail(cli: Cli, number: int = 1, export: str = "students") -> None:
    details = {"cause": "disk full"}
    seen = Sighting(
        key=f"failed:{number}", kind="failed", happened_at=datetime.now(UTC), export=export, details=details
    )
    events.record(Project.load(Settings(cli.environ)), [seen])


def test_what_is_due_is_sent_and_listed(cli: Cli, smtp: SmtpServer, hook: WebhookServer) -> None:
    fail(cli)
    assert cli.json("notify", "send") == {"sent": 2, "failed": 0, "waiting": 0, "busy": False}
    assert cli.json("notify", "send")["sent"] == 0
    assert [mail.recipients for mail in smtp.mails] == [["ops@example.org"]]
    assert hook.verify(SECRET)
    listed = cli.json("notify", "list")["messages"]
    assert {(row["recipient"], row["state"], row["kind"], row["export"]) for row in listed} == {
        ("ops", "sent", "failed", "students"),
        ("partner", "sent", "failed", "students"),
    }
    assert "failed students" in cli("notify", "list").stdout


def test_a_server_that_is_down_is_said_and_tried_again(cli: Cli, smtp: SmtpServer) -> None:
    smtp.stop()
    fail(cli)
    assert cli.json("notify", "send", code=1) == {"sent": 1, "failed": 0, "waiting": 1, "busy": False}
    (row,) = cli.json("notify", "list", "--state", "pending")["messages"]
    assert row["attempts"] == 1
    assert "127.0.0.1" in row["error"]


def test_what_was_postponed_goes_as_soon_as_the_recipient_is_reached(cli: Cli, smtp: SmtpServer) -> None:
    smtp.stop()
    ledger = Project.load(Settings(cli.environ)).ledger
    for number in range(3):
        fail(cli, number, export=f"e{number}")
        cli("notify", "send", code=1)
    with ledger.write() as connection:  # the pause of the first one is over
        connection.execute(
            text("update export_messages set attempts = 3, next_attempt_at = '2999-01-01 00:00:00.000000'")
        )
        oldest = "select min(created_at) from export_messages where recipient = 'ops'"
        change = "update export_messages set next_attempt_at = '2020-01-01 00:00:00.000000' where created_at = ({})"
        connection.execute(text(change.format(oldest)))
    smtp.start()
    assert cli.json("notify", "send")["sent"] == 3
    assert len(smtp.mails) == 3


def test_a_refused_message_can_be_tried_again(cli: Cli, smtp: SmtpServer) -> None:
    smtp.refused["ops@example.org"] = "550 unknown user"
    fail(cli)
    assert cli.json("notify", "send", code=1)["failed"] == 1
    assert "550" in cli.json("notify", "list", "--state", "failed")["messages"][0]["error"]
    smtp.refused.clear()
    assert cli.json("notify", "retry") == {"messages": 1}
    assert cli.json("notify", "send")["sent"] == 1
    assert len(smtp.mails) == 1


def test_a_test_message_goes_at_once(cli: Cli, smtp: SmtpServer) -> None:
    assert "Sent to ops" in cli("notify", "test", "ops").stdout
    cli("notify", "test", "ann@example.org")
    assert [mail.recipients for mail in smtp.mails] == [["ops@example.org"], ["ann@example.org"]]
    assert "Known: ops, partner" in cli("notify", "test", "opps", code=1).stderr


def test_watching_sends_until_it_is_told_to_stop(cli: Cli, smtp: SmtpServer) -> None:
    command, environ = cli.program("notify", "send", "--watch", "--every", "0.1")
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    fail(cli)
    assert process.stdout.readline() == "2 sent, 0 waiting, 0 refused\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert len(smtp.mails) == 1


def test_damage_is_reported_once(cli: Cli, smtp: SmtpServer) -> None:
    cli("run", "students", "--partition", "2026-01-05")
    (file,) = (cli.root / "out").rglob("*.csv")
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    for _ in range(2):
        cli("verify", code=1)
        cli("notify", "send")
    (mail,) = smtp.mails
    assert b"students" in mail.raw
    now = datetime.now(UTC)
    ledger = Project.load(Settings(cli.environ)).ledger
    assert [event.kind for event in events.between(ledger, now - timedelta(hours=1), now)] == ["damaged"]
