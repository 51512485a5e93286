"""Secrets in spec files: references that are malformed, and secrets that are written out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from export_pipelines.spec.problems import SpecPath

_REFERENCE = re.compile(r"\$\{(env:[A-Za-z_][A-Za-z0-9_]*|file:[^}\s]+)\}")
_BARE_NAME = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
SECRET_KEYS = re.compile(r"pass(?:word|wd)|pwd|secret|token|api_?key|\bsig(?:nature)?\b", re.IGNORECASE)
_ODBC_PASSWORD = re.compile(r"(?:^|;)\s*(pwd|password)\s*=\s*[^;\s]", re.IGNORECASE)


def strings(value: Any, path: SpecPath = ()) -> Iterator[tuple[SpecPath, str]]:
    """All text in nested dicts and lists, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings(item, (*path, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from strings(item, (*path, position))


def has_reference(text: str) -> bool:
    """Whether the text holds a well-formed reference."""
    return bool(_REFERENCE.search(text))


def malformed_reference(text: str) -> str | None:
    """What to do about a reference that would not be resolved, or None. The text is not shown: it may be a secret."""
    rest = _REFERENCE.sub("", text)
    if "${" not in rest:
        return None
    bare = _BARE_NAME.search(rest)
    if bare:
        return f"`${{{bare[1]}}}` is not a reference; write `${{env:{bare[1]}}}`"
    return "holds `${` without a reference; write `${env:NAME}` or `${file:/run/secrets/name}`"


def literal_secret(url: str) -> bool:
    """Whether the URL holds a password, or a secret in its query, that is not a reference."""
    text = _REFERENCE.sub("", url)
    address, _, query = text.partition("?")
    if re.match(r"[^:]+://(?!/)[^@]*?:[^@]+@", address):
        return True
    return any(SECRET_KEYS.search(key) or _ODBC_PASSWORD.search(value) for key, value in parse_qsl(query))


def without_references(text: str) -> str:
    """What is left of the text once its references are taken out."""
    return _REFERENCE.sub("", text).strip()
