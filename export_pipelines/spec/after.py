"""What an export waits for before a tick of its schedule runs it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from export_pipelines.spec.base import Name, SpecModel

ASSET_PATTERN = r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$"

AssetPath = Annotated[str, StringConstraints(pattern=ASSET_PATTERN)]
"""The key of a Dagster asset, its parts joined by slashes."""


class AfterSpec(SpecModel):
    """Other exports and Dagster assets whose same partition comes first. A list of exports is short for `exports`."""

    exports: list[Name] = Field(
        default_factory=list, description="Exports that must have published the same partition.", examples=[["orders"]]
    )
    assets: list[AssetPath] = Field(
        default_factory=list,
        description="Keys of Dagster assets, of any code location, that must have the same partition; where they have "
        "no partitions, one made since the partition ended.",
        examples=[["dbt/orders"]],
    )
    deadline_minutes: int = Field(
        240, ge=1, le=44_640, description="How long after its tick the export waits at most.", examples=[120]
    )
    otherwise: Literal["skip", "run", "fail"] = Field(
        "fail",
        description="What becomes of a partition that has waited so long: it is left out, run all the same, or given "
        "up, and the owners are told.",
        examples=["run"],
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.exports and not self.assets:
            raise ValueError("names nothing to wait for; give `exports` or `assets`, or leave out `after`")
        return self


def _kind_of_reference(value: object) -> str:
    return "waiting" if isinstance(value, dict | AfterSpec) else "names"


AfterRef = Annotated[
    Annotated[AfterSpec, Tag("waiting")] | Annotated[list[Name], Field(min_length=1), Tag("names")],
    Discriminator(_kind_of_reference),
]
