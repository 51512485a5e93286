"""Record batches as rows of a sheet's XML, a column at a time and without a Python object per cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import polars as pl
import pyarrow as pa

from export_pipelines.errors import ColumnTypeError, FormatError
from export_pipelines.formats.cells import neutralise, neutralise_text
from export_pipelines.formats.plain import unwrapped
from export_pipelines.formats.xlsx_package import HEADER_STYLE, ROW_HEIGHT, Styles
from export_pipelines.formats.xlsx_text import escape
from export_pipelines.formats.xlsx_values import TEXT_CLOSE, TEXT_OPEN, TEXT_UNITS, Cells, Render, renderer, stored

_NARROWEST, _WIDEST = 8, 60  # characters
_ROOM = 2  # characters that keep neighbours apart
_ARROW_ROOM = 4  # the filter arrow covers the end of a header
_MOST_LINES = 5  # of a text that a row is high enough for
_WIDE_LETTER = r"\p{Han}|\p{Hangul}|\p{Hiragana}|\p{Katakana}"  # takes the place of two


@dataclass(frozen=True)
class Column:
    """One column of a dataset and where it stands in the sheet, such as `AB`."""

    name: str
    letters: str
    render: Render

    def cells(self, array: pa.Array, *, safe: bool) -> Cells:
        """The array's cells, with formulas made harmless if `safe`. Raises FormatError if a value has no cell."""
        try:
            values = stored(array)
        except (ValueError, NotImplementedError) as error:
            raise FormatError(
                f"writing xlsx: column {self.name!r} ({array.type}): {error}",
                hint="Cast the column to text in the query",
            ) from error
        return self.render(neutralise(values) if safe else values)


def columns_of(dataset: str, schema: pa.Schema, styles: Styles) -> list[Column]:
    """The columns of a dataset. Raises ColumnTypeError if a cell cannot hold a column's type."""
    columns = []
    for number, field in enumerate(schema):
        render = renderer(unwrapped(field.type), styles)
        if render is None:
            raise ColumnTypeError(
                f"writing dataset {dataset!r} as xlsx: column {field.name!r} has type {field.type}, "
                "which a cell cannot hold",
                hint="Turn it into text in the query (cast or to_json), or use json, jsonl or parquet",
            )
        columns.append(Column(field.name, _letters(number), render))
    return columns


def header_xml(columns: Sequence[Column], sheet: str, *, safe: bool) -> bytes:
    """The first row: the columns' names."""
    names = [neutralise_text(column.name) if safe else column.name for column in columns]
    texts = pl.Series(names, dtype=pl.String)
    _check_length(texts, sheet, lambda index: f"the name of column {index + 1}")
    opening = TEXT_OPEN.replace(' t="', f' s="{HEADER_STYLE}" t="', 1)
    cells = (
        f'<c r="{column.letters}1"{opening}{text}{TEXT_CLOSE}'
        for column, text in zip(columns, escape(texts), strict=True)
    )
    return f'<row r="1">{"".join(cells)}</row>'.encode()


def rows_xml(columns: Sequence[Column], batch: pa.RecordBatch, place: tuple[str, int], *, safe: bool) -> memoryview:
    """The rows of a batch; `place` is the sheet's name and the number of the first row, from 1.

    Raises FormatError if a text is too long for a cell.
    """
    sheet, first = place
    number = pl.int_range(first, first + batch.num_rows, dtype=pl.Int64, eager=True).cast(pl.String)
    pieces: list[str | pl.Series] = []
    line_feeds = []
    for column, array in zip(columns, batch.columns, strict=True):
        cells = column.cells(array, safe=safe)
        if cells.text is not None:
            _check_length(cells.text, sheet, partial(_place, column, first))
        if cells.line_feeds is not None:
            line_feeds.append(cells.line_feeds)
        cell = [f'<c r="{column.letters}', number, '"', cells.opening, cells.values, cells.closing]
        # NULL makes the whole joined cell NULL, which the row then leaves out.
        pieces += [_join(cell, skip_nulls=False)] if cells.values.null_count() else cell
    return _bytes(_join(['<row r="', number, '"', _heights(line_feeds), ">", *pieces, "</row>"], skip_nulls=True))


def fit_widths(columns: Sequence[Column], batches: Sequence[pa.RecordBatch], *, rows: int) -> list[int]:
    """A width for each column, in characters, that suits its header and its cells in the first `rows` rows."""
    shown = [_letters_shown(pl.Series([column.name])) + _ARROW_ROOM for column in columns]
    for batch in batches:
        for number, (column, array) in enumerate(zip(columns, batch.slice(0, rows).columns, strict=True)):
            cells = column.cells(array, safe=False)
            shown[number] = max(shown[number], (cells.shown or _letters_shown(cells.values)) + _ROOM)
        rows -= min(rows, batch.num_rows)
    return [min(max(width, _NARROWEST), _WIDEST) for width in shown]


def last_cell(columns: Sequence[Column], row: int) -> str:
    """The sheet's last cell, such as `$L$100`."""
    return f"${columns[-1].letters}${row}"


def _heights(line_feeds: Sequence[pl.Series]) -> str | pl.Series:
    # Excel would fit the rows itself, other programs would print the lines over each other.
    if not line_feeds:
        return ""
    most = pl.max_horizontal([pl.lit(feeds) for feeds in line_feeds])
    height = (pl.min_horizontal(most + 1, _MOST_LINES) * ROW_HEIGHT).cast(pl.String)
    return pl.select(pl.when(most > 0).then(pl.lit(' ht="') + height + '"').otherwise(pl.lit(""))).to_series()


def _letters_shown(texts: pl.Series) -> int:
    lines = texts.str.split("\n").explode()
    lengths = lines.str.len_chars() + lines.str.count_matches(_WIDE_LETTER)
    longest = lengths.max()
    return longest if isinstance(longest, int) else 0


def _check_length(texts: pl.Series, sheet: str, place: Callable[[int], str]) -> None:
    for index in (texts.str.len_bytes() > TEXT_UNITS).arg_true():
        units = len(texts[index].encode("utf-16-le")) // 2
        if units > TEXT_UNITS:
            raise FormatError(
                f"writing xlsx, sheet {sheet!r}: {place(index)} has {units:,} characters; "
                f"Excel allows {TEXT_UNITS:,} in a cell",
                hint="Shorten the text in the query, or use a format without this limit: csv, jsonl or parquet",
            )


def _place(column: Column, first: int, index: int) -> str:
    return f"column {column.name!r}, row {first + index:,}"


def _letters(number: int) -> str:
    letters = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        letters = chr(ord("A") + digit) + letters
    return letters


def _join(pieces: Sequence[str | pl.Series], *, skip_nulls: bool) -> pl.Series:
    merged: list[str | pl.Series] = []
    for piece in pieces:
        if isinstance(piece, str) and merged and isinstance(merged[-1], str):
            merged[-1] += piece
        else:
            merged.append(piece)
    return pl.select(pl.concat_str([pl.lit(piece) for piece in merged], ignore_nulls=skip_nulls)).to_series()


def _bytes(texts: pl.Series) -> memoryview:
    array = texts.rechunk().to_arrow()
    _, offsets, data = array.buffers()
    ends = memoryview(offsets).cast("q")
    return memoryview(data)[ends[array.offset] : ends[array.offset + len(array)]]
