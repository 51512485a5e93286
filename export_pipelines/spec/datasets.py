"""Datasets: one named query each, as a table with filters or as SQL."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Self

from pydantic import Discriminator, Field, Tag, WithJsonSchema, field_validator, model_validator

from export_pipelines.spec.base import SpecModel, Text
from export_pipelines.spec.checks import DatasetChecks
from export_pipelines.spec.watermark import WatermarkRef

WINDOW_PARAMS = {
    "window_start": "The instant at which the partition's window begins, in UTC.",
    "window_end": "The instant at which it ends; rows before it belong to the window.",
    "window_start_date": "The first day of the window, in the schedule's timezone.",
    "window_end_date": "The day after its last day; for an hourly window, the day on which it ends.",
    "partition": "The partition key as text, such as `2026-01-31`.",
}
"""Parameters that every query may use -> what they are."""

Value = Annotated[
    bool | int | float | Decimal | datetime | date | str | None,
    WithJsonSchema({"type": ["string", "number", "boolean", "null"]}),
]

_TYPE = re.compile(
    r"(int64|int32|int16|float64|bool|string|binary|date|time|timestamp|timestamptz|decimal\(([0-9]{1,2}),([0-9]{1,2})\))"
)


class Condition(SpecModel):
    """Comparisons of one column; all of them must hold."""

    eq: Value = Field(None, description="Equal to.", examples=["active"])
    ne: Value = Field(None, description="Not equal to.", examples=["draft"])
    gt: Value = Field(None, description="Greater than.", examples=[0])
    ge: Value = Field(None, description="Greater than or equal to.", examples=[1])
    lt: Value = Field(None, description="Less than.", examples=[100])
    le: Value = Field(None, description="Less than or equal to.", examples=[99])
    one_of: list[Value] | None = Field(None, alias="in", description="Equal to one of.", examples=[["a", "b"]])
    not_in: list[Value] | None = Field(None, description="Equal to none of.", examples=[["x"]])
    like: str | None = Field(None, description="SQL LIKE pattern.", examples=["A%"])
    is_null: bool | None = Field(None, description="NULL, or not NULL.", examples=[False])

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("needs a comparison: eq, ne, gt, ge, lt, le, in, not_in, like or is_null")
        return self


def _kind_of_filter(value: object) -> str:
    if isinstance(value, list | tuple):
        return "list"
    return "comparisons" if isinstance(value, dict | Condition) else "value"


Filter = Annotated[
    Annotated[Value, Tag("value")] | Annotated[list[Value], Tag("list")] | Annotated[Condition, Tag("comparisons")],
    Discriminator(_kind_of_filter),
]
"""What one column must be: a value (equal), a list (one of), null (IS NULL), or comparisons."""


class Search(SpecModel):
    """Rows in which any of the columns contains the term, ignoring case."""

    term: Text = Field(description="Text to find; `%` and `_` have no special meaning.", examples=["ann"])
    columns: list[Text] = Field(min_length=1, description="Columns to look in.", examples=[["name", "email"]])


class DatasetSpec(SpecModel):
    """One query: exactly one of `table` and `sql`."""

    table: Text | None = Field(None, description="Table or view, `schema.table` allowed.", examples=["students"])
    columns: list[Text] | None = Field(
        None, min_length=1, description="Columns of `table`, in order; the default is all.", examples=[["id", "name"]]
    )
    filters: dict[str, Filter] = Field(
        default_factory=dict,
        description="Column -> value (equal), list (one of), null (IS NULL) or comparisons. All must hold.",
        examples=[{"status": "active", "score": {"ge": 10}}],
    )
    search: Search | None = Field(
        None, description="Text search over columns.", examples=[{"term": "ann", "columns": ["name", "email"]}]
    )
    window: Text | None = Field(
        None,
        description="Timestamp column of `table`; keeps the rows of the partition's window.",
        examples=["created_at"],
    )
    watermark: WatermarkRef | None = Field(
        None,
        description="Column that tells what is new: rows above the highest value of the partitions before.",
        examples=["id", {"column": "updated_at", "initial": "2026-01-01"}],
    )
    order_by: list[Text] = Field(
        default_factory=list,
        description="Columns of `table`; `-name` sorts descending.",
        examples=[["-created_at", "id"]],
    )
    sql: Text | None = Field(
        None,
        description="A SELECT; `:name` parameters are bound: "
        + ", ".join(f"`:{p}`" for p in WINDOW_PARAMS)
        + " and `params`.",
        examples=["select * from grades where graded_at >= :window_start and graded_at < :window_end"],
    )
    params: dict[str, Value] = Field(
        default_factory=dict, description="Values of further `:name` parameters.", examples=[{"min_score": 50}]
    )
    types: dict[str, str] = Field(
        default_factory=dict,
        description=(
            "Column -> type, for columns whose type the database does not tell: int64, int32, int16, float64, bool, "
            "string, binary, date, time, timestamp, timestamptz, decimal(P,S)."
        ),
        examples=[{"total": "decimal(18,2)"}],
    )
    checks: DatasetChecks | None = Field(
        None,
        description="What must hold of the rows that were written.",
        examples=[{"rows": {"min": 1}, "not_null": ["id"], "unique": ["id"]}],
    )

    @field_validator("types")
    @classmethod
    def _known_types(cls, value: dict[str, str]) -> dict[str, str]:
        for column, name in value.items():
            match = _TYPE.fullmatch(name.replace(" ", ""))
            if not match:
                raise ValueError(f"column {column!r} has unknown type {name!r}; example: decimal(18,2)")
            if match[2] and not (1 <= int(match[2]) <= 38 and int(match[3]) <= int(match[2])):
                raise ValueError(
                    f"column {column!r}: {name} needs 1 to 38 digits, with at most as many after the point"
                )
        return {column: name.replace(" ", "") for column, name in value.items()}

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.table is None) == (self.sql is None):
            raise ValueError("give exactly one of `table` and `sql`")
        if self.sql is not None:
            extra = [n for n in ("columns", "filters", "search", "window", "order_by") if getattr(self, n)]
            if extra:
                raise ValueError(f"{', '.join(extra)} belong to `table`; write them into the SQL")
        elif self.params:
            raise ValueError("`params` belongs to `sql`; use filters with `table`")
        return self

    @model_validator(mode="after")
    def _one_way_to_say_what_is_new(self) -> Self:
        if self.watermark is not None and self.window is not None:
            raise ValueError("`window` and `watermark` both say what belongs to a partition; choose one of them")
        if self.watermark is not None and self.sql is not None and self.watermark.initial is None:
            raise ValueError("`watermark` needs `initial` with `sql`: the first run must give `:watermark` a value")
        return self
