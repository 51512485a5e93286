"""The sender contract, and what is particular about Apprise. Its service for JSON stands for all others."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from export_pipelines.errors import ConfigurationError, RecipientUnavailableError
from export_pipelines.notify.apprise import AppriseSender
from export_pipelines.notify.message import Sender
from export_pipelines.settings import Settings
from export_pipelines.spec.recipients import AppriseRecipient
from export_pipelines_tests.contracts.sender_contract import Post, Received, SenderContract, assert_without, letter
from export_pipelines_tests.contracts.source_secrets import shown
from export_pipelines_tests.notify_servers import WebhookServer, webhook_server

TOKEN = "token-canary-T00000000-B0000"
TO = AppriseRecipient(type="apprise", url="${env:HOOK_URL}")


class ApprisePost(Post):
    """An HTTP server behind a URL that is a secret."""

    secrets = (TOKEN, "user-canary", "canary-p")

    def __init__(self, server: WebhookServer) -> None:
        self.server = server

    def environment(self) -> dict[str, str]:
        password = "canary-p%C3%A4ssword%2Fwith%40signs"
        url = f"json://user-canary:{password}@127.0.0.1:{self.server.port}/services/{TOKEN}/?rto=0.5&cto=2"
        return {"HOOK_URL": url}

    def recipient(self) -> Any:
        return TO

    def received(self) -> list[Received]:
        return [Received(None, post.json["title"], post.json["message"]) for post in self.server.posts]

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        self.server.start()

    def refuse_for_now(self) -> None:
        self.server.status = 503

    def mute(self) -> None:
        self.server.silent = True


class TestAppriseSender(SenderContract):
    factory = AppriseSender

    @pytest.fixture
    def post(self) -> Iterator[ApprisePost]:
        with webhook_server() as server:
            yield ApprisePost(server)

    @pytest.mark.parametrize(
        ("level", "kind"), [("success", "success"), ("failure", "failure"), ("warning", "warning"), ("digest", "info")]
    )
    def test_levels(self, post: ApprisePost, sender: Sender, level: str, kind: str) -> None:
        sender.send(letter(level=level), TO)
        assert post.server.posts[0].json["type"] == kind

    def test_the_answers_status_is_told(self, post: ApprisePost, sender: Sender) -> None:
        post.server.status = 404
        with pytest.raises(
            RecipientUnavailableError, match=r"\$\{env:HOOK_URL\} did not take the message: it answered 404"
        ):
            sender.send(letter(), TO)

    @pytest.mark.parametrize("url", ["nonsense-canary", "slack://canary", "unknown://canary/x", "json://", ""])
    def test_a_url_that_apprise_does_not_know_is_not_shown(
        self, url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with (
            AppriseSender(Settings({"HOOK_URL": url})) as sender,
            caplog.at_level(1),
            pytest.raises(ConfigurationError, match="HOOK_URL") as caught,
        ):
            sender.send(letter(), TO)
        output = capfd.readouterr()
        assert "canary" not in shown(caught.value) + caplog.text + output.out + output.err

    def test_no_log_shows_the_url(
        self, post: ApprisePost, sender: Sender, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with caplog.at_level(1), caplog.at_level(1, "apprise"):
            sender.send(letter(), TO)
            post.server.status = 500
            with pytest.raises(RecipientUnavailableError):
                sender.send(letter(), TO)
            post.stop()
            with pytest.raises(RecipientUnavailableError) as caught:
                sender.send(letter(), TO)
            logging.getLogger("apprise").warning("of somebody else")
        assert_without(caught.value, post)
        output = capfd.readouterr()
        assert "of somebody else" in caplog.text
        assert all(secret not in caplog.text + output.out + output.err for secret in post.secrets)

    def test_what_is_too_long_for_the_service_is_cut(self, post: ApprisePost, sender: Sender) -> None:
        sender.send(letter(text="word " * 100_000), TO)
        assert post.server.posts[0].json["message"].startswith("word word")
        assert len(post.server.posts[0].json["message"]) < 100_000

    def test_the_route_is_the_reference(self, sender: Sender) -> None:
        assert sender.route(TO) == "apprise ${env:HOOK_URL}"


def test_apprise_is_imported_when_it_is_used() -> None:
    script = "import sys, export_pipelines.notify.apprise; print('apprise' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
