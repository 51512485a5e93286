"""Secrets taken out of texts, before a text is recorded or sent."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote

from export_pipelines.errors import ConfigurationError
from export_pipelines.settings import Settings
from export_pipelines.spec.load import SpecSet
from export_pipelines.spec.recipients import AppriseRecipient, WebhookRecipient
from export_pipelines.spec.references import SECRET_KEYS

_LEAST = 4  # shorter values would blot out ordinary words
_TOKEN = 16  # a part of a web hook's URL that is so long is a token, not a word
_REFERENCE = re.compile(r"\$\{(env|file):([^}]*)\}")
_SECRET_WORD = re.compile(r"(?:^|_)(?:key|pass|passphrase|auth|credentials?)(?:$|_)", re.IGNORECASE)
_PASSWORD = re.compile(r"://[^:/@\s]*:(.*)@", re.DOTALL)  # greedy: passwords may hold an @ that is not escaped
_USERINFO = re.compile(r"(://[^\s:/?#@]*:)[^\s/?#]+@")


def redact(text: str, settings: Settings, specs: SpecSet) -> str:
    """The text with `***` for every secret that specs and environment hold.

    Secrets are what `${file:…}` refers to, variables that have a secret's name or sit where a URL has its password, the
    URLs of web hooks and of Apprise, SMTP_PASSWORD, and the password of any URL in the text. Values of less than four
    characters stay.
    """
    for secret in sorted(_secrets(settings, specs), key=len, reverse=True):
        text = text.replace(secret, "***")
    return without_passwords(text)


def without_passwords(text: str) -> str:
    """The text with `***` for the password of every URL in it."""
    return _USERINFO.sub(r"\1***@", text)


def without_hook(text: str, url: str, secret: str) -> str:
    """The text with `***` for the key of a web hook and what is secret of its URL."""
    for spelling in sorted({s for part in (secret, *_of_hook(url)) for s in spellings(part)}, key=len, reverse=True):
        text = text.replace(spelling, "***")
    return without_passwords(text)


def spellings(secret: str) -> set[str]:
    """The secret and how it looks in URLs, in JSON and in Python's messages; empty if it is too short to be hidden."""
    quoted = {quote(secret, safe="", errors="replace"), quote(secret, errors="replace"), unquote(secret)}
    quoted.add(quote_plus(secret, errors="replace"))
    return {text for text in {secret, *quoted, json.dumps(secret)[1:-1], repr(secret)[1:-1]} if len(text) >= _LEAST}


def _secrets(settings: Settings, specs: SpecSet) -> set[str]:
    found = set(_password(_resolved(settings, "${env:EXPORT_LEDGER_URL}")))
    found.add(_resolved(settings, "${env:SMTP_PASSWORD}"))
    for spec in (*specs.connections.values(), *specs.stores.values()):
        for field, text in _texts(spec.model_dump()):
            found.update(_of_text(field, text, settings))
    for recipient in specs.recipients.values():
        if isinstance(recipient, WebhookRecipient | AppriseRecipient) and _REFERENCE.search(recipient.url):
            found.update(_of_hook(_resolved(settings, recipient.url)))
        if isinstance(recipient, WebhookRecipient):
            found.update(_of_text("secret", recipient.secret or "", settings))
    return {spelling for secret in found for spelling in spellings(secret)}


def _texts(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """All texts in nested dicts and lists, each with the nearest key above it."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, str(key))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item, field)


def _of_text(field: str, text: str, settings: Settings) -> Iterator[str]:
    """The secrets that the text of a spec's field refers to."""
    if not _REFERENCE.search(text):
        return
    if _is_secret(field):
        yield _resolved(settings, text)
    hidden = set(_references(" ".join(_password(text))))
    for kind, name in _references(text):
        value = _resolved(settings, f"${{{kind}:{name}}}")
        if kind == "file" or (kind, name) in hidden or _is_secret(name):
            yield value
        yield from _password(value)


def _of_hook(url: str) -> Iterator[str]:
    """Of a URL that is a secret as a whole: what libraries show of it besides the host."""
    yield url
    yield from _password(url)
    path, _, query = re.sub(r"^[^:]+://[^/?#]*", "", url).partition("?")
    for part in (path, f"{path}?{query}", *path.split("/"), *(value for _, value in parse_qsl(query))):
        if len(part) >= _TOKEN:
            yield part


def _password(url: str) -> Iterator[str]:
    """What sits where a URL has its password, and the secrets among its parameters."""
    address, _, query = url.partition("?")
    match = _PASSWORD.search(url if "@" in query and "@" not in address else address)
    if match and match[1]:
        yield match[1]
        yield unquote(match[1])
    for key, value in parse_qsl(query):
        if _is_secret(key):
            yield value


def _is_secret(name: str) -> bool:
    return bool(SECRET_KEYS.search(name) or _SECRET_WORD.search(name))


def _references(text: str) -> Iterable[tuple[str, str]]:
    return ((kind, name) for kind, name in _REFERENCE.findall(text))


def _resolved(settings: Settings, text: str) -> str:
    """The text with its references resolved; "" where one of them cannot be."""
    try:
        return settings.resolve(text)
    except ConfigurationError:
        return ""


_unlogged: ContextVar[bool] = ContextVar("unlogged", default=False)


def _keep(_record: logging.LogRecord) -> bool:
    return not _unlogged.get()


@contextmanager
def unlogged(*loggers: str) -> Iterator[None]:
    """While open, what the calls inside log under these names is dropped: libraries log URLs with their secrets."""
    for name in loggers:
        logging.getLogger(name).addFilter(_keep)  # once, however often it is added
    token = _unlogged.set(True)
    try:
        yield
    finally:
        _unlogged.reset(token)
