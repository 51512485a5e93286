"""Tables of text. Rich draws them where it is needed for that: to wrap and to cut cells, and for bold headings."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

GAP = 2
_LEAST = 10
_DECIDE = ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE")
"""What may make rich take a file or a pipe for a terminal, or give it a width."""


@dataclass
class Column:
    """A heading and the cells below it. A `width` is set where cells are folded, or cut if not `folded`."""

    heading: str
    right: bool = False
    cells: list[str] = field(default_factory=list)
    width: int | None = None
    folded: bool = False

    @property
    def widest(self) -> int:
        """Cells of the terminal that the widest entry takes."""
        return max(map(cell_width, (self.heading, *self.cells)))


@dataclass
class Table:
    """Columns with equally many cells."""

    columns: list[Column]

    def add_row(self, *cells: str) -> None:
        """Add one cell to each column."""
        for column, cell in zip(self.columns, cells, strict=True):
            column.cells.append(cell)

    def without(self, heading: str) -> Table:
        """The table without this column."""
        return Table([column for column in self.columns if column.heading != heading])

    @property
    def width(self) -> int:
        """Cells of the terminal that it takes if nothing is cut."""
        return sum(column.widest for column in self.columns) + GAP * (len(self.columns) - 1)


def table(*headings: str) -> Table:
    """An empty table with these headings; one that begins with `>` is for numbers, aligned right."""
    return Table([Column(heading.removeprefix(">"), heading.startswith(">")) for heading in headings])


def show_table(filled: Table, *, dispensable: Sequence[str] = (), wide: str = "", folded: bool = True) -> None:
    """Print the table so that it fits the terminal.

    Where there is no room, the `dispensable` columns are left out, the first one first; then the column `wide` is made
    narrow and its cells are folded between words, or cut if not `folded`.
    """
    if not (sys.stdout.isatty() or any(name in os.environ for name in _DECIDE)) and is_plain(filled):
        click.echo("\n".join(plain_lines(filled)))  # without importing rich
        return
    from export_pipelines.cli.output import console

    out = console()
    filled = fitted(filled, out.width, dispensable=dispensable, wide=wide, folded=folded)
    plain = filled.width <= out.width and is_plain(filled)
    lines = [_drawn(_heading(filled), out)[0], *plain_lines(filled)[1:]] if plain else _drawn(filled, out)
    click.echo("\n".join(lines), color=out.is_terminal)


def fitted(filled: Table, room: int, *, dispensable: Sequence[str], wide: str, folded: bool) -> Table:
    """The table as it fits the room, if it can be made to."""
    for heading in dispensable:
        if filled.width <= room:
            break
        filled = filled.without(heading)
    for column in filled.columns:
        if column.heading == wide and (excess := filled.width - room) > 0:
            column.width, column.folded = max(_LEAST, column.widest - excess), folded
    return filled


def is_plain(filled: Table) -> bool:
    """Whether each cell is one line of what is printed as it is."""
    return all(
        c.width is None and c.heading.isprintable() and all(map(str.isprintable, c.cells)) for c in filled.columns
    )


def plain_lines(filled: Table) -> list[str]:
    """The lines of a plain table for which there is room, as rich draws them, the headings first."""
    columns = [_padded(column) for column in filled.columns]
    return [(" " * GAP).join(cells).rstrip() for cells in zip(*columns, strict=True)]


def _padded(column: Column) -> list[str]:
    width = column.widest
    if column.right:
        return [" " * (width - cell_width(cell)) + cell for cell in (column.heading, *column.cells)]
    return [cell + " " * (width - cell_width(cell)) for cell in (column.heading, *column.cells)]


def _heading(filled: Table) -> Table:
    """The table without rows, as wide as it is with them."""
    return Table([Column(column.heading, column.right, width=column.widest) for column in filled.columns])


def _drawn(filled: Table, out: Console) -> list[str]:
    with out.capture() as captured:
        out.print(rich_table(filled))
    return [line.rstrip() for line in captured.get().splitlines()]


def rich_table(filled: Table) -> RichTable:
    """The table as rich has it."""
    from rich.table import Table as RichTable

    result = RichTable(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for column in filled.columns:
        result.add_column(
            column.heading,
            justify="right" if column.right else "left",
            no_wrap=not column.folded,
            overflow="fold" if column.folded else "ellipsis",
            width=column.width,
        )
    for cells in zip(*(column.cells for column in filled.columns), strict=True):
        result.add_row(*cells)
    return result


def cell_width(text: str) -> int:
    """Cells of the terminal that a line of text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
