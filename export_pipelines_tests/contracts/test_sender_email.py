"""The sender contract, and what is particular about e-mail."""

from __future__ import annotations

import base64
import email
import email.policy
import email.utils
import quopri
import re
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from export_pipelines.errors import ConfigurationError, RecipientRefusedError, RecipientUnavailableError
from export_pipelines.notify import email as email_module
from export_pipelines.notify.email import EmailSender
from export_pipelines.notify.headers import one_line
from export_pipelines.notify.message import Sender
from export_pipelines.settings import Settings
from export_pipelines.spec.recipients import EmailRecipient
from export_pipelines_tests.contracts.sender_contract import (
    HOSTILE,
    Post,
    Received,
    SenderContract,
    assert_without,
    letter,
)
from export_pipelines_tests.notify_servers import PASSWORD, USER, Certificate, SmtpServer, smtp_server
from export_pipelines_tests.projects import project
from export_pipelines_tests.unit.letters import event
from export_pipelines_tests.unit.letters import letter as compose_letter

TO = EmailRecipient(to=["ops@example.org"])
THREE = EmailRecipient(to=["ann@example.org", "bob@example.org", "eve@example.org"])
_WORD = re.compile(r"=\?([\w-]+)\?([bBqQ])\?([^? ]*)\?=")
_BETWEEN = re.compile(r"(=\?[\w-]+\?[bBqQ]\?[^? ]*\?=)\s+(?==\?)()")
PAYLOADS = [
    "a\r\nX-Evil: 1",
    "a\nX-Evil: 1\n\nbody",
    "a\r\n\r\n<html>",
    "a\x0bX-Evil: 1\x0c\x1c\x1d\x1e",
    "a\u0085X-Evil: 1\u2028X-Evil: 1\u2029",
    "a\0b",
    "=?utf-8?q?a=0d=0aX-Evil:_1?=",
    "=?utf-8?b?YQ0KWC1FdmlsOiAx?=",
    "=?us-ascii?Q?=0AX-Evil=3A=201?= =?utf-8?q?=0d=0a_b?=",
    "Zoë =?utf-8?q?=0d=0aX-Evil:_1?= 数学",
    "==?utf-8?q?=0d=0aX-Evil:_1?=",
    "\u202e=?utf-8?q?x?=\u202c",
    HOSTILE,
]
HEADERS = ["Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]


def parsed(raw: bytes) -> EmailMessage:
    """The message as a mail program sees it."""
    return email.message_from_bytes(raw, _class=EmailMessage, policy=email.policy.SMTP)


def content(part: EmailMessage) -> str:
    """The text of a part."""
    text: str = part.get_content()
    return text.replace("\r\n", "\n")


def raw_headers(raw: bytes) -> dict[str, str]:
    """Header -> decoded value, read without the machinery that wrote it: unfolded lines, split at the colon."""
    head = raw.partition(b"\r\n\r\n")[0].decode("ascii")
    lines = head.replace("\r\n ", " ").replace("\r\n\t", "\t").split("\r\n")
    pairs = [line.partition(": ") for line in lines]
    assert len({name for name, _, _ in pairs}) == len(pairs)
    return {name: _WORD.sub(_decoded, _BETWEEN.sub(r"\1\2", value)) for name, _, value in pairs}


def _decoded(word: re.Match[str]) -> str:
    charset, encoding, text = word.groups()
    data = base64.b64decode(text) if encoding in "bB" else quopri.decodestring(text, header=True)
    return data.decode(charset)


class EmailPost(Post):
    """An SMTP server that wants STARTTLS and a login."""

    secrets = (PASSWORD,)

    def __init__(self, server: SmtpServer) -> None:
        self.server = server

    def environment(self) -> dict[str, str]:
        return self.server.environment()

    def recipient(self) -> Any:
        return TO

    def received(self) -> list[Received]:
        found = []
        for mail in self.server.mails:
            message = parsed(mail.raw)
            body = message.get_body(("plain",))
            assert body is not None
            assert (mail.over_tls, mail.user) == (True, USER)
            found.append(Received(message["Message-ID"].strip("<>"), message["Subject"], content(body)))
        return found

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        self.server.start()

    def refuse_for_now(self) -> None:
        self.server.answer = "451 4.7.1 greylisted, come back"

    def mute(self) -> None:
        self.server.silent = True


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    """One that this process trusts."""
    made = Certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.authority_file))
    return made


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email_module, "TIMEOUT_SECONDS", 2)


