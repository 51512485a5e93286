"""What every sender of notifications must do. A sender without a subclass of this contract does not merge."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from export_pipelines.errors import ConfigurationError, RecipientUnavailableError
from export_pipelines.notify.message import Letter, Sender
from export_pipelines.settings import Settings
from export_pipelines_tests.contracts.source_secrets import CANARY, assert_without_secret, shown

HOSTILE = (
    "a\r\nBcc: x@example.org\r\n\r\n<script>alert(1)</script> {{ 7*7 }} ${env:HOME} =?utf-8?q?=0d=0aX-Evil:_1?= "
    "\u202eabc \u2028 \x00 %s \\n .\n.\r\n.\nFrom here: Zoë 数学 😀 " + "x" * 1200
)


def letter(title: str = "Failed: students 2026-11-21", text: str = "Why it failed.\n", **changes: Any) -> Letter:
    """A letter; what is not given is harmless."""
    values: dict[str, Any] = {
        "message_id": "0f3c1b2a5d6e4f708a91b2c3d4e5f607@example.org",
        "level": "failure",
        "html": f"<p>{text}</p>\n",
        "data": {"title": title, "cause": text},
    }
    return Letter(title=title, text=text, **{**values, **changes})


@dataclass(frozen=True)
class Received:
    """What arrived, as far as the recipient shows it."""

    message_id: str | None
    """None where the protocol has no place for it."""
    title: str
    text: str


class Post(ABC):
    """A real server, the environment and the recipient that lead to it."""

    secrets: tuple[str, ...] = ()
    """What no error may show."""

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """The environment of a sender that reaches the server."""

    @abstractmethod
    def recipient(self) -> Any:
        """A recipient there."""

    @abstractmethod
    def received(self) -> list[Received]:
        """What arrived, in this order."""

    @abstractmethod
    def stop(self) -> None:
        """Stop the server."""

    @abstractmethod
    def start(self) -> None:
        """Start it again, where it was."""

    @abstractmethod
    def refuse_for_now(self) -> None:
        """From now on the server answers that it takes nothing at the moment."""

    @abstractmethod
    def mute(self) -> None:
        """From now on the server takes everything and answers nothing."""


class SenderContract:
    """Subclass as `TestXyz` and provide the fixture `post`."""

    factory: Any

    @pytest.fixture
    def post(self) -> Iterator[Post]:
        """A new server that takes everything."""
        raise NotImplementedError

    @pytest.fixture
    def sender(self, post: Post) -> Iterator[Sender]:
        """A sender, entered."""
        with self.factory(Settings(post.environment())) as sender:
            yield sender

    def test_what_the_letter_says_arrives(self, post: Post, sender: Sender) -> None:
        sent = letter(text="Why it failed.\nSecond line: Zoë 数学 😀\n")
        sender.send(sent, post.recipient())
        [got] = post.received()
        assert got.message_id in (sent.message_id, None)
        assert got.title == sent.title
        assert got.text.strip() == sent.text.strip()

    def test_several_letters_arrive_in_order(self, post: Post, sender: Sender) -> None:
        for number in range(3):
            sender.send(letter(f"Failed: number {number}"), post.recipient())
        assert [got.title for got in post.received()] == [f"Failed: number {number}" for number in range(3)]

    def test_it_is_the_same_message_at_every_attempt(self, post: Post, sender: Sender) -> None:
        post.stop()
        with pytest.raises(RecipientUnavailableError):
            sender.send(letter(), post.recipient())
        post.start()
        sender.send(letter(), post.recipient())
        with self.factory(Settings(post.environment())) as another:
            another.send(letter(), post.recipient())
        first, second = post.received()
        assert first == second

    def test_a_server_that_went_away_between_two_letters_is_found_again(self, post: Post, sender: Sender) -> None:
        sender.send(letter("Failed: one"), post.recipient())
        post.stop()
        with pytest.raises(RecipientUnavailableError):
            sender.send(letter("Failed: two"), post.recipient())
        post.start()
        sender.send(letter("Failed: three"), post.recipient())
        assert [got.title for got in post.received()] == ["Failed: one", "Failed: three"]

    def test_a_server_that_says_later_is_tried_later(self, post: Post, sender: Sender) -> None:
        post.refuse_for_now()
        with pytest.raises(RecipientUnavailableError) as caught:
            sender.send(letter(), post.recipient())
        assert caught.value.hint
        assert_without(caught.value, post)

    def test_a_server_that_does_not_answer_is_not_waited_for(self, post: Post, sender: Sender) -> None:
        post.mute()
        with pytest.raises(RecipientUnavailableError) as caught:
            sender.send(letter(), post.recipient())
        assert_without(caught.value, post)

    def test_hostile_text_is_text(self, post: Post, sender: Sender) -> None:
        sender.send(letter(HOSTILE, HOSTILE), post.recipient())
        [got] = post.received()
        lines = [line.strip() for line in got.text.replace("\0", "").splitlines() if line.strip()]
        expected = [line.strip() for line in HOSTILE.replace("\0", "").splitlines() if line.strip()]
        assert lines[: len(expected) - 1] == expected[:-1]
        assert lines[-1][:1000] == expected[-1][:1000]

    def test_text_that_cannot_be_encoded_does_not_stop_the_rest(self, post: Post, sender: Sender) -> None:
        sender.send(letter("lone \ud800 surrogate", "lone \udcff surrogate"), post.recipient())
        assert "surrogate" in post.received()[0].text

    def test_no_error_shows_a_secret(self, post: Post, sender: Sender) -> None:
        post.stop()
        with pytest.raises(RecipientUnavailableError) as caught:
            sender.send(letter(), post.recipient())
        assert_without(caught.value, post)
        assert all(secret not in sender.route(post.recipient()) for secret in post.secrets)

    def test_nothing_is_connected_before_the_first_letter(self, post: Post) -> None:
        with self.factory(Settings({})) as sender:
            assert sender.route(post.recipient())
            with pytest.raises(ConfigurationError):
                sender.send(letter(), post.recipient())
        assert post.received() == []


def assert_without(error: Any, post: Post) -> None:
    """The error, and those behind it, show no secret."""
    assert_without_secret(error, CANARY)
    text = shown(error)
    assert all(secret not in text for secret in post.secrets)
