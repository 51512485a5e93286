"""Columns of each type as cells: what stands before the value, the value, and what stands after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import polars as pl
import pyarrow as pa
from pyarrow import types

from export_pipelines.formats.plain import plain, unwrapped
from export_pipelines.formats.render import as_text
from export_pipelines.formats.xlsx_package import LINES_STYLE, Styles
from export_pipelines.formats.xlsx_text import escape, traits

TEXT_OPEN = ' t="inlineStr"><is><t xml:space="preserve">'
TEXT_UNITS = 32_767  # Excel's limit for one cell, in UTF-16 code units
TEXT_CLOSE = "</t></is></c>"
_LINES_OPEN = f' s="{LINES_STYLE}"{TEXT_OPEN}'
_NUMBER_CLOSE = "</v></c>"
_DIGITS = 15  # Excel keeps no more in a number
_MOST_DECIMALS = 30  # in a number format
_FLOAT_SHOWN = 12  # characters that a cell without a number format uses for a float
_DAY = 86_400_000  # milliseconds
_UNIX_EPOCH = 25_569  # Excel's number of 1970-01-01
# Excel counts a 29 February 1900 that never was: its days before March are not those of the real calendar.
_FIRST = (date(1900, 3, 1) - date(1970, 1, 1)).days * _DAY


@dataclass(frozen=True)
class Cells:
    """A column's cells after `<c r="B7"`, in three parts; NULL where `values` is."""

    opening: str | pl.Series
    values: pl.Series
    closing: str | pl.Series
    text: pl.Series | None = None  # as a reader will see it, if one may be too long
    line_feeds: pl.Series | None = None  # how many are in each text, if any has one
    shown: int = 0  # characters that the longest one takes on the screen; 0: as many as its value


Render = Callable[[pa.Array], Cells]


def renderer(kind: pa.DataType, styles: Styles) -> Render | None:
    """What turns arrays that `stored` returned into cells; None if cells cannot hold the unwrapped type `kind`."""
    return next((prepare(kind, styles) for applies, prepare in _RULES if applies(kind)), None)


def stored(array: pa.Array) -> pa.Array:
    """The array without encodings and extensions, moments in UTC.

    Raises ValueError or NotImplementedError if a value has no cell.
    """
    kind = unwrapped(array.type)
    if types.is_timestamp(kind) and kind.tz:
        array = array.cast(pa.timestamp(kind.unit, "UTC"))
    return plain(array)


# --- one function per kind of type ----------------------------------------------------------------------------------


def _nulls(kind: pa.DataType, styles: Styles) -> Render:
    return lambda array: Cells("", pl.Series([None] * len(array), dtype=pl.String), "")


def _booleans(kind: pa.DataType, styles: Styles) -> Render:
    # Excel shows booleans in the reader's language whatever the format; LibreOffice without one may show 1 and 0.
    opening = _number_open(styles.of('"TRUE";"TRUE";"FALSE"')).replace("><v>", ' t="b"><v>')

    def render(array: pa.Array) -> Cells:
        return Cells(opening, _series(array).cast(pl.UInt8).cast(pl.String), _NUMBER_CLOSE, shown=len("FALSE"))

    return render


def _integers(kind: pa.DataType, styles: Styles) -> Render:
    opening = _number_open(styles.of("0"))
    return lambda array: _exact(_series(array).cast(pl.String), opening)


def _decimals(kind: pa.DataType, styles: Styles) -> Render:
    decimals = min(max(kind.scale, 0), _MOST_DECIMALS)
    opening = _number_open(styles.of(f"0.{'0' * decimals}" if decimals else "0"))
    return lambda array: _exact(_series(array).cast(pl.String), opening)


def _floats(kind: pa.DataType, styles: Styles) -> Render:
    def render(array: pa.Array) -> Cells:
        values = _series(array)
        texts, finite = values.cast(pl.String), values.is_finite()
        cells = Cells("><v>", texts, _NUMBER_CLOSE, shown=_FLOAT_SHOWN)
        return cells if finite.all() else _with_texts(cells, ~finite, texts)

    return render


def _dates(kind: pa.DataType, styles: Styles) -> Render:
    style = styles.of("yyyy-mm-dd")
    return _clock((style, style), epoch=_UNIX_EPOCH, low=_FIRST, shown=len("2026-03-29"))


def _timestamps(kind: pa.DataType, styles: Styles) -> Render:
    zone = ' "UTC"' if kind.tz else ""
    pair = (styles.of(f"yyyy-mm-dd hh:mm:ss{zone}"), styles.of(f"yyyy-mm-dd hh:mm:ss.000{zone}"))
    shown = len("2026-03-29 02:00:00 UTC" if kind.tz else "2026-03-29 02:00:00")
    return _clock(pair, epoch=_UNIX_EPOCH, low=_FIRST, shown=shown)


