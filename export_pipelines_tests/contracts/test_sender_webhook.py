"""The sender contract, and what is particular about web hooks."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from export_pipelines.errors import ConfigurationError, RecipientRefusedError, RecipientUnavailableError
from export_pipelines.notify.webhook import WebhookSender, signature
from export_pipelines.settings import Settings
from export_pipelines.spec.recipients import WebhookRecipient
from export_pipelines_tests.contracts.sender_contract import Post, Received, SenderContract, assert_without, letter
from export_pipelines_tests.contracts.source_secrets import shown
from export_pipelines_tests.notify_servers import WebhookServer, webhook_server

TOKEN = "token-canary-T00000000-B0000"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class WebhookPost(Post):
    """An HTTP server behind a URL that is a secret."""

    secrets = (TOKEN, SECRET, SECRET[6:], "user-canary", "query-canary")

    def __init__(self, server: WebhookServer) -> None:
        self.server = server

    def environment(self) -> dict[str, str]:
        path = f"{TOKEN}?key=query-canary"
        url = f"http://user-canary:canary-p%C3%A4ssword%2Fwith%40signs@127.0.0.1:{self.server.port}/services/{path}"
        return {"HOOK_URL": url, "HOOK_SECRET": SECRET}

    def recipient(self) -> Any:
        return WebhookRecipient(type="webhook", url="${env:HOOK_URL}", secret="${env:HOOK_SECRET}", timeout_seconds=0.5)

    def received(self) -> list[Received]:
        assert self.server.verify(SECRET)
        return [
            Received(post.headers["webhook-id"], post.json["title"], post.json["cause"]) for post in self.server.posts
        ]

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        self.server.start()

    def refuse_for_now(self) -> None:
        self.server.status = 503

    def mute(self) -> None:
        self.server.silent = True


class TestWebhookSender(SenderContract):
    factory = WebhookSender

    @pytest.mark.parametrize("status", [500, 404])
    def test_a_server_that_quotes_its_url_does_not_make_us_tell_it(
        self, post: WebhookPost, sender: WebhookSender, status: int
    ) -> None:
        post.server.status = status
        post.server.answer = f"no route /services/{TOKEN}?key=query-canary, and not with {SECRET}".encode()
        with pytest.raises((RecipientRefusedError, RecipientUnavailableError), match="no route") as caught:
            sender.send(letter(), post.recipient())
        assert_without(caught.value, post)

    @pytest.fixture
    def post(self) -> Iterator[WebhookPost]:
        with webhook_server() as server:
            yield WebhookPost(server)

    def test_the_body_is_compact_json_in_utf8(self, post: WebhookPost, sender: WebhookSender) -> None:
        data = {"title": "Zoë 数学", "counts": {"events": 2}, "cause": None}
        assert sender.send(letter(data=data), post.recipient()) == ""
        [got] = post.server.posts
        assert got.body == json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
        assert got.headers["content-type"] == "application/json; charset=utf-8"
        assert (got.method, got.headers["user-agent"]) == ("POST", "export-pipelines")

    def test_letters_share_a_connection(self, post: WebhookPost, sender: WebhookSender) -> None:
        for _ in range(3):
            sender.send(letter(), post.recipient())
        assert (len(post.server.posts), post.server.connections) == (3, 1)

    @pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
    def test_every_success_is_one(self, post: WebhookPost, sender: WebhookSender, status: int) -> None:
        post.server.status, post.server.answer = status, b""
        assert sender.send(letter(), post.recipient()) == ""

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507])
    def test_answers_that_may_change(self, post: WebhookPost, sender: WebhookSender, status: int) -> None:
        post.server.status = status
        with pytest.raises(RecipientUnavailableError, match=f"answered {status}: ok"):
            sender.send(letter(), post.recipient())

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 422])
    def test_answers_that_will_not_change(self, post: WebhookPost, sender: WebhookSender, status: int) -> None:
        post.server.status = status
        with pytest.raises(RecipientRefusedError, match=f"answered {status}: ok") as caught:
            sender.send(letter(), post.recipient())
        assert_without(caught.value, post)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_redirects_are_not_followed(self, post: WebhookPost, sender: WebhookSender, status: int) -> None:
        post.server.status, post.server.headers = status, {"Location": post.server.url}
        with pytest.raises(RecipientRefusedError, match="not followed"):
            sender.send(letter(), post.recipient())
        assert len(post.server.posts) == 1

    def test_of_an_answer_only_the_beginning_is_kept_on_one_line(
        self, post: WebhookPost, sender: WebhookSender
    ) -> None:
        post.server.status, post.server.answer = 400, b"\x1b[31mno\r\n\0\xff" + b"word " * 100_000
        with pytest.raises(RecipientRefusedError) as caught:
            sender.send(letter(), post.recipient())
        said = str(caught.value).partition("answered 400: ")[2].partition("…")[0]
        assert said.startswith("[31mno \ufffdword word")
        assert said.isprintable()
        assert len(said) <= 200

    @pytest.mark.parametrize(
        ("secret", "given"),
        [("plain sécret", "plain sécret"), (SECRET, SECRET), ("", None)],
        ids=["text", "base64", "none"],
    )
    def test_signatures(self, post: WebhookPost, secret: str, given: str | None) -> None:
        recipient = WebhookRecipient(type="webhook", url=post.server.url, secret="${env:S}" if given else None)
        with WebhookSender(Settings({"S": secret})) as sender:
            sender.send(letter(), recipient)
        assert post.server.verify(secret) is bool(secret)
        assert not post.server.verify("another")
        assert ("webhook-signature" in post.server.posts[0].headers) is bool(secret)

    def test_a_malformed_secret_is_not_shown(self, post: WebhookPost) -> None:
        recipient = WebhookRecipient(type="webhook", url=post.server.url, secret="${env:S}")
        with (
            WebhookSender(Settings({"S": "whsec_not-base-64-canary"})) as sender,
            pytest.raises(ConfigurationError) as caught,
        ):
            sender.send(letter(), recipient)
        assert "canary" not in str(caught.value)
        assert post.server.posts == []

    @pytest.mark.parametrize(
        "url", ["http://", "http://[::1", "ftp://example.org/x", "http://ex ample.org/", "http://*."]
    )
    def test_a_url_that_is_none_is_refused(self, url: str) -> None:
        recipient = WebhookRecipient(type="webhook", url="${env:URL}")
        with WebhookSender(Settings({"URL": url})) as sender, pytest.raises(RecipientRefusedError):
            sender.send(letter(), recipient)

    def test_of_a_url_only_the_host_is_shown(self) -> None:
        recipient = WebhookRecipient(type="webhook", url="http://127.0.0.1:1/secret-path-canary?x=canary")
        with WebhookSender(Settings({})) as sender, pytest.raises(RecipientUnavailableError) as caught:
            sender.send(letter(), recipient)
        assert "http://127.0.0.1:1: Connection refused" in str(caught.value)
        assert "canary" not in shown(caught.value)

    def test_no_log_shows_the_url(
        self, post: WebhookPost, sender: WebhookSender, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG):
            sender.send(letter(), post.recipient())
            post.stop()
            with pytest.raises(RecipientUnavailableError):
                sender.send(letter(), post.recipient())
            logging.getLogger("urllib3.connectionpool").debug("of somebody else")
        assert all(secret not in caplog.text for secret in post.secrets)
        assert "of somebody else" in caplog.text

    def test_the_route_is_the_server(self, post: WebhookPost, sender: WebhookSender) -> None:
        assert sender.route(post.recipient()) == f"http://127.0.0.1:{post.server.port}"


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    signed = signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', SECRET)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
