"""E-mail, over SMTP."""

from __future__ import annotations

import base64
import re
import smtplib
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, parseaddr
from types import TracebackType
from typing import Self, TypeVar

from export_pipelines.errors import ConfigurationError, ExportError, RecipientRefusedError, RecipientUnavailableError
from export_pipelines.notify.headers import one_line
from export_pipelines.notify.message import Letter
from export_pipelines.notify.redaction import spellings
from export_pipelines.settings import Settings
from export_pipelines.spec.recipients import ADDRESS_PATTERN, EmailRecipient

IMPLICIT_TLS_PORT = 465
"""Where servers speak TLS from the first byte; elsewhere it begins with STARTTLS."""

TIMEOUT_SECONDS = 10
"""For each answer of the server."""

_LOGGED_IN = 235
_READ = 4000  # characters of a server's answer
_SHOWN = 400  # of all that was answered
_RETRY = "It is tried again"
_REACH = "Check SMTP_HOST, SMTP_PORT and the network; it is tried again"
_EXPLANATIONS: Mapping[type[Exception], tuple[str, str]] = {
    smtplib.SMTPRecipientsRefused: ("{}", _RETRY),
    smtplib.SMTPAuthenticationError: ("login refused: {}", "Check SMTP_USER and SMTP_PASSWORD"),
    smtplib.SMTPSenderRefused: (
        "sender refused: {}",
        "Check SMTP_FROM_ADDRESS, and whether the server wants SMTP_USER and SMTP_PASSWORD",
    ),
    smtplib.SMTPResponseException: ("{}", _RETRY),
    smtplib.SMTPNotSupportedError: (
        "the server cannot do what is needed: {}",
        "Check SMTP_PORT, SMTP_USE_TLS and SMTP_USER",
    ),
    ssl.SSLCertVerificationError: (
        "the certificate is not valid: {}",
        "Check SMTP_HOST; the server's authority must be among those that this machine trusts",
    ),
    ssl.SSLError: ("TLS failed: {}", "Check SMTP_PORT: 465 speaks TLS from the first byte, others begin with STARTTLS"),
    TimeoutError: (f"no answer within {TIMEOUT_SECONDS} s", _REACH),
}
"""Exception -> what happened, with `{}` for what was said, and what to do; the first that fits."""

Result = TypeVar("Result")
_Refused = Mapping[str, tuple[int, bytes]]


@dataclass(frozen=True)
class _Server:
    """What the SMTP variables say."""

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None
    sender: Address

    @property
    def where(self) -> str:
        return f"{self.host}:{self.port}"


class EmailSender:
    """Sends letters as text and HTML through the server of the SMTP variables, several over one connection."""

    def __init__(self, settings: Settings) -> None:
        """Reads nothing and connects to nothing yet."""
        self._settings = settings
        self._connection: smtplib.SMTP | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._connection is not None:
            with suppress(smtplib.SMTPException, OSError):
                self._connection.quit()
        self._drop()

    def route(self, recipient: EmailRecipient) -> str:
        """All e-mail goes through one server."""
        return f"smtp://{self._settings.optional('SMTP_HOST') or ''}"

    def send(self, letter: Letter, recipient: EmailRecipient) -> str:
        """Send one e-mail to all addresses; return which of them were refused, or "".

        Raises ConfigurationError if an SMTP variable is missing or wrong, RecipientUnavailableError if the server does
        not answer, lets us not in or asks us to come back later, RecipientRefusedError if it refuses every address or
        the content for good.
        """
        server = _server(self._settings)
        content, options = _written(letter, recipient, server.sender)
        refused = self._guarded(server, lambda: self._hand_over(server, recipient, content, options))
        answers = "; ".join(f"refused: {address} ({_answer(*reply)})" for address, reply in refused.items())
        return _shown(answers, server)

    def _hand_over(
        self, server: _Server, recipient: EmailRecipient, content: bytes, options: Sequence[str]
    ) -> _Refused:
        connection = self._connected(server)
        return connection.sendmail(server.sender.addr_spec, list(recipient.to), content, list(options))

    def _connected(self, server: _Server) -> smtplib.SMTP:
        """The open connection if the server still answers on it, or a new one."""
        if self._connection is not None and not _answers(self._connection):
            self._drop()
        if self._connection is None:
            self._connection = _connect(server)
            if server.user and server.password:
                _log_in(self._connection, server.user, server.password)
        return self._connection

    def _guarded(self, server: _Server, call: Callable[[], Result]) -> Result:
        """The call's result. Raises our error, unchained: an exception of a library may hold what the server echoed."""
        failure: ExportError
        try:
            return call()
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            failure = _translated(error, server)
        self._drop()
        raise failure

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _server(settings: Settings) -> _Server:
    given = settings.get("SMTP_FROM_ADDRESS")
    sender = parseaddr(given)
    if not given.isprintable() or not re.fullmatch(ADDRESS_PATTERN, sender[1]) or "=?" in sender[1]:
        hint = "Write name@example.org, or Exports <name@example.org>"
        raise ConfigurationError(f"SMTP_FROM_ADDRESS is {given!r}, which is no address", hint=hint)
    user, password = settings.optional("SMTP_USER"), settings.optional("SMTP_PASSWORD")
    if bool(user) != bool(password):
        missing = "SMTP_USER" if password else "SMTP_PASSWORD"
        raise ConfigurationError(
            f"environment variable {missing} is not set", hint="Set SMTP_USER and SMTP_PASSWORD, or neither"
        )
    return _Server(
        host=settings.get("SMTP_HOST"),
        port=_port(settings),
        tls=settings.switch("SMTP_USE_TLS"),
        user=user,
        password=password,
        sender=Address(one_line(sender[0]), addr_spec=sender[1]),
    )


