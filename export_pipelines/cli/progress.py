"""Progress on a terminal, on standard error; elsewhere nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from export_pipelines.cli.output import console

if TYPE_CHECKING:
    from export_pipelines.pace import Pace


@contextmanager
def counting_rows(label: str, pace: Pace) -> Iterator[Callable[[int], None]]:
    """Show rows, rows per second, time, and when it will probably be done, while rows are written.

    What it yields is called with the rows so far: with 0 when the queries have executed, then after each batch.
    """
    terminal = console(stderr=True)
    if not terminal.is_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        TextColumn("{task.completed:,.0f} rows"),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=terminal, transient=True) as progress:
        task = progress.add_task(f"{label}: opening", total=None, speed="", left="")

        def _on_rows(rows: int) -> None:
            if not rows:
                pace.restart()
            seen = pace.seen(rows)
            progress.update(
                task, completed=rows, total=seen.expected, description=label, speed=seen.speed, left=seen.left
            )

        yield _on_rows


@contextmanager
def naming_files() -> Iterator[Callable[[str], None]]:
    """Show the file that is being read; call what it yields with each path."""
    terminal = console(stderr=True)
    if not terminal.is_terminal:
        yield lambda _: None
        return
    with terminal.status("Reading") as status:
        yield lambda path: status.update(f"Reading {path}")


@contextmanager
def counting_exports(total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar while exports are produced; call what it yields with how many were finished."""
    terminal = console(stderr=True)
    if not terminal.is_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("Exports"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=terminal, transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda number: progress.advance(task, number)
