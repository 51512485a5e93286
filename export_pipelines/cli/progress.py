"""Progress on a terminal, on standard error; elsewhere nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from export_pipelines.cli.output import console


@contextmanager
def counting_rows(label: str) -> Iterator[Callable[[int], None]]:
    """Show rows, rows per second and time while rows are written.

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
    )
    with Progress(*columns, console=terminal, transient=True) as progress:
        task = progress.add_task(f"{label}: opening", total=None, speed="")
        began = time.monotonic()

        def _on_rows(rows: int) -> None:
            nonlocal began
            began = began if rows else time.monotonic()
            seconds = max(time.monotonic() - began, 0.001)
            speed = f"{rows / seconds:,.0f} rows/s" if rows else ""
            progress.update(task, completed=rows, description=label, speed=speed)

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