class TestEmailSender(SenderContract):
    factory = EmailSender

    @pytest.fixture
    def post(self, certificate: Certificate) -> Iterator[EmailPost]:
        with smtp_server(certificate=certificate, with_login=True) as server:
            yield EmailPost(server)

    def test_letters_share_a_connection(self, post: EmailPost, sender: Sender) -> None:
        for _ in range(3):
            sender.send(letter(), TO)
        assert (len(post.server.mails), post.server.connections) == (3, 1)

    def test_a_dropped_connection_is_opened_again(self, post: EmailPost, sender: Sender) -> None:
        sender.send(letter(), TO)
        post.server.drop_connections()
        sender.send(letter(), TO)
        assert (len(post.server.mails), post.server.connections) == (2, 2)

    @pytest.mark.parametrize(("user", "password"), [(USER, "wrong-canary-password"), ("nobody", PASSWORD)])
    def test_a_wrong_password_is_waited_for_to_be_corrected(self, post: EmailPost, user: str, password: str) -> None:
        environment = post.server.environment(SMTP_USER=user, SMTP_PASSWORD=password)
        with (
            EmailSender(Settings(environment)) as sender,
            pytest.raises(RecipientUnavailableError, match="login refused: 535") as caught,
        ):
            sender.send(letter(), TO)
        assert_without(caught.value, post)
        assert password not in str(caught.value)
        assert "SMTP_PASSWORD" in str(caught.value)

    def test_after_a_refused_login_nothing_is_sent_without_one(self, post: EmailPost, sender: Sender) -> None:
        with EmailSender(Settings(post.server.environment(SMTP_PASSWORD="wrong"))) as wrong:
            for _ in range(2):
                with pytest.raises(RecipientUnavailableError, match="login refused"):
                    wrong.send(letter(), TO)
        assert post.server.mails == []


@pytest.fixture
def plain() -> Iterator[SmtpServer]:
    """A server without TLS and login."""
    with smtp_server() as server:
        yield server


@pytest.fixture
def sender(plain: SmtpServer) -> Iterator[EmailSender]:
    with EmailSender(Settings(plain.environment())) as sender:
        yield sender


