"""Text as Excel's XML holds it."""

from __future__ import annotations

import polars as pl

# XML 1.0 cannot hold these, and would turn a carriage return into a line feed; Excel writes them as _xHHHH_.
_ILLEGAL = [chr(code) for code in (*range(9), *range(11, 32), 0xFFFE, 0xFFFF)]
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"} | {char: f"_x{ord(char):04X}_" for char in _ILLEGAL}
_SUSPECTS = ["_x", *_ENTITIES]
_LOOKS_ESCAPED = "_x[0-9A-Fa-f]{4}_"


def traits(text: pl.Series) -> tuple[bool, bool, int]:
    """Whether any text needs `escape`, whether any has a line feed, and the UTF-8 bytes of the longest one."""
    x = pl.col(text.name).str
    questions = (x.contains_any(_SUSPECTS).any(), x.contains("\n", literal=True).any(), x.len_bytes().max())
    special, lines, longest = text.to_frame().select(*(q.alias(str(i)) for i, q in enumerate(questions))).row(0)
    return bool(special), bool(lines), longest or 0


def escape(text: pl.Series) -> pl.Series:
    """The texts, to be put between two XML tags: with `&amp;`, and control characters as `_x0001_`.

    Tabs and line feeds stay. A text that itself holds something like `_x0001_` gets `_x005F_` for the underscore.
    """
    literal = text.str.contains(_LOOKS_ESCAPED)
    if literal.any():
        # All its "_x", because one match may begin with the underscore that ends another: _x0041_x0042_.
        text = text.zip_with(~literal, text.str.replace_all("_x", "_x005F_x", literal=True))
    return text.str.replace_many(_ENTITIES)


def escape_text(text: str) -> str:
    """The same for one text, which may also stand between double quotes."""
    return str(escape(pl.Series([text])).item()).replace('"', "&quot;")
