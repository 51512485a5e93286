"""Text in 78 columns: labelled lines, tables, bars. Filters of the text templates."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from export_pipelines.notify.content import Bar, Line, Row, Table

WIDTH = 78
_GAP = "  "
_BAR = 36
_LEAST = 30


def paragraph(text: str, indent: int = 0) -> str:
    """The text folded between words; what has no spaces, such as a URL, stays in one piece."""
    return _folded(text, " " * indent, " " * indent)


def labelled(lines: Sequence[Line]) -> str:
    """`Label:  value` with all values in one column; a value that must be copied in one piece is never folded."""
    width = max((len(line.label) for line in lines), default=0) + 3
    shown = []
    for line in lines:
        label = f"{line.label}:" if line.label else ""
        first, rest = label.ljust(width), " " * width
        shown.append(_folded(line.value, first, rest) if line.form == "text" else f"{first}{line.value}")
    return "\n".join(shown)


def tabulated(table: Table) -> str:
    """The table with aligned columns, and what stands below a row indented."""
    numeric = [heading.startswith(">") for heading in table.headings]
    headings = [heading.removeprefix(">") for heading in table.headings]
    body = [Row(headings), *table.rows] if any(headings) else list(table.rows)
    widths = [max(len(row.cells[at]) for row in body) for at in range(len(headings))] if body else []
    shown = [line for row in body for line in _row(row, widths, numeric)]
    if any(headings):
        rule = _GAP.join("-" * width for width in widths)
        shown.insert(1, rule[:WIDTH])
    return "\n".join(shown)


def chart(bars: Sequence[Bar]) -> str:
    """A line for each bar: `#` for runs that succeeded, `x` for those that failed."""
    width = max((len(bar.label) for bar in bars), default=0)
    return "\n".join(
        f"{bar.label:<{width}}  {_drawn(bar):<{_BAR}}  {bar.succeeded:,} ok"
        + (f", {bar.failed:,} failed" if bar.failed else "")
        for bar in bars
    )


def _row(row: Row, widths: Sequence[int], numeric: Sequence[bool]) -> Iterator[str]:
    *front, last = [
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(row.cells, widths, numeric, strict=True)
    ]
    start = "".join(cell + _GAP for cell in front)
    if len(start) > WIDTH - _LEAST:  # a long name: what follows it has no room
        yield (start + last).rstrip()
    else:
        yield _folded(last.rstrip(), start, " " * len(start)).rstrip()
    if row.below:
        yield _folded(row.below, " " * 4, " " * 4)


def _drawn(bar: Bar) -> str:
    failed = -(-bar.failed_share * _BAR // 100)
    return "#" * min(round(bar.succeeded_share * _BAR / 100), _BAR - failed) + "x" * failed


def _folded(text: str, first: str, rest: str) -> str:
    return (
        textwrap.fill(
            text,
            WIDTH,
            initial_indent=first,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        )
        or first.rstrip()
    )
