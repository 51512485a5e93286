"""The mail server is down and the sender is killed: no failure is lost, and nothing arrives more than once per kill.

`make test-faults` does the same with ten minutes of outage and 550 failures.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from export_pipelines_tests.notify_servers import SmtpServer, smtp_server
from export_pipelines_tests.outages import Outage, Received, kill, running, wait_until


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    with smtp_server() as made:
        yield made


def test_nothing_is_lost_while_the_server_is_down_and_the_sender_is_killed(tmp_path: Path, server: SmtpServer) -> None:
    outage = Outage(tmp_path, 40, server)
    server.stop()
    with dg.instance_for_test() as instance, running(outage.sender()) as sender:
        outage.fail(instance, outage.names[:10])
        outage.observe(instance)  # the first tick ever, after the failures
        outage.fail(instance, outage.names[10:])
        outage.observe(instance)
        kill(sender)
    server.start()
    with running(outage.sender()) as sender:
        wait_until(lambda: len(server.mails) >= 15, seconds=60)
        kill(sender)
    with running(outage.sender()):
        wait_until(lambda: Received.of(server).exports >= set(outage.names), seconds=60)
    received = Received.of(server)
    assert len(received.ids) == 40
    assert received.duplicates <= 1
