"""Who hears of what: by export, by owner, by organisation, and for the whole project."""

from __future__ import annotations

from datetime import time
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from export_pipelines.spec.base import KEY_NAME_PATTERN, SpecModel, TimeOfDay
from export_pipelines.spec.recipients import ADDRESS_PATTERN
from export_pipelines.spec.schedules import Weekday, check_timezone

REFERENCE_PATTERN = f"{KEY_NAME_PATTERN}|{ADDRESS_PATTERN}"

RecipientRef = Annotated[str, StringConstraints(pattern=REFERENCE_PATTERN)]
"""The name of a recipient, or an e-mail address."""

SCOPE_PATTERN = r"^(default|org:[A-Za-z0-9][A-Za-z0-9_.-]{0,62}|team:[A-Za-z0-9_.-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$"

Scope = Annotated[str, StringConstraints(pattern=SCOPE_PATTERN)]
"""`default`, `org:NAME`, or an owner as exports name it."""


class Escalation(SpecModel):
    """A second list, for failures that nobody has ended."""

    to: list[RecipientRef] = Field(min_length=1, description="Who hears of it.", examples=[["head-of-data"]])
    after_failures: int = Field(3, ge=2, description="After so many failures in a row.", examples=[5])
    after_hours: float = Field(4, gt=0, description="Or when the first one is so old.", examples=[12])


class Digests(SpecModel):
    """When summaries are sent."""

    at: TimeOfDay = Field(time(7, 30), description="Local time of both.", examples=["08:00"])
    timezone: str = Field("UTC", description="IANA timezone.", examples=["Europe/Berlin"])
    weekly_on: Weekday = Field("mon", description="Day of the weekly report.", examples=["fri"])

    @field_validator("timezone")
    @classmethod
    def _valid_timezone(cls, value: str) -> str:
        return check_timezone(value)


class NotifySpec(SpecModel):
    """Who hears of what. What is not given comes from the next wider scope: export, owners, organisation, default."""

    success: list[RecipientRef] | None = Field(
        None, description="Artifacts published, and runs skipped on purpose.", examples=[["partner-hook"]]
    )
    failure: list[RecipientRef] | None = Field(
        None,
        description="Runs that failed after their last retry, deadlines that passed, damage, and the recovery.",
        examples=[["ops", "ann@example.org"]],
    )
    warning: list[RecipientRef] | None = Field(
        None, description="Empty artifacts, checks that do not block, runs that are repeated.", examples=[["ops"]]
    )
    cleanup: list[RecipientRef] | None = Field(None, description="What retention deleted.", examples=[["ops"]])
    digest: list[RecipientRef] | None = Field(
        None,
        description="The daily summary of warnings and the weekly report of the exports in scope.",
        examples=[["ops"], []],
    )
    escalation: Escalation | None = Field(
        None, description="Who hears of what does not end.", examples=[{"to": ["cto"]}]
    )
    digests: Digests | None = Field(None, description="When summaries are sent.", examples=[{"at": "08:00"}])
    fold_minutes: float | None = Field(
        None, gt=0, description="Repeated failures of one export wait so long for one message; 60.", examples=[30]
    )
    group_over: int | None = Field(
        None,
        ge=1,
        description="More failures, warnings or successes than this at once make one message; 20.",
        examples=[100],
    )
    include_file_details: bool | None = Field(
        None, description="List the files with rows, bytes and SHA-256; true.", examples=[False]
    )
    include_statistics: bool | None = Field(
        None, description="Add rows, seconds, and how this compares with the last 7 days; true.", examples=[False]
    )
