"""JSON documents, consoles and tables."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import click
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_UNLIMITED = 10_000


def write_json(document: Mapping[str, Any]) -> None:
    """Print the document to standard output, indented. Aware datetimes become ISO 8601 in UTC, ending with `Z`."""
    click.echo(json.dumps(document, default=_plain, indent=2, ensure_ascii=False))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a JSON document")


def console(*, stderr: bool = False) -> Console:
    """A console that prints text as it is; lines are broken only on a terminal."""
    result = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not result.is_terminal and "COLUMNS" not in os.environ:
        result.width = _UNLIMITED
    return result


def table(*headings: str, wide: str = "") -> Table:
    """An empty table with these headings.

    A heading that begins with `>` is for numbers: aligned right. Cells are on one line and cut where there is no room,
    except those of the column `wide`, which are folded.
    """
    result = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        name = heading.removeprefix(">")
        folded = name == wide
        result.add_column(
            name,
            justify="left" if name == heading else "right",
            no_wrap=not folded,
            overflow="fold" if folded else "ellipsis",
        )
    return result


def show_table(filled: Table, *, dispensable: Sequence[str] = ()) -> None:
    """Print the table. Where a terminal is too narrow, the `dispensable` columns are left out, the first one first."""
    out = console()
    for heading in dispensable:
        if Measurement.get(out, out.options.update(max_width=_UNLIMITED), filled).maximum <= out.width:
            break
        filled.columns = [column for column in filled.columns if column.header != heading]
    with out.capture() as captured:
        out.print(filled)
    lines = captured.get().splitlines()
    click.echo("\n".join(line.rstrip() for line in lines))


def grid() -> Table:
    """An empty table without headings: labels on the left, what they mean on the right."""
    result = Table.grid(padding=(0, 2, 0, 0))
    result.add_column(style="dim", no_wrap=True)
    result.add_column(overflow="fold")
    return result