def _times(kind: pa.DataType, styles: Styles) -> Render:
    return _clock((styles.of("hh:mm:ss"), styles.of("hh:mm:ss.000")), epoch=0, low=0, shown=len("02:00:00"))


def _durations(kind: pa.DataType, styles: Styles) -> Render:
    # Excel shows ##### for a negative length of time, hence those are text.
    return _clock((styles.of("[h]:mm:ss"), styles.of("[h]:mm:ss.000")), epoch=0, low=0, shown=len("100:00:00"))


def _texts(kind: pa.DataType, styles: Styles) -> Render:
    def render(array: pa.Array) -> Cells:
        texts = _as_text(array, kind)
        special, lines, longest = traits(texts)
        # A text has at most as many UTF-16 units as UTF-8 bytes, so that few texts need an exact count.
        suspect = texts if longest > TEXT_UNITS else None
        values = escape(texts) if special else texts
        if not lines:
            return Cells(TEXT_OPEN, values, TEXT_CLOSE, text=suspect)
        line_feeds = texts.str.count_matches("\n", literal=True)
        opening = _choose(line_feeds > 0, _LINES_OPEN, TEXT_OPEN)
        return Cells(opening, values, TEXT_CLOSE, text=suspect, line_feeds=line_feeds)

    return render


def _is_text(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.UuidType) or kind in {pa.string_view(), pa.binary_view(), pa.month_day_nano_interval()}:
        return True
    tests = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    return any(test(kind) for test in tests)


_RULES: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType, Styles], Render]], ...] = (
    (_is_text, _texts),
    (types.is_null, _nulls),
    (types.is_boolean, _booleans),
    (types.is_integer, _integers),
    (types.is_decimal, _decimals),
    (types.is_floating, _floats),
    (types.is_date, _dates),
    (types.is_timestamp, _timestamps),
    (types.is_time, _times),
    (types.is_duration, _durations),
)

# --- what they share ------------------------------------------------------------------------------------------------


def _series(array: pa.Array) -> pl.Series:
    series = pl.from_arrow(array)
    assert isinstance(series, pl.Series)
    return series


def _as_text(array: pa.Array, kind: pa.DataType) -> pl.Series:
    series = _series(array).alias("x")
    expression = as_text(pl.col("x"), kind)
    return series.cast(pl.String) if expression is None else series.to_frame().select(expression).to_series()


def _number_open(style: int) -> str:
    return f' s="{style}"><v>'


def _exact(texts: pl.Series, opening: str) -> Cells:
    """Numbers, but those of more than 15 digits as text; zeros that end a fraction do not count."""
    cells = Cells(opening, texts, _NUMBER_CLOSE)
    if not (texts.str.len_bytes() > _DIGITS).any():
        return cells
    digits = texts.str.replace(r"(\.[0-9]*?)0+$", "$1").str.replace_all("[-.]", "").str.strip_chars_start("0")
    return _with_texts(cells, digits.str.len_bytes() > _DIGITS, texts)


def _clock(styles: tuple[int, int], *, epoch: int, low: int, shown: int) -> Render:
    """Milliseconds as Excel's days, `epoch` being the day of 0 ms; what is below `low` ms as text.

    The second of the styles is for moments between two seconds.
    """
    whole, fraction = (_number_open(style) for style in styles)

    def render(array: pa.Array) -> Cells:
        milliseconds = _milliseconds(array)
        days = (milliseconds / _DAY + epoch).cast(pl.String)
        cells = Cells(whole, days, _NUMBER_CLOSE, shown=shown)
        between = milliseconds % 1000 != 0
        if between.any():
            cells = Cells(_choose(between, fraction, whole), days, _NUMBER_CLOSE, shown=shown + len(".000"))
        early = milliseconds < low
        return _with_texts(cells, early, _as_text(array, array.type)) if early.any() else cells

    return render


def _milliseconds(array: pa.Array) -> pl.Series:
    # Rounded down: Excel shows milliseconds, and rounding up could show the next day.
    integers = _series(array.view(pa.int32() if array.type.bit_width == 32 else pa.int64()).cast(pa.int64()))
    if types.is_date(array.type):
        return integers * _DAY
    per_millisecond = {"us": 1_000, "ns": 1_000_000}
    return integers * 1000 if array.type.unit == "s" else integers // per_millisecond.get(array.type.unit, 1)


def _with_texts(cells: Cells, where: pl.Series, texts: pl.Series) -> Cells:
    """The cells, but with `texts` where the mask is true."""
    return Cells(
        _choose(where, TEXT_OPEN, cells.opening),
        _choose(where, texts, cells.values),
        _choose(where, TEXT_CLOSE, cells.closing),
        shown=cells.shown,
    )


def _choose(where: pl.Series, yes: str | pl.Series, no: str | pl.Series) -> pl.Series:
    return pl.select(pl.when(where).then(pl.lit(yes)).otherwise(pl.lit(no))).to_series()
