"""Rows as page operators, without their vertical position.

A cell is plain if it is NULL, or printable ASCII that fits its column on one line. Rows of plain cells are made by
polars for a whole batch; only other cells (accents, other scripts, text that wraps) become Python objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from export_pipelines.formats.pdf_cells import Numbers, ascii_widths
from export_pipelines.formats.pdf_fonts import Typeface
from export_pipelines.formats.pdf_layout import Layout, Place, wrap

BASE = "\x00"  # stands for the y of a line's baseline; never in a text, whose control characters are replaced
INK = "0.13 g"  # nearly black: calmer than full black on screens, the same on printers
NULL = "–"
_NULL_INK = "0.62 g"
_CONDENSED = 0.6  # numbers are condensed to this share of their width before they are broken
_CACHED_CELLS = 20_000

Lines = list[str]  # the operators of one cell, line by line


@dataclass(frozen=True)
class Row:
    """A row of one line: its operators on each band."""

    bands: Sequence[str]


@dataclass(frozen=True)
class TallRow:
    """A row of several lines: its cells on each band."""

    bands: list[list[Lines]]


class Rows:
    """Makes the operators of one table's rows."""

    def __init__(self, typeface: Typeface, layout: Layout) -> None:
        self._typeface, self._layout = typeface, layout
        self._size = layout.font_size
        self._table = typeface.ascii_widths()
        self._null = f"{_NULL_INK} {typeface.show(NULL, self._size)} {INK}"
        self._null_width = typeface.measure(NULL) * self._size
        self._cache: dict[tuple[int, int, str], Lines] = {}

    def render(self, columns: Sequence[pl.Series]) -> Iterator[Row | TallRow]:
        """The rows of text columns of equal length, in order."""
        bands = [[self._fragments(columns[p.column], p) for p in band] for band in self._layout.bands]
        joined = [
            pl.DataFrame([cells.alias(str(i)) for i, cells in enumerate(band)])
            .select(pl.concat_str(pl.all(), separator="\n"))
            .to_series()
            for band in bands
        ]
        special = self._special(columns, bands, joined)
        for row in zip(*(series.to_list() for series in joined), strict=True):
            if None not in row:
                yield Row(row)
                continue
            cells = next(special)
            tall = any(len(cell) > 1 for band in cells for cell in band)
            yield TallRow(cells) if tall else Row(["\n".join(cell[0] for cell in band) for band in cells])

    def _fragments(self, column: pl.Series, place: Place) -> pl.Series:
        widths = ascii_widths(column, self._table) * (self._size / self._typeface.units_per_em)
        cells = pl.DataFrame({"text": column, "plain": widths <= self._inner(place)})
        text = pl.col("text")
        if cells["text"].str.contains(r"[\\()]").any():
            text = text.str.replace_all(r"([\\()])", r"\${1}")
        shown = pl.format(f"1 0 0 1 {self._left(place, 0):.2f} {BASE} Tm ({{}}) Tj", text)
        if place.right:
            cells = cells.with_columns(_decimals(self._right_edge(place) - widths).alias("left"))
            shown = pl.format(f"1 0 0 1 {{}} {BASE} Tm ({{}}) Tj", pl.col("left"), text)
        null = pl.lit(f"1 0 0 1 {self._left(place, self._null_width):.2f} {BASE} Tm {self._null}")
        made = pl.when(pl.col("text").is_null()).then(null).when(pl.col("plain")).then(shown)
        return cells.select(made.alias("cell")).to_series()

    def _special(
        self, columns: Sequence[pl.Series], bands: list[list[pl.Series]], joined: list[pl.Series]
    ) -> Iterator[list[list[Lines]]]:
        rows = np.flatnonzero(np.logical_or.reduce([series.is_null().to_numpy() for series in joined]))
        texts = [column.gather(rows).to_list() for column in columns]
        plain = [[cells.gather(rows).to_list() for cells in band] for band in bands]
        for i in range(len(rows)):
            yield [
                [
                    self._lines(number, place, texts[place.column][i]) if made[i] is None else [made[i]]
                    for place, made in zip(places, band, strict=True)
                ]
                for number, (places, band) in enumerate(zip(self._layout.bands, plain, strict=True))
            ]

    def _lines(self, band: int, place: Place, text: str) -> Lines:
        key = (band, place.column, text)
        if key not in self._cache:
            if len(self._cache) >= _CACHED_CELLS:
                self._cache.clear()
            self._cache[key] = self._wrapped(place, self._typeface.printable(text))
        return self._cache[key]

    def _wrapped(self, place: Place, text: str) -> Lines:
        measure, limit = self._typeface.measure, self._inner(place) / self._size
        if "\n" not in text and measure(text) <= limit:
            return [self._shown(place, text, measure(text))]
        if place.right and measure(text) * _CONDENSED <= limit:
            scale = limit / measure(text)
            return [self._shown(place, text, measure(text) * scale, scale)]
        lines = [line for part in text.split("\n") for line in wrap(part, limit, measure)]
        return [self._shown(place, line, measure(line.rstrip())) for line in lines]

    def _shown(self, place: Place, line: str, width: float, scale: float = 1.0) -> str:
        shown = self._typeface.show(line, self._size)
        if scale < 1:
            shown = f"{100 * scale:.2f} Tz {shown} 100 Tz"
        return f"1 0 0 1 {self._left(place, width * self._size):.2f} {BASE} Tm {shown}"

    def _inner(self, place: Place) -> float:
        return place.width - 2 * self._layout.pad + 0.01  # the hundredth forgives rounding

    def _right_edge(self, place: Place) -> float:
        return place.left + place.width - self._layout.pad

    def _left(self, place: Place, width: float) -> float:
        return self._right_edge(place) - width if place.right else place.left + self._layout.pad


def _decimals(lefts: Numbers) -> pl.Series:
    # Numbers of one length are equally wide, so there are few distinct positions to format.
    distinct, inverse = np.unique(np.round(lefts, 2), return_inverse=True)
    return pl.Series([f"{left:.2f}" for left in distinct], dtype=pl.String).gather(inverse.astype(np.uint32))