def _port(settings: Settings) -> int:
    port = settings.number("SMTP_PORT")
    if port != int(port) or port > 65_535:
        raise ConfigurationError(f"environment variable SMTP_PORT is {port:g}", hint="Give a number up to 65535")
    return int(port)


def _written(letter: Letter, recipient: EmailRecipient, sender: Address) -> tuple[bytes, Sequence[str]]:
    """The letter as a message, and what the server must be asked to accept.

    Values are made safe first: Python before 3.11.10 writes line breaks that it decoded into headers.
    """
    for address in recipient.to:
        if "=?" in address or not re.fullmatch(ADDRESS_PATTERN, address):
            raise RecipientRefusedError(f"{one_line(address)!r} is no e-mail address", hint="Correct it in the specs")
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = ", ".join(recipient.to)
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{re.sub(r'[^!-;=@-~]', '', letter.message_id)}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_encodable(letter.text), cte="quoted-printable")
    message.add_alternative(_encodable(letter.html), subtype="html", cte="quoted-printable")
    # EmailMessage loses spaces when it folds a subject that is not ASCII.
    subject = Header(one_line(letter.title), header_name="Subject").encode(linesep="\r\n")
    plain = all(address.isascii() for address in (sender.addr_spec, *recipient.to))
    content = f"Subject: {subject}\r\n".encode() + message.as_bytes(policy=SMTP if plain else SMTPUTF8)
    return content, [] if plain else ["SMTPUTF8", "BODY=8BITMIME"]


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _connect(server: _Server) -> smtplib.SMTP:
    """A connection with verified TLS, or without any if SMTP_USE_TLS says so; it never falls back."""
    if not server.tls:
        return smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_SECONDS)
    context = ssl.create_default_context()
    if server.port == IMPLICIT_TLS_PORT:
        return smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_SECONDS, context=context)
    connection = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.starttls(context=context)
    except (smtplib.SMTPException, OSError):
        connection.close()
        raise
    return connection


def _log_in(connection: smtplib.SMTP, user: str, password: str) -> None:
    if f"{user}{password}".isascii():
        connection.login(user, password)
        return
    connection.ehlo_or_helo_if_needed()  # smtplib knows only ASCII; the mechanism PLAIN is defined in UTF-8
    plain = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
    code, answer = connection.docmd("AUTH", f"PLAIN {plain}")
    if code != _LOGGED_IN:
        raise smtplib.SMTPAuthenticationError(code, answer)


def _answers(connection: smtplib.SMTP) -> bool:
    try:
        return connection.noop()[0] == 250
    except (smtplib.SMTPException, OSError):
        return False


def _translated(error: Exception, server: _Server) -> ExportError:
    """Our error for smtplib's; refused only if another attempt would go the same way whatever the operator does."""
    doing = f"sending e-mail through {server.where}"
    text, hint = _explained(error, server)
    text = _shown(text, server)
    if isinstance(error, smtplib.SMTPRecipientsRefused) and all(code >= 500 for code, _ in error.recipients.values()):
        return RecipientRefusedError(f"{doing}: {text}", hint="Correct the addresses in the specs")
    if isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500:
        return RecipientRefusedError(f"{doing}: the content was refused: {text}", hint="Ask whoever runs the server")
    return RecipientUnavailableError(f"{doing}: {text}", hint=hint)


def _shown(text: str, server: _Server) -> str:
    """The text without the password, and then cut: a part of a password would not be found."""
    for spelling in spellings(server.password or ""):
        text = text.replace(spelling, "***")
    return one_line(text, longest=_SHOWN)


def _explained(error: Exception, server: _Server) -> tuple[str, str]:
    """What happened, and what to do about it."""
    for kind, (text, hint) in _EXPLANATIONS.items():
        if isinstance(error, kind):
            return text.format(_said(error)), hint
    return _said(error), _REACH


def _said(error: Exception) -> str:
    """What the server or the operating system said, on one line."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(f"{address}: {_answer(*reply)}" for address, reply in error.recipients.items())
    if isinstance(error, smtplib.SMTPResponseException):
        return _answer(error.smtp_code, error.smtp_error)
    if isinstance(error, ssl.SSLError):
        return one_line(getattr(error, "verify_message", "") or error.reason or str(error))
    if isinstance(error, UnicodeError):  # its text shows a part of the value, and the value may be a password
        return "a value holds a character that cannot be sent"
    return one_line(getattr(error, "strerror", None) or str(error) or type(error).__name__)


def _answer(code: int, text: bytes | str) -> str:
    shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return one_line(f"{code} {shown}", longest=_READ)
