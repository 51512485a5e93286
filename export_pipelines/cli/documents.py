"""Answers as JSON documents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import click


def write_json(document: Mapping[str, Any]) -> None:
    """Print the document to standard output, indented. Aware datetimes become ISO 8601 in UTC, ending with `Z`."""
    click.echo(json.dumps(document, default=_plain, indent=2, ensure_ascii=False))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a JSON document")
