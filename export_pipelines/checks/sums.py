"""Sums that are exact, and how far sums of floating-point numbers may differ."""

from __future__ import annotations

import math
import sys
from decimal import Context, Decimal

import pyarrow as pa
import pyarrow.compute as pc

from export_pipelines.errors import ColumnTypeError

Number = int | float | Decimal

_EXACT = Context(prec=200)  # Python rounds decimals to 28 digits otherwise
_DIGITS = 38
"""Of Arrow's decimal128, whose sums wrap around without a word."""
_INTEGER_DIGITS = 20  # of the largest unsigned one
_SAFE_INTEGER = 2**53


class Sum:
    """The sum of one column over all batches: exact for integers and decimals."""

    def __init__(self, column: str, given: pa.DataType) -> None:
        self._column = column
        self._type = given
        self._floating = pa.types.is_floating(given)
        self._numeric = self._floating or pa.types.is_integer(given) or pa.types.is_decimal(given)
        self._exact = Decimal(0)
        self._floats: list[float] = []
        self._magnitude = 0.0
        self._values = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the values of the batch; NULL counts as nothing."""
        column = batch.column(self._column)
        self._values += len(column) - column.null_count
        if not self._numeric:
            return
        numbers = _wide(column)
        total = pc.sum(numbers).as_py() or 0
        self._magnitude += float(pc.sum(pc.abs(numbers)).as_py() or 0)
        if self._floating:
            self._floats.append(total)
        else:
            self._exact = _EXACT.add(self._exact, total)

    @property
    def total(self) -> Number:
        """The sum so far; of a floating-point column it may be infinite or not a number.

        Raises ColumnTypeError if the column has values and they are no numbers.
        """
        if self._values and not self._numeric:  # a column without values may have any type
            raise ColumnTypeError(
                f"column {self._column!r} is {self._type}, which does not add up",
                hint="Name a column of numbers, or cast it in the SQL",
            )
        try:
            return math.fsum(self._floats) if self._floating else self._exact
        except (OverflowError, ValueError):  # too large, or infinities of both signs
            return math.nan

    @property
    def rounding(self) -> float:
        """How far another sum of the same numbers may be off if it was computed in floating point, in any order."""
        return (self._values + 1) * sys.float_info.epsilon * self._magnitude


def difference(one: Number, other: Number) -> Decimal:
    """One minus the other, exactly. Both are finite."""
    return _EXACT.subtract(Decimal(one), Decimal(other))


def added(one: Decimal, other: float) -> Decimal:
    """The sum of two numbers, exactly."""
    return _EXACT.add(one, Decimal(other))


def readable(number: Number) -> int | Decimal | float:
    """The number without the digits that floating point makes up: the 15 that it can keep. What is none stays."""
    return Decimal(f"{number:.15g}") if isinstance(number, float) and math.isfinite(number) else number


def plain(number: Number) -> int | float | str:
    """The number as JSON has it without loss: an integer or a float where one says the same, else text."""
    if isinstance(number, float):
        return number if math.isfinite(number) else str(number)
    if number == int(number) and abs(int(number)) < _SAFE_INTEGER:
        return int(number)
    return float(number) if Decimal(repr(float(number))) == number else f"{Decimal(number):f}"


def written(number: float | Decimal) -> str:
    """The number with all its digits: `1,234.5`."""
    text = f"{number:,}" if isinstance(number, float) else f"{Decimal(number):,f}"
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def _wide(column: pa.Array) -> pa.Array:
    """The numbers in a type in which their sum has room."""
    if pa.types.is_integer(column.type):
        return column.cast(pa.decimal128(_INTEGER_DIGITS, 0))
    if pa.types.is_decimal(column.type) and column.type.precision + len(str(len(column))) > _DIGITS:
        return column.cast(pa.decimal256(76, column.type.scale))
    return column
