"""Checks: what must hold of the rows that were written."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from export_pipelines.spec.base import SpecModel, Text

CheckKind = Literal["rows", "columns", "not_null", "unique", "control_total"]


class RowsCheck(SpecModel):
    """Bounds of the number of rows."""

    min: int | None = Field(None, ge=0, description="At least so many rows.", examples=[1])
    max: int | None = Field(None, ge=0, description="At most so many rows.", examples=[100_000])
    change_percent: float | None = Field(
        None,
        gt=0,
        description="At most so many per cent more or fewer rows than the last good artifact of an earlier partition.",
        examples=[50],
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("needs min, max or change_percent")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is greater than max")
        return self


class ControlTotal(SpecModel):
    """The sum of a column must equal what another query says, on the same snapshot."""

    column: Text = Field(description="Numeric column to add up.", examples=["amount"])
    sql: Text = Field(
        description="A SELECT of one number; `:window_start` and the other parameters as in `sql` of a dataset.",
        examples=["select sum(amount) from postings where posted_at >= :window_start and posted_at < :window_end"],
    )
    tolerance: Decimal = Field(Decimal(0), ge=0, description="Difference that is accepted.", examples=["0.01"])


class DatasetChecks(SpecModel):
    """What must hold of the rows that were written; a check that fails is reported."""

    rows: RowsCheck | None = Field(
        None, description="Number of rows.", examples=[{"min": 1, "max": 100_000, "change_percent": 50}]
    )
    columns: Literal["fixed", "may_grow"] | None = Field(
        None,
        description=(
            "`fixed`: names, order and types are those of the last good artifact; `may_grow`: new ones may follow."
        ),
        examples=["fixed"],
    )
    not_null: list[Text] = Field(default_factory=list, description="Columns without NULL.", examples=[["id", "email"]])
    unique: list[Text] = Field(
        default_factory=list, description="Columns whose values, taken together, occur once.", examples=[["id"]]
    )
    control_total: ControlTotal | None = Field(
        None,
        description="A sum that another query must confirm.",
        examples=[{"column": "amount", "sql": "select sum(amount) from postings"}],
    )
    blocking: list[CheckKind] = Field(
        default_factory=list,
        description="Checks that fail the run, and stop what comes after it, when they fail.",
        examples=[["rows", "control_total"]],
    )

    @property
    def configured(self) -> list[CheckKind]:
        """The checks that are made."""
        return [kind for kind in get_args(CheckKind) if getattr(self, kind)]
