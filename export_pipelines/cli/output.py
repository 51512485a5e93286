"""Consoles and tables."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table

_UNLIMITED = 10_000
_GAP = 2
_LEAST = 10


def console(*, stderr: bool = False) -> Console:
    """A console that prints text as it is; lines are broken only on a terminal."""
    result = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not result.is_terminal and "COLUMNS" not in os.environ:
        result.width = _UNLIMITED
    return result


def table(*headings: str) -> Table:
    """An empty table with these headings; one that begins with `>` is for numbers, aligned right."""
    result = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for heading in headings:
        name = heading.removeprefix(">")
        result.add_column(name, justify="left" if name == heading else "right", no_wrap=True, overflow="ellipsis")
    return result


def show_table(filled: Table, *, dispensable: Sequence[str] = (), wide: str = "", folded: bool = True) -> None:
    """Print the table so that it fits the terminal.

    Where there is no room, the `dispensable` columns are left out, the first one first; then the column `wide` is made
    narrow and its cells are folded between words, or cut if not `folded`.
    """
    out = console()
    for heading in dispensable:
        if _excess(filled, out) <= 0:
            break
        filled = _without(filled, heading)
    for column in filled.columns:
        if column.header == wide and (excess := _excess(filled, out)) > 0:
            column.width = max(_LEAST, _width(column) - excess)
            column.no_wrap = not folded
            column.overflow = "fold" if folded else "ellipsis"
    with out.capture() as captured:
        out.print(filled)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()), color=out.is_terminal)


def _without(filled: Table, heading: str) -> Table:
    """The table without this column; rich numbers columns when they are added, so it is built anew."""
    kept = [column for column in filled.columns if column.header != heading]
    result = table(*(f"{'>' * (column.justify == 'right')}{column.header}" for column in kept))
    for cells in zip(*(column.cells for column in kept), strict=True):
        result.add_row(*cells)
    return result


def _excess(filled: Table, out: Console) -> int:
    """Cells of the terminal by which the table is too wide; negative if there is room."""
    return sum(_width(column) for column in filled.columns) + _GAP * (len(filled.columns) - 1) - out.width


def _width(column: Column) -> int:
    return max(cell_len(str(cell)) for cell in (column.header, *column.cells))


def grid() -> Table:
    """An empty table without headings: labels on the left, what they mean on the right."""
    result = Table.grid(padding=(0, 2, 0, 0))
    result.add_column(style="dim", no_wrap=True)
    result.add_column(overflow="fold")
    return result
