"""What all spec models share: frozen, no unknown keys, every field documented."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

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
