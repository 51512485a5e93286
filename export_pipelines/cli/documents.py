"""Answers as JSON documents."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import chain
from typing import Any

import click
from pydantic_core import PydanticSerializationError, to_json

_TEXT_OR_NUMBER = frozenset({str, int, float, bool, type(None)})
_MANY = 100  # rows, from which on it pays to look first whether any needs a change


def write_json(document: Mapping[str, Any]) -> None:
    """Print the document to standard output, indented. Aware datetimes become ISO 8601 in UTC, ending with `Z`.

    Raises TypeError if it holds anything else than mappings, lists, text, numbers, datetimes and dates.
    """
    # The encoder of the standard library is written in Python where it indents: it needs five times as long.
    plain = _plain(document)
    try:
        text: str | bytes = to_json(plain, indent=2)
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
        if len(value) >= _MANY and _is_table(value):
            return value
        return [inner if type(inner) in _TEXT_OR_NUMBER else _plain(inner) for inner in value]
    return _plain_of(value)


def _is_table(rows: Sequence[Any]) -> bool:
    """Whether these are mappings that need no change: text, numbers, instants in UTC, lists of text and numbers."""
    if set(map(type, rows)) != {dict}:
        return False
    keys = chain.from_iterable(set(map(tuple, rows)))
    others = [value for value in chain.from_iterable(map(dict.values, rows)) if type(value) not in _TEXT_OR_NUMBER]
    if set(map(type, keys)) - {str} or set(map(type, others)) - {datetime, list, tuple}:
        return False
    inner = chain.from_iterable(value for value in others if type(value) is not datetime)
    in_utc = all(value.tzinfo is UTC for value in others if type(value) is datetime)
    return in_utc and set(map(type, inner)) <= _TEXT_OR_NUMBER


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
