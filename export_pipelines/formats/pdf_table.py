"""One dataset as a table: heading, a header on every page, rows that wrap and, if very tall, split over pages."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from export_pipelines.errors import FormatError
from export_pipelines.formats.pdf_layout import MARGIN, Layout, Place, wrap
from export_pipelines.formats.pdf_page import BASELINE, BOTTOM, GREY, LEADING, SMALL, Pages, Style, one_line
from export_pipelines.formats.pdf_rows import BASE, INK, Lines, Row, Rows

_PAD = 0.32  # above and below the text of a row, in em
_HEADING = 11.0
_KEPT_SHARE = 1 / 3  # a row taller than this share of the page may be split; a lower one moves to the next page
_FEWEST_LINES = 3  # of a split row, left at the foot of a page


class Table:
    """Draws one dataset on the pages."""

    def __init__(self, pages: Pages, layout: Layout, *, name: str, headers: Sequence[str], fill: str) -> None:
        self._pages, self._layout, self._fill = pages, layout, fill
        self._size = layout.font_size
        self._leading, self._pad = self._size * LEADING, self._size * _PAD
        self._row_height = self._leading + 2 * self._pad
        self._name = pages.medium.printable(name).replace("\n", " ")
        self._rows = Rows(pages.regular, layout)
        self._columns = len(headers)
        self._headers = [[self._header_cell(headers[place.column], place) for place in band] for band in layout.bands]
        self._header_height = max(len(c) for band in self._headers for c in band) * self._leading + 3 * self._pad
        body = layout.size[1] - MARGIN - BOTTOM
        self._kept_lines = int(body * _KEPT_SHARE / self._leading)
        if self._header_height > body / 2:
            raise FormatError(
                f"drawing the header of dataset {name!r}: it would take over half the page",
                hint="Shorten the column names, choose a larger page_size or a smaller font_size",
            )

    def start(self, *, first: bool) -> None:
        """Draw heading and header, on the open pages if they suit (`first`: they were opened for this table)."""
        bands = len(self._layout.bands)
        alike = self._pages.size == self._layout.size and bands == len(self._pages.open) == 1
        needed = 2 * _HEADING + self._header_height + 3 * self._row_height
        if not (first or alike) or self._pages.room < needed:
            self._pages.turn(self._layout.size, bands)
        self._draw_caption(self._name, size=_HEADING, ink=INK)
        self._draw_header()

    def draw(self, columns: Sequence[pl.Series]) -> None:
        """Draw rows given as text columns of equal length."""
        for row in self._rows.render(columns):
            if isinstance(row, Row):
                self._draw_row(row.bands)
            else:
                self._draw_tall(row.bands)

    def end(self, rows: int) -> None:
        """Say so if there were no rows, and leave space below the table."""
        if not rows:
            self._pages.y -= self._row_height
            style = Style(self._pages.regular, self._size, GREY)
            self._pages.open[0].set("no rows", MARGIN + self._layout.pad, self._pages.y, style=style)
        self._pages.y -= 1.5 * _HEADING

    # --- rows ---------------------------------------------------------------------------------------------------

    def _draw_row(self, bands: Sequence[str]) -> None:
        pages = self._pages
        if pages.room < self._row_height:
            self._turn()
        baseline = f"{pages.y - self._pad - BASELINE * self._size:.2f}"
        pages.y -= self._row_height
        for page, operators in zip(pages.open, bands, strict=True):
            page.texts.append(operators.replace(BASE, baseline))
        self._draw_rule()

    def _draw_tall(self, bands: list[list[Lines]]) -> None:
        count = max(len(cell) for band in bands for cell in band)
        done, fresh = 0, False
        while done < count:
            fitting = int((self._pages.room - 2 * self._pad) / self._leading)
            kept = not done and count <= self._kept_lines
            if fitting < count - done and not fresh and (kept or fitting < _FEWEST_LINES):
                self._turn()
                fresh = True
                continue
            lines = max(1, min(fitting, count - done))
            self._draw_lines([[cell[done : done + lines] for cell in band] for band in bands], lines)
            done, fresh = done + lines, False
        self._draw_rule()

    def _draw_lines(self, bands: list[list[Lines]], count: int) -> None:
        pages = self._pages
        top = pages.y - self._pad - BASELINE * self._size
        baselines = [f"{top - i * self._leading:.2f}" for i in range(count)]
        pages.y -= count * self._leading + 2 * self._pad
        for page, cells in zip(pages.open, bands, strict=True):
            for cell in cells:
                page.texts.extend([line.replace(BASE, y) for line, y in zip(cell, baselines, strict=False)])

    def _draw_rule(self) -> None:
        y = self._pages.y
        for page, band in zip(self._pages.open, self._layout.bands, strict=True):
            page.shapes.append(f"{MARGIN:.2f} {y:.2f} m {_right(band):.2f} {y:.2f} l S")

    # --- what stands above the rows -----------------------------------------------------------------------------

    def _turn(self) -> None:
        self._pages.turn(self._layout.size, len(self._layout.bands))
        self._draw_caption(f"{self._name}, continued", size=SMALL, ink=GREY)
        self._draw_header()

    def _draw_caption(self, name: str, *, size: float, ink: str) -> None:
        pages = self._pages
        width = (self._layout.size[0] - 2 * MARGIN) / size
        pages.y -= size * LEADING
        for page, band in zip(pages.open, self._layout.bands, strict=True):
            text = f"{name} · {self._span(band)}" if len(self._layout.bands) > 1 else name
            page.set(one_line(text, width, pages.medium), MARGIN, pages.y, style=Style(pages.medium, size, ink))
        pages.y -= size * 0.5

    def _span(self, band: Sequence[Place]) -> str:
        last = band[-1].column + 1
        start = next(place.column + 1 for i, place in enumerate(band) if i or len(band) == 1 or place.column)
        return f"columns {1 if band is self._layout.bands[0] else start}–{last} of {self._columns}"

    def _header_cell(self, header: str, place: Place) -> Lines:
        typeface, pad = self._pages.medium, self._layout.pad
        lines = []
        for part in typeface.printable(header).split("\n"):
            for line in wrap(part, (place.width - 2 * pad) / self._size, typeface.measure):
                left = place.left + pad
                if place.right:
                    left = place.left + place.width - pad - typeface.measure(line.rstrip()) * self._size
                lines.append(f"1 0 0 1 {left:.2f} {BASE} Tm {typeface.show(line, self._size)}")
        return lines

    def _draw_header(self) -> None:
        pages, height = self._pages, self._header_height
        top = pages.y - 1.5 * self._pad - BASELINE * self._size
        pages.y -= height
        for page, band, cells in zip(pages.open, self._layout.bands, self._headers, strict=True):
            width = _right(band) - MARGIN
            page.shapes.append(f"{_colour(self._fill)} rg {MARGIN:.2f} {pages.y:.2f} {width:.2f} {height:.2f} re f")
            page.texts.append(Style(pages.medium, self._size, f"{_contrast(self._fill)} g").operators)
            for cell in cells:
                page.texts.extend([line.replace(BASE, f"{top - i * self._leading:.2f}") for i, line in enumerate(cell)])
            page.texts.append(Style(pages.regular, self._size, INK).operators)


def _right(band: Sequence[Place]) -> float:
    return band[-1].left + band[-1].width


def _colour(fill: str) -> str:
    return " ".join(f"{int(fill[i : i + 2], 16) / 255:.3f}" for i in (0, 2, 4))


def _contrast(fill: str) -> int:
    """White (1) or black (0), whichever is easier to read on `fill` by the WCAG definition of luminance."""
    parts = [int(fill[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0 if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else 1