class TestMessage:
    def test_it_is_text_and_html_under_the_same_headers(self, plain: SmtpServer, sender: EmailSender) -> None:
        assert sender.send(letter(text="Zoë 数学\n", html="<p>Zoë 数学 &lt;b&gt;</p>\n"), THREE) == ""
        [mail] = plain.mails
        message = parsed(mail.raw)
        assert list(raw_headers(mail.raw)) == HEADERS
        assert message["From"] == "Exports <exports@example.org>"
        assert message["To"] == ", ".join(THREE.to)
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["Date"].datetime.tzinfo is not None
        assert message["Message-ID"] == f"<{letter().message_id}>"
        assert message.get_content_type() == "multipart/alternative"
        assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
        assert [content(part) for part in message.iter_parts()] == ["Zoë 数学\n", "<p>Zoë 数学 &lt;b&gt;</p>\n"]
        assert (mail.sender, mail.recipients) == ("exports@example.org", THREE.to)
        assert max(len(line) for line in mail.raw.split(b"\r\n")) <= 998
        assert mail.raw.isascii()

    def test_a_long_identity_and_a_long_title_survive(self, plain: SmtpServer, sender: EmailSender) -> None:
        identity = f"{'0123456789abcdef' * 6}@{'sub.' * 4}example.org"
        sender.send(letter("Zoë " * 49, message_id=identity), TO)
        message = parsed(plain.mails[0].raw)
        assert message["Message-ID"] == f"<{identity}>"
        assert message["Subject"] == ("Zoë " * 49).strip()

    @pytest.mark.parametrize("payload", PAYLOADS)
    def test_no_text_becomes_a_header(self, plain: SmtpServer, sender: EmailSender, payload: str) -> None:
        sender.send(letter(f"Failed: {payload} 2026-11-21", payload), TO)
        [mail] = plain.mails
        headers = raw_headers(mail.raw)
        assert list(headers) == HEADERS
        assert headers["Subject"] == one_line(f"Failed: {payload} 2026-11-21")
        assert parsed(mail.raw)["Subject"] == headers["Subject"]
        assert {"to": headers["To"], "from": headers["From"]} == {
            "to": "ops@example.org",
            "from": "Exports <exports@example.org>",
        }
        assert mail.recipients == ["ops@example.org"]

    @pytest.mark.parametrize("payload", PAYLOADS)
    @pytest.mark.parametrize("field", ["export", "partition", "cause"])
    def test_no_event_becomes_a_header(
        self, plain: SmtpServer, sender: EmailSender, tmp_path: Path, field: str, payload: str
    ) -> None:
        composed = compose_letter(project(tmp_path, {"students": {}}), event("failed", **{field: f"x {payload} y"}))
        sender.send(composed, TO)
        [mail] = plain.mails
        headers = raw_headers(mail.raw)
        assert list(headers) == HEADERS
        assert headers["Subject"] == composed.title
        assert headers["Message-ID"] == f"<{composed.message_id}>"
        text, html = (content(part) for part in parsed(mail.raw).iter_parts())
        assert (text, html) == (composed.text, composed.html)

    @pytest.mark.parametrize("name", ["=?utf-8?q?=0d=0aX-Evil:_1?=", 'O"Neil, (x) \\', "Zoë 数学"])
    def test_the_senders_name_becomes_no_header(self, plain: SmtpServer, name: str) -> None:
        environment = plain.environment(
            SMTP_FROM_ADDRESS=email.utils.formataddr((name, "exports@example.org"), "utf-8")
        )
        with EmailSender(Settings(environment)) as sender:
            sender.send(letter(), TO)
        [mail] = plain.mails
        assert list(raw_headers(mail.raw)) == HEADERS
        assert mail.sender == "exports@example.org"
        assert parsed(mail.raw)["From"].addresses[0].addr_spec == "exports@example.org"

    def test_addresses_that_are_not_ascii(self, plain: SmtpServer, sender: EmailSender) -> None:
        to = EmailRecipient(to=["zoë@example.org", "ops@example.org"])
        assert sender.send(letter("Zoë", "Zoë"), to) == ""
        [mail] = plain.mails
        assert mail.recipients == to.to
        message = parsed(mail.raw)
        assert (message["To"], message["Subject"]) == (", ".join(to.to), "Zoë")

    def test_an_address_that_would_be_decoded_is_refused(self, plain: SmtpServer, sender: EmailSender) -> None:
        with pytest.raises(RecipientRefusedError, match="no e-mail address"):
            sender.send(letter(), EmailRecipient(to=["=?utf-8?q?a=0d=0aX-Evil=3A_1?=@example.org"]))
        assert plain.mails == []

    def test_lines_of_a_single_dot_and_long_lines_arrive_whole(self, plain: SmtpServer, sender: EmailSender) -> None:
        text = ".\n..\nFrom x\n" + "long " * 1000 + "\n"
        sender.send(letter(text=text), TO)
        body = parsed(plain.mails[0].raw).get_body(("plain",))
        assert body is not None
        assert content(body) == text


class TestAnswers:
    def test_some_refused_addresses_are_named(self, plain: SmtpServer, sender: EmailSender) -> None:
        plain.refused = {"bob@example.org": "550 5.1.1 no such user", "eve@example.org": "452 mailbox full"}
        answer = sender.send(letter(), THREE)
        assert (
            answer == "refused: bob@example.org (550 5.1.1 no such user); refused: eve@example.org (452 mailbox full)"
        )
        assert plain.mails[0].recipients == ["ann@example.org"]

    def test_all_addresses_refused_for_good(self, plain: SmtpServer, sender: EmailSender) -> None:
        plain.refused = dict.fromkeys(THREE.to, "550 no such user")
        with pytest.raises(RecipientRefusedError, match=r"ann@example\.org: 550 no such user; bob"):
            sender.send(letter(), THREE)
        sender.send(letter(), TO)
        assert len(plain.mails) == 1

    def test_all_addresses_refused_some_for_now(self, plain: SmtpServer, sender: EmailSender) -> None:
        plain.refused = dict.fromkeys(THREE.to, "550 no such user") | {"bob@example.org": "450 greylisted"}
        with pytest.raises(RecipientUnavailableError, match="450 greylisted"):
            sender.send(letter(), THREE)

    def test_content_refused_for_good(self, plain: SmtpServer, sender: EmailSender) -> None:
        plain.answer = "554 5.7.1 looks like spam"
        with pytest.raises(RecipientRefusedError, match=r"content was refused: 554 5\.7\.1 looks like spam"):
            sender.send(letter(), TO)

    @pytest.mark.parametrize("answer", ["550 not your address", "530 log in first"])
    def test_a_refused_sender_is_a_matter_of_the_environment(
        self, plain: SmtpServer, sender: EmailSender, answer: str
    ) -> None:
        plain.sender_answer = answer
        with pytest.raises(RecipientUnavailableError, match="SMTP_FROM_ADDRESS"):
            sender.send(letter(), TO)


