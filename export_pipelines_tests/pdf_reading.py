"""Reads our PDF reports back from what is visible: where characters, header bars and rules are on the pages."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pdfplumber

_NULL_GREY = 0.62
_HINT_GREY = 0.45
_NEAR = 0.3  # points

Row = list[list[str] | None]  # cells, each a list of lines or None for NULL


@dataclass
class Run:
    """Characters that stand side by side."""

    text: str
    x0: float
    x1: float
    y: float  # distance from the page's top
    size: float
    grey: float | None


@dataclass
class Section:
    """A table as it is seen."""

    caption: str
    columns: list[str]
    rows: list[Row] = field(default_factory=list)

    def cells(self, joined: str = "\n") -> list[dict[str, str | None]]:
        """The rows as {column: text}, lines joined."""
        return [
            {name: None if cell is None else joined.join(cell) for name, cell in zip(self.columns, row, strict=True)}
            for row in self.rows
        ]


def read_sections(data: bytes) -> list[Section]:
    """The tables of a PDF that has no bands, each with the rows of all its pages."""
    sections: list[Section] = []
    begun: Row | None = None
    with pdfplumber.open(io.BytesIO(data)) as pdf:
        for page in pdf.pages:
            runs = list(read_runs(page))
            bars = sorted((bar["top"], bar["bottom"]) for bar in page.rects)
            captions = [max((run for run in runs if run.y < top), key=lambda run: run.y) for top, _ in bars]
            for (top, bottom), end, caption in zip(bars, [*bars[1:], (page.height, 0)], captions, strict=True):
                header = _columns([run for run in runs if top < run.y < bottom])
                if not caption.text.endswith(", continued"):
                    sections.append(Section(caption.text, ["".join(run.text for run in lines) for lines in header]))
                rules = sorted({round(line["top"], 2) for line in page.lines if bottom < line["top"] < end[0]})
                body = [run for run in runs if bottom < run.y < end[0] and run.grey != _HINT_GREY]
                for rule in rules:
                    inside = [run for run in body if run.y < rule]
                    body = body[len(inside) :]
                    sections[-1].rows.append(_row(inside, header, begun))
                    begun = None
                body = [run for run in body if run not in captions]
                begun = _row(body, header, begun) if body else begun
    assert begun is None, "the last row has no rule below"
    return sections


def read_runs(page: Any) -> Iterator[Run]:
    """The page's characters in the order of drawing, those that touch joined."""
    run: Run | None = None
    for char in page.chars:
        y = round(page.height - char["matrix"][5], 2)
        if run and run.y == y and abs(run.x1 - char["x0"]) < 0.02:
            run.text += char["text"]
            run.x1 = char["x1"]
            continue
        if run:
            yield run
        colour = char["non_stroking_color"]
        grey = round(colour[0], 2) if colour and len(colour) == 1 else None
        run = Run(char["text"], char["x0"], char["x1"], y, round(char["size"], 2), grey)
    if run:
        yield run


def _columns(header: list[Run]) -> list[list[Run]]:
    columns: list[list[Run]] = []
    for run in header:
        if columns and run.y > header[0].y + 1 and _aligned(run, columns[-1]):
            columns[-1].append(run)
        else:
            columns.append([run])
    return columns


def _aligned(run: Run, lines: list[Run]) -> bool:
    return abs(run.x0 - lines[0].x0) < _NEAR or abs(run.x1 - lines[0].x1) < _NEAR


def _row(runs: list[Run], header: list[list[Run]], begun: Row | None) -> Row:
    row = begun or [[] for _ in header]
    for run in runs:
        column = next(i for i, lines in enumerate(header) if _aligned(run, lines))
        lines = row[column]
        if lines is None or (run.text == "–" and run.grey == _NULL_GREY):
            row[column] = None
        else:
            lines.append(run.text)
    return row
