"""Retention: what to keep, of one export or of all that say nothing else."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from export_pipelines.settings import MOST_RETENTION_DAYS
from export_pipelines.spec.base import KEY_NAME_PATTERN, KeyName, SpecModel

DEFAULT = "default"
"""The name of the policy of exports that give none."""

_KEEP = ("keep_days", "keep_last", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly")


ARCHIVE = "archive"
"""The store of EXPORT_ARCHIVE_PATH, and of archives that name none."""

ArchiveFormat = Literal["zip", "tar.gz", "tar.zst"]


class ArchiveSpec(SpecModel):
    """Where artifacts are packed, and read again, before they are deleted."""

    store: KeyName = Field(ARCHIVE, description="Name of the store that gets the archives.", examples=["vault"])
    format: ArchiveFormat = Field("zip", description="`zip`, `tar.gz` or `tar.zst`.", examples=["tar.zst"])
    per: Literal["artifact", "month"] = Field(
        "artifact",
        description="One archive for each artifact, or for those of each month that are deleted together.",
        examples=["month"],
    )


def _kind_of_archive(value: object) -> str:
    return "off" if isinstance(value, bool) else "archive"


ArchiveRef = Annotated[
    Annotated[ArchiveSpec, Tag("archive")] | Annotated[Literal[False], Tag("off")], Discriminator(_kind_of_archive)
]
"""How to archive, or false: not at all."""


class RetentionSpec(SpecModel):
    """What to keep. What any `keep_` key names is kept, and the rest may be deleted; without any key, nothing may."""

    keep_days: int | None = Field(
        None,
        ge=1,
        le=MOST_RETENTION_DAYS,
        description="Artifacts whose window ended at most so many days ago.",
        examples=[90],
    )
    keep_last: int | None = Field(None, ge=1, description="The latest so many partitions.", examples=[7])
    keep_daily: int | None = Field(
        None, ge=1, description="The last partition of each of the latest so many days that have one.", examples=[14]
    )
    keep_weekly: int | None = Field(None, ge=1, description="The same for weeks, which begin on Monday.", examples=[8])
    keep_monthly: int | None = Field(None, ge=1, description="The same for months.", examples=[12])
    keep_yearly: int | None = Field(None, ge=1, description="The same for years.", examples=[10])
    max_total_bytes: int | None = Field(
        None,
        ge=1,
        description="Above this sum, the export's oldest artifacts may be deleted although a `keep_` key names them.",
        examples=[50_000_000_000],
    )
    expire_after_hours: float | None = Field(
        None,
        gt=0,
        le=MOST_RETENTION_DAYS * 24,
        description="Artifacts may be deleted when their window ended so long ago; in place of the `keep_` keys.",
        examples=[24],
    )
    failed_after_hours: float = Field(
        1,
        gt=0,
        le=MOST_RETENTION_DAYS * 24,
        description="Age at which leftovers of failed runs may be deleted.",
        examples=[6],
    )
    min_keep_days: int | None = Field(
        None,
        ge=1,
        le=MOST_RETENTION_DAYS,
        description="Nothing is deleted before its window ended so many days ago, whatever else is said.",
        examples=[3650],
    )
    hold_until: date | None = Field(
        None, description="Legal hold: nothing is deleted up to the end of this day.", examples=["2027-12-31"]
    )
    archive: ArchiveRef | None = Field(
        None,
        description="Archive what is to be deleted first. None: where EXPORT_ARCHIVE_PATH says, if it is set.",
        examples=[{"store": "vault", "format": "tar.zst", "per": "month"}, False],
    )
    max_delete_percent: float = Field(
        30,
        gt=0,
        le=100,
        description="A plan that deletes more of the export's artifacts at once, and more than one, is refused.",
        examples=[60],
    )

    @property
    def keeps(self) -> bool:
        """Whether it names what to keep by age or number, so that the rest may be deleted."""
        return self.expire_after_hours is not None or any(getattr(self, key) is not None for key in _KEEP)

    @property
    def counts(self) -> bool:
        """Whether it counts partitions, days, weeks, months or years."""
        return any(getattr(self, key) is not None for key in _KEEP[1:])

    @property
    def deletes(self) -> bool:
        """Whether it allows anything to be deleted at all."""
        return self.keeps or self.max_total_bytes is not None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.expire_after_hours is None:
            return self
        if given := [key for key in _KEEP if getattr(self, key) is not None]:
            raise ValueError(f"expire_after_hours: says when everything goes; leave out `{'`, `'.join(given)}`")
        if self.min_keep_days is not None and self.expire_after_hours < 24 * self.min_keep_days:
            raise ValueError(f"expire_after_hours: is shorter than `min_keep_days`, {24 * self.min_keep_days:,} hours")
        return self


def combined(own: RetentionSpec, default: RetentionSpec) -> RetentionSpec:
    """The export's own policy in place of the default one, with the longer minimum and the later hold of both.

    It is archived as the default says, unless its own policy says something about that.
    """
    minimum = max(own.min_keep_days or 0, default.min_keep_days or 0)
    hold = max((day for day in (own.hold_until, default.hold_until) if day), default=None)
    archive = default.archive if own.archive is None else own.archive
    return own.model_copy(update={"min_keep_days": minimum or None, "hold_until": hold, "archive": archive})


def _kind_of_reference(value: object) -> str:
    return "name" if isinstance(value, str) else "policy"


RetentionRef = Annotated[
    Annotated[RetentionSpec, Tag("policy")] | Annotated[str, StringConstraints(pattern=KEY_NAME_PATTERN), Tag("name")],
    Discriminator(_kind_of_reference),
]
"""The name of a policy, or one written in place."""
