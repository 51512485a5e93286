"""Consoles and tables. Nothing is imported from rich before it is used."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from export_pipelines.cli.tables import show_table, table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["console", "grid", "show_table", "table"]
_UNLIMITED = 10_000


def console(*, stderr: bool = False) -> Console:
    """A console that prints text as it is; lines are broken only on a terminal."""
    from rich.console import Console

    result = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not result.is_terminal and "COLUMNS" not in os.environ:
        result.width = _UNLIMITED
    return result


def grid() -> Table:
    """An empty table without headings: labels on the left, what they mean on the right."""
    from rich.table import Table

    result = Table.grid(padding=(0, 2, 0, 0))
    result.add_column(style="dim", no_wrap=True)
    result.add_column(overflow="fold")
    return result
