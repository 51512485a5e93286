"""What formats share about cells: formulas made harmless."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_STARTS = "^[=+\\-@\t\r\n＝＋－＠]"
_FIRST_BYTES = np.isin(np.arange(256), [start.encode()[0] for start in "=+-@\t\r\n＝＋－＠"])
_NUMBER = r"^[+-]?[0-9]+([.,][0-9]+)?([eE][+-]?[0-9]+)?$"


def neutralise(column: pa.Array) -> pa.Array:
    """The text column with an apostrophe before every cell that a spreadsheet would run as a formula.

    Cells that begin with one of `= + - @`, their full-width forms, tab or a line end count, except strict numbers
    such as `-12.50`. NULL stays NULL; columns of other types are returned as they are.
    """
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    if not _may_hold_formulas(column):
        return column
    suspects = pc.match_substring_regex(column, _STARTS)
    if not pc.any(suspects).as_py():
        return column
    formulas = pc.and_not(suspects, pc.match_substring_regex(column, _NUMBER))
    prefix = pa.scalar("'", column.type)
    return pc.if_else(formulas, pc.binary_join_element_wise(prefix, column, pa.scalar("", column.type)), column)


def _may_hold_formulas(column: pa.Array) -> bool:
    """Whether any cell begins with the first byte of one of the starts: ten times faster than the pattern."""
    _, ends, data = column.buffers()
    offsets = np.dtype(np.int64 if pa.types.is_large_string(column.type) else np.int32)
    starts: npt.NDArray[np.signedinteger] = np.frombuffer(ends, offsets)[column.offset : column.offset + len(column)]
    if data is None or not len(starts):
        return False
    text = np.frombuffer(data, np.uint8)
    # An empty cell begins where the next one does, the last ones maybe behind the end of the data.
    return bool(_FIRST_BYTES[text[starts[starts < len(text)]]].any())


def neutralise_text(text: str) -> str:
    """The same for one text, such as a column header."""
    return "'" + text if re.match(_STARTS, text) and not re.fullmatch(_NUMBER, text) else text