class TestTls:
    def test_implicit_tls_on_its_port(self, certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
        with smtp_server(certificate=certificate, implicit_tls=True, with_login=True) as server:
            monkeypatch.setattr(email_module, "IMPLICIT_TLS_PORT", server.port)
            with EmailSender(Settings(server.environment())) as sender:
                sender.send(letter(), TO)
            assert [(mail.over_tls, mail.user) for mail in server.mails] == [(True, USER)]

    def test_an_unknown_authority_is_not_trusted(self, tmp_path: Path) -> None:
        with smtp_server(certificate=Certificate(tmp_path), with_login=True) as server:
            with (
                EmailSender(Settings(server.environment())) as sender,
                pytest.raises(RecipientUnavailableError, match="certificate is not valid"),
            ):
                sender.send(letter(), TO)
            assert server.mails == []

    def test_a_certificate_of_another_host_is_not_trusted(self, certificate: Certificate) -> None:
        with smtp_server(certificate=certificate) as server:
            with (
                EmailSender(Settings(server.environment(SMTP_HOST="localhost"))) as sender,
                pytest.raises(RecipientUnavailableError, match=r"certificate is not valid.*localhost"),
            ):
                sender.send(letter(), TO)
            assert server.mails == []

    def test_a_server_without_starttls_gets_nothing(self, plain: SmtpServer) -> None:
        environment = plain.environment(SMTP_USE_TLS="true", SMTP_USER=USER, SMTP_PASSWORD=PASSWORD)
        with (
            EmailSender(Settings(environment)) as sender,
            pytest.raises(RecipientUnavailableError, match="STARTTLS"),
        ):
            sender.send(letter(), TO)
        assert plain.mails == []

    def test_tls_from_the_first_byte_where_starttls_is_expected(self, certificate: Certificate) -> None:
        with (
            smtp_server(certificate=certificate, implicit_tls=True) as server,
            EmailSender(Settings(server.environment())) as sender,
            pytest.raises(RecipientUnavailableError),
        ):
            sender.send(letter(), TO)

    def test_plain_text_where_tls_is_expected(self, plain: SmtpServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(email_module, "IMPLICIT_TLS_PORT", plain.port)
        with (
            EmailSender(Settings(plain.environment(SMTP_USE_TLS="true"))) as sender,
            pytest.raises(RecipientUnavailableError, match=r"TLS failed.*465"),
        ):
            sender.send(letter(), TO)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"SMTP_HOST": ""}, "SMTP_HOST"),
        ({"SMTP_FROM_ADDRESS": ""}, "SMTP_FROM_ADDRESS"),
        ({"SMTP_FROM_ADDRESS": "nobody"}, "SMTP_FROM_ADDRESS"),
        ({"SMTP_FROM_ADDRESS": "a@b.org\nBcc: x@y.org"}, "SMTP_FROM_ADDRESS"),
        ({"SMTP_USER": "exports"}, "SMTP_PASSWORD"),
        ({"SMTP_PASSWORD": "canary"}, "SMTP_USER"),
        ({"SMTP_PORT": "99999"}, "SMTP_PORT"),
        ({"SMTP_PORT": "smtp"}, "SMTP_PORT"),
        ({"SMTP_USE_TLS": "maybe"}, "SMTP_USE_TLS"),
        ({"SMTP_USER": "exports", "SMTP_PASSWORD": "${file:/nowhere}"}, "/nowhere"),
    ],
)
def test_variables_that_are_missing_or_wrong(plain: SmtpServer, changes: dict[str, str], named: str) -> None:
    with EmailSender(Settings(plain.environment(**changes))) as sender, pytest.raises(ConfigurationError) as caught:
        sender.send(letter(), TO)
    assert named in str(caught.value)
    assert "canary" not in str(caught.value)
    assert plain.mails == []
