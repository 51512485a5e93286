"""Answers as JSON documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import click
from pydantic_core import PydanticSerializationError, to_json

_TEXT_OR_NUMBER = frozenset({str, int, float, bool, type(None)})


class Rows:
    """A list with a mapping for each of many objects, made when it is written and forgotten then.

    The mappings hold text, numbers, instants in UTC, and lists of text and numbers; nobody looks whether they do, which
    would take as long as to write them.
    """

    def __init__(self, make: Callable[[Any], dict[str, Any]], of: Iterable[Any]) -> None:
        """`make` gives the mapping of one of the objects."""
        self._make = make
        self._of = of

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self._make(one) for one in self._of)


def write_json(document: Mapping[str, Any]) -> None:
    """Print the document to standard output, indented. Aware datetimes become ISO 8601 in UTC, ending with `Z`.

    Raises TypeError if it holds anything else than mappings, lists, text, numbers, datetimes and dates.
    """
    # The encoder of the standard library is written in Python where it indents: it needs five times as long.
    plain = _plain(document)
    try:
        text: str | bytes = to_json(plain, indent=2, fallback=iter)
    except PydanticSerializationError:  # the name of a file that is not UTF-8
        text = json.dumps(plain, default=_otherwise, indent=2, ensure_ascii=False)
    click.echo(text)


def _otherwise(value: datetime | Rows) -> str | list[dict[str, Any]]:
    return list(value) if isinstance(value, Rows) else value.isoformat().replace("+00:00", "Z")


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
    if isinstance(value, str | int | float | Rows):
        return value
    raise TypeError(f"{type(value).__name__} has no place in a JSON document")


def _key(key: object) -> str:
    return key if isinstance(key, str) else next(iter(json.loads(json.dumps({key: None}))))
