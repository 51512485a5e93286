"""Web hooks: JSON by POST, signed as Standard Webhooks describes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from export_pipelines.errors import ConfigurationError, ExportError, RecipientRefusedError, RecipientUnavailableError
from export_pipelines.notify.headers import one_line
from export_pipelines.notify.message import Letter
from export_pipelines.notify.redaction import unlogged, without_hook
from export_pipelines.settings import Settings
from export_pipelines.spec.recipients import WebhookRecipient

LATER = frozenset({408, 425, 429})
"""Besides 5xx, the answers after which the same request may succeed."""

_SHOWN = 200  # characters of an answer's body
_READ = 1024  # bytes of an answer's body
_PREFIX = "whsec_"


class WebhookSender:
    """Posts letters as JSON, several over one connection."""

    def __init__(self, settings: Settings) -> None:
        """Connects to nothing yet."""
        self._settings = settings
        self._session = requests.Session()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._session.close()

    def route(self, recipient: WebhookRecipient) -> str:
        """The server; what follows the host may be a secret."""
        try:
            return _host(self._settings.resolve(recipient.url))
        except ConfigurationError:
            return recipient.url

    def send(self, letter: Letter, recipient: WebhookRecipient) -> str:
        """Post the letter's data; return "".

        Redirects are not followed. Raises RecipientUnavailableError if the server does not answer, or with 408, 425,
        429 or 5xx; RecipientRefusedError if with anything else but 2xx; ConfigurationError if a secret is missing.
        """
        url = self._settings.resolve(recipient.url)
        body = json.dumps(letter.data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        secret = self._settings.resolve(recipient.secret) if recipient.secret else ""
        headers = _headers(letter.message_id, body, secret)
        status, text = self._post(url, body, headers, timeout=recipient.timeout_seconds)
        if 200 <= status < 300:
            return ""
        shown = one_line(without_hook(text, url, secret), longest=_SHOWN)  # servers quote what they refuse
        said = f"{_host(url)} answered {status}" + (f": {shown}" if shown else "")
        if status in LATER or status >= 500:
            raise RecipientUnavailableError(said, hint="It is tried again")
        if 300 <= status < 400:
            raise RecipientRefusedError(said, hint="Redirects are not followed: write the final URL into the spec")
        raise RecipientRefusedError(said, hint="Check the URL and the secret of the recipient")

    def _post(self, url: str, body: bytes, headers: dict[str, str], *, timeout: float) -> tuple[int, str]:
        """Status and the beginning of the answer. Raises our error, unchained: that of requests holds the URL."""
        failure: ExportError
        try:
            with (
                unlogged("urllib3.connectionpool"),
                self._session.post(
                    url, data=body, headers=headers, timeout=timeout, allow_redirects=False, stream=True
                ) as response,
            ):
                return response.status_code, _beginning(response)
        except (requests.RequestException, UnicodeError) as error:
            failure = _translated(error, _host(url), timeout)
        raise failure


def signature(message_id: str, timestamp: int, body: bytes, secret: str) -> str:
    """`v1,` and the HMAC-SHA256 of "id.timestamp.body" in base 64.

    A secret that begins with `whsec_` is base 64 after that; any other one is taken as UTF-8. Raises ConfigurationError
    if it is no valid base 64.
    """
    try:
        plain = not secret.startswith(_PREFIX)
        key = secret.encode() if plain else base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        hint = f"Write {_PREFIX} and base 64 after it, or a secret that does not begin so"
        raise ConfigurationError(f"the secret of a web hook begins with {_PREFIX} and is not valid", hint=hint)
    signed = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def _headers(message_id: str, body: bytes, secret: str) -> dict[str, str]:
    now = int(time.time())
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Accept-Encoding": "identity",
        "User-Agent": "export-pipelines",
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
    }
    return {**headers, "webhook-signature": signature(message_id, now, body, secret)} if secret else headers


def _host(url: str) -> str:
    """Scheme, host and port; nothing else of a URL may be shown."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL that is none"
    return f"{parts.scheme}://{one_line(parts.netloc.rpartition('@')[2])}"


def _beginning(response: requests.Response) -> str:
    """What has arrived of the answer's body: waiting for more could take for ever."""
    try:
        data: bytes = response.raw.read1(_READ)
    except (HTTPError, OSError, http.client.HTTPException):
        data = b""
    return data.decode("utf-8", "replace")


def _translated(error: Exception, host: str, timeout: float) -> ExportError:
    doing = f"posting to {host}"
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema | UnicodeError):
        return RecipientRefusedError(f"{doing}: the URL is not valid", hint="Correct the recipient's `url`")
    if isinstance(error, requests.exceptions.MissingSchema | requests.exceptions.InvalidHeader):
        return RecipientRefusedError(f"{doing}: the URL is not valid", hint="Write it with http:// or https://")
    if isinstance(error, requests.Timeout):
        return RecipientUnavailableError(f"{doing}: no answer within {timeout:g} s", hint="It is tried again")
    if isinstance(error, requests.exceptions.SSLError):
        hint = "The server's authority must be among those that requests trusts; see REQUESTS_CA_BUNDLE"
        return RecipientUnavailableError(f"{doing}: TLS failed: {_reason(error)}", hint=hint)
    return RecipientUnavailableError(f"{doing}: {_reason(error)}", hint="Check the host; it is tried again")


def _reason(error: BaseException) -> str:
    """What the operating system or OpenSSL said. The texts above it hold the URL."""
    known = [link.strerror for link in _links(error) if isinstance(link, OSError) and link.strerror]
    return one_line(known[-1]) if known else "the connection broke off"


def _links(error: BaseException) -> Iterator[Any]:
    """The exceptions that led to this one, the first cause last."""
    seen: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        link = waiting.pop()
        if isinstance(link, BaseException) and not any(link is known for known in seen):
            seen.append(link)
            waiting += [link.__context__, link.__cause__, getattr(link, "reason", None), *link.args]
            yield link
