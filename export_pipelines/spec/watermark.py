"""Watermarks: the column whose values tell which rows of a dataset are new."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from export_pipelines.spec.base import SpecModel, Text

WATERMARK_PARAMS = {
    "watermark": "Where the dataset has a `watermark`: the value above which rows are new.",
    "watermark_end": (
        "Likewise: the highest value that belongs to the partition, which is above all others unless a later "
        "partition has been exported already."
    ),
}
"""Parameters that the SQL of a dataset with a watermark may use -> what they are."""

MarkValue = int | Decimal | datetime | date
"""What a watermark can be; text and floating-point numbers are compared differently by different databases."""


def _initial(value: object) -> object:
    """The value with the type that it is compared as. Raises PydanticCustomError if it can be no watermark."""
    if isinstance(value, str):
        value = _parsed(value)
    elif isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal) and not value.is_finite():
        value = None
    elif value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal | date):
        what = "should be a number, a date such as 2026-01-31, or a date with time such as 2026-01-31 18:00:00"
        raise PydanticCustomError("watermark_value", what)
    return value


def _parsed(text: str) -> object:
    for parse in (int, date.fromisoformat, datetime.fromisoformat, Decimal):
        try:
            return parse(text)
        except (ValueError, InvalidOperation):
            continue
    return text


class WatermarkSpec(SpecModel):
    """What is new: rows whose value in a column is above the highest one that was exported before."""

    column: Text = Field(
        description="Column of whole numbers, decimals, dates or timestamps that grows with every new row.",
        examples=["id"],
    )
    initial: Annotated[
        MarkValue | None, BeforeValidator(_initial), WithJsonSchema({"type": ["string", "number", "null"]})
    ] = Field(
        None,
        description="The first run exports what is above it; without it, everything. Needed with `sql`.",
        examples=[0, "2026-01-01"],
    )


def _expand(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


WatermarkRef = Annotated[WatermarkSpec, BeforeValidator(_expand, json_schema_input_type=str | WatermarkSpec)]
"""The name of the column, or a mapping with `column`."""
