"""The results as lines of text and as a table of a Markdown page."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from benchmarks.speed.race import Result

_BEGIN, _END = "<!-- measured -->", "<!-- end -->"
_PACKAGES = (
    "dagster",
    "pyarrow",
    "polars",
    "adbc-driver-postgresql",
    "adbc-driver-sqlite",
    "duckdb",
    "reportlab",
    "isal",
)


def line(result: Result) -> str:
    """One line for the terminal."""
    verdict = "pass" if result.passed else "MISS"
    spread = f" ({result.spread[0]:.2f}–{result.spread[1]:.2f})" if result.spread else ""
    peak = f"  {result.peak_mb:.0f} MB" if result.peak_mb else ""
    measured = f"{result.value:8.2f}{spread}  {result.reach:18}"
    return f"{verdict}  {result.name:48} {measured} {result.against}{peak}  {result.note}"


def write_page(path: Path, results: Iterable[Result], *, rows: int, rounds: int) -> None:
    """Replace what stands between the two marks of the page."""
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    machine = f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.system()} {platform.machine()}"
    head = f"{rows:,} rows where nothing else is said, {rounds} rounds; {machine}; "
    head += f"Python {platform.python_version()}, {versions}."
    table = ["| work | against | measured | to reach | | |", "|---|---|---|---|---|---|"]
    table += [_row(result) for result in results]
    text = path.read_text()
    new = f"{_BEGIN}\n{head}\n\n" + "\n".join(table) + f"\n{_END}"
    path.write_text(re.sub(f"{_BEGIN}.*?{_END}", lambda _: new, text, flags=re.DOTALL))


def _row(result: Result) -> str:
    spread = f" ({result.spread[0]:.2f}–{result.spread[1]:.2f})" if result.spread else ""
    note = "; ".join(filter(None, [result.note, f"peak {result.peak_mb:.0f} MB" if result.peak_mb else ""]))
    verdict = "reached" if result.passed else "missed"
    return f"| {result.name} | {result.against} | {result.value:.2f}{spread} | {result.reach} | {verdict} | {note} |"
