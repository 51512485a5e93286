"""Real servers that take notifications, on loopback."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from export_pipelines_tests.s3_servers import free_port

USER = "exports"
PASSWORD = "canary-pässword/with@signs"
"""What servers that ask for a login accept."""


class Certificate:
    """A certificate of 127.0.0.1 by an authority that nobody knows, unless SSL_CERT_FILE names its file."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        self.authority_file = directory / "authority.pem"
        authority.cert_pem.write_to_path(str(self.authority_file))
        self._own = authority.issue_cert("127.0.0.1")

    @property
    def context(self) -> ssl.SSLContext:
        """For the server's side."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._own.configure_cert(context)
        return context


@dataclass(frozen=True)
class Mail:
    """An e-mail as it came in."""

    raw: bytes
    sender: str
    recipients: list[str]
    over_tls: bool
    user: str | None


@dataclass
class SmtpServer:
    """An SMTP server whose answers can be changed at any time."""

    port: int
    certificate: Certificate | None = None
    implicit_tls: bool = False
    with_login: bool = False
    mails: list[Mail] = field(default_factory=list)
    connections: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    """Address -> the answer to it, such as `550 unknown user`."""
    answer: str = ""
    """The answer to every content, such as `451 later`; "" takes it."""
    sender_answer: str = ""
    """The answer to every sender's address."""
    silent: bool = False
    """Whether content is taken and never answered."""

    def __post_init__(self) -> None:
        self._controller: _Controller | None = None

    def environment(self, **extra: str) -> dict[str, str]:
        """The SMTP variables of a sender that uses this server."""
        login = {"SMTP_USER": USER, "SMTP_PASSWORD": PASSWORD} if self.with_login else {}
        return {
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.port),
            "SMTP_USE_TLS": "true" if self.certificate else "false",
            "SMTP_FROM_ADDRESS": "Exports <exports@example.org>",
            "ENABLE_EMAIL_NOTIFICATIONS": "true",
            **login,
            **extra,
        }

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._controller = _Controller(self)
        self._controller.start()
        self.connections = 0

    def stop(self) -> None:
        """Close the port and all connections."""
        if self._controller is not None:
            self._controller.drop_connections()
            self._controller.stop()
            self._controller = None

    def drop_connections(self) -> None:
        """Close what is open, and go on listening."""
        if self._controller is not None:
            self._controller.drop_connections()

    # --- what aiosmtpd calls ----------------------------------------------------------------------------------------

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.sender_answer:
            return self.sender_answer
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.silent:
            await asyncio.sleep(3600)
        if self.answer:
            return self.answer
        content = envelope.original_content or b""
        user = session.auth_data.login.decode() if isinstance(session.auth_data, LoginPassword) else None
        over_tls = session.ssl is not None or self.implicit_tls
        self.mails.append(Mail(content, envelope.mail_from or "", list(envelope.rcpt_tos), over_tls, user))
        return "250 OK"


class _Protocol(SMTP):
    """Knows its transport, so that the test can close it."""

    controller: _Controller

    def connection_made(self, transport: Any) -> None:
        self.controller.transports.append(transport)
        super().connection_made(transport)


class _Controller(Controller):
    def __init__(self, owner: SmtpServer) -> None:
        self.owner = owner
        self.transports: list[Any] = []
        context = owner.certificate.context if owner.certificate else None
        options: dict[str, Any] = {}
        if owner.with_login:
            options = {
                "auth_required": True,
                "auth_require_tls": not owner.implicit_tls and context is not None,
                "authenticator": self._authenticate,
            }
        if context and not owner.implicit_tls:
            options |= {"tls_context": context, "require_starttls": True}
        implicit = context if owner.implicit_tls else None
        super().__init__(owner, hostname="127.0.0.1", port=owner.port, ssl_context=implicit, **options)

    def factory(self) -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it does not see the TLS around the whole connection
            protocol = _Protocol(self.handler, loop=self.loop, **self.SMTP_kwargs)
        protocol.controller = self
        self.owner.connections += 1
        return protocol

    def _trigger_server(self) -> None:
        """aiosmtpd would open a connection with the server's own TLS context, which is none for clients."""
        self._factory_invoked.set()
        self.smtpd = self.factory()

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        good = data.login.decode() == USER and data.password.decode() == PASSWORD
        refusal = (
            f"535 5.7.8 login {data.login.decode()}:{data.password.decode()} refused"  # servers do say such things
        )
        return (
            AuthResult(success=True, auth_data=data)
            if good
            else AuthResult(success=False, handled=False, message=refusal)
        )

    def drop_connections(self) -> None:
        done = threading.Event()

        def drop() -> None:
            for transport in self.transports:
                transport.abort()
            self.transports.clear()
            done.set()

        self.loop.call_soon_threadsafe(drop)
        done.wait(10)


@contextmanager
def smtp_server(
    *, certificate: Certificate | None = None, implicit_tls: bool = False, with_login: bool = False
) -> Iterator[SmtpServer]:
    """A server without TLS; with a certificate, one that wants STARTTLS, or TLS from the first byte."""
    server = SmtpServer(free_port(), certificate, implicit_tls, with_login)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@dataclass(frozen=True)
class Post:
    """A request as it came in; names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @cached_property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@dataclass
class WebhookServer:
    """An HTTP server whose answers can be changed at any time."""

    port: int
    posts: list[Post] = field(default_factory=list)
    connections: int = 0
    status: int = 200
    answer: bytes = b"ok"
    headers: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    """Whether requests are read and never answered."""

    def __post_init__(self) -> None:
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    @property
    def url(self) -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self.port}/hook"

    def verify(self, secret: str) -> bool:
        """Whether every request has the signature of Standard Webhooks with this secret, less than five minutes old."""
        key = base64.b64decode(secret[6:]) if secret[:6] == "whsec_" else secret.encode()
        return all(_is_signed(post, key) for post in self.posts)

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._stopped.clear()
        self._server = _HttpServer(("127.0.0.1", self.port), _handler(self))
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port and all connections."""
        if self._server is None or self._thread is None:
            return
        self._stopped.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = None

    def wait_for_end(self) -> None:
        """Return when the server is stopped."""
        self._stopped.wait()


def _is_signed(post: Post, key: bytes) -> bool:
    identity, timestamp = post.headers["webhook-id"], post.headers["webhook-timestamp"]
    signed = b".".join([identity.encode(), timestamp.encode(), post.body])
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    fresh = abs(time.time() - int(timestamp)) < 300
    return fresh and f"v1,{expected}" in post.headers.get("webhook-signature", "").split(" ")


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, *args: Any) -> None:
        self.open: set[Any] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The other side went away, or this one was stopped."""

    def server_close(self) -> None:
        super().server_close()
        for request in list(self.open):
            with suppress(OSError):
                request.shutdown(2)


def _handler(server: WebhookServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            server.connections += 1
            super().setup()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.posts.append(Post(self.command, self.path, headers, body))
            if server.silent:
                server.wait_for_end()
                return
            self.send_response(server.status)
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(server.answer)))
            self.end_headers()
            self.wfile.write(server.answer)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *args: object) -> None:
            """Be quiet."""

    return Handler


@contextmanager
def webhook_server() -> Iterator[WebhookServer]:
    """A server that answers 200."""
    server = WebhookServer(0)
    server.start()
    try:
        yield server
    finally:
        server.stop()
