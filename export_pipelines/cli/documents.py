"""Answers as JSON documents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import click
from pydantic_core import PydanticSerializationError, to_json

_TEXT_OR_NUMBER = frozenset({str, int, float, bool, type(None)})


def write_json(document: Mapping[str, Any]) -> None:
    """Print the document to standard output, indented. Aware datetimes become ISO 8601 in UTC, ending with `Z`.

    Raises TypeError if it holds anything else than mappings, lists, text, numbers, datetimes and dates.
    """
    # The encoder of the standard library is written in Python where it indents: it needs five times as long.
    plain = _plain(document)
    try:
        text = to_json(plain, indent=2).decode()
    except PydanticSerializationError:  # the name of a file that is not UTF-8
        text = json.dumps(plain, default=_instant, indent=2, ensure_ascii=False)
    click.echo(text)


def _instant(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    """The value as dicts, lists, text, numbers and datetimes in UTC, which is all that has one form in JSON."""
    kind = type(value)
    if kind is datetime:
        return value if value.tzinfo is UTC else value.astimezone(UTC)
    if kind is dict:
        return {
            key if type(key) is str else _key(key): inner if type(inner) in _TEXT_OR_NUMBER else _plain(inner)
            for key, inner in value.items()
        }
    if kind is list or kind is tuple:
        return [inner if type(inner) in _TEXT_OR_NUMBER else _plain(inner) for inner in value]
    return _plain_of(value)


def _plain_of(value: Any) -> Any:
    """The same for what is of a class of its own."""
    if isinstance(value, dict):
        return _plain(dict(value))
    if isinstance(value, list | tuple):
        return _plain(list(value))
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str | int | float):
        return value
    raise TypeError(f"{type(value).__name__} has no place in a JSON document")


def _key(key: object) -> str:
    return key if isinstance(key, str) else next(iter(json.loads(json.dumps({key: None}))))
