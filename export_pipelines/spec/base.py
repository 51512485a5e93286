"""What all spec models share: frozen, no unknown keys, every field documented."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from export_pipelines.spec.naming import is_reserved


class SpecModel(BaseModel):
    """A frozen model that refuses unknown keys and holds secrets only as references."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, populate_by_name=True, allow_inf_nan=False)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def _not_reserved(text: str) -> str:
    if is_reserved(text):
        raise ValueError(f"{text!r} is the name of a device on Windows; choose another one")
    return text


NAME_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
KEY_NAME_PATTERN = r"^[a-z][a-z0-9_-]{0,62}$"

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN), AfterValidator(_not_reserved)]
"""The name of an export, dataset or schedule: lower case, digits and `_`; it becomes a Dagster and a file name."""

KeyName = Annotated[str, StringConstraints(pattern=KEY_NAME_PATTERN)]
"""The name of a connection, store or calendar: like a Name, and `-` is allowed."""

Text = Annotated[str, AfterValidator(_not_blank)]
"""Text with at least one visible character."""

TIME_PATTERN = r"^([01]?[0-9]|2[0-3]):[0-5][0-9]$"
"""Hours and minutes."""


def time_of_day(value: object) -> object:
    """The value as a time of day. Raises PydanticCustomError if it is something else.

    Pydantic would take the number 8 for eight seconds past midnight, and times with a zone of their own.
    """
    if isinstance(value, time) and value.tzinfo is None:
        return value
    if isinstance(value, str) and re.fullmatch(TIME_PATTERN, value):
        hours, minutes = value.split(":")
        return time(int(hours), int(minutes))
    raise PydanticCustomError("time_of_day", "should be a time of day such as 07:30")


TimeOfDay = Annotated[
    time,
    BeforeValidator(time_of_day),
    PlainSerializer(lambda value: f"{value:%H:%M}", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": TIME_PATTERN}),
]
"""Hours and minutes, `7:30` or `07:30`, in a timezone that is given beside it."""
