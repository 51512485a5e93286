"""Recipients: who is notified, and how the notification travels."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from export_pipelines.spec.base import SpecModel, Text, TimeOfDay
from export_pipelines.spec.schedules import check_timezone

ADDRESS_PATTERN = r"^[^@\s<>()\[\]\\,;:\"\x00-\x1f\x7f]+@[A-Za-z0-9.-]+\.[A-Za-z0-9-]+$"

Level = Literal["success", "failure", "warning", "cleanup", "digest"]
"""What a notification is about: to whom it goes is chosen by level."""

Address = Annotated[str, StringConstraints(pattern=ADDRESS_PATTERN)]
"""An e-mail address, without a name."""


class QuietHours(SpecModel):
    """Hours of the day in which notifications wait."""

    start: TimeOfDay = Field(description="Local time at which they begin.", examples=["22:00"])
    end: TimeOfDay = Field(
        description="Local time at which they end; before `start` it is the next day.", examples=["07:00"]
    )
    timezone: str = Field("UTC", description="IANA timezone of the two.", examples=["Europe/Berlin"])
    levels: frozenset[Level] = Field(
        frozenset({"success", "warning", "cleanup", "digest"}),
        description="Levels that wait; failures come through by default.",
        examples=[["success", "warning", "failure"]],
    )

    @field_validator("timezone")
    @classmethod
    def _valid_timezone(cls, value: str) -> str:
        return check_timezone(value)

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.start == self.end:
            raise ValueError("`start` and `end` are the same time")
        return self


class _Recipient(SpecModel):
    quiet_hours: QuietHours | None = Field(
        None,
        description="When notifications wait; none: they never do.",
        examples=[{"start": "22:00", "end": "07:00", "timezone": "Europe/Berlin"}],
    )


class EmailRecipient(_Recipient):
    """People who get one e-mail together. The server is set by the SMTP variables of the environment."""

    type: Literal["email"] = Field("email", description="Selects this kind of recipient.", examples=["email"])
    to: list[Address] = Field(min_length=1, description="Addresses.", examples=[["ops@example.org"]])


class WebhookRecipient(_Recipient):
    """A service that gets JSON by POST, signed as Standard Webhooks describes."""

    type: Literal["webhook"] = Field("webhook", description="Selects this kind of recipient.", examples=["webhook"])
    url: Text = Field(description="Where to post; http or https.", examples=["https://hooks.example.org/exports"])
    secret: Text | None = Field(
        None,
        description="Key of the signature, as a reference; without it nothing is signed.",
        examples=["${env:WEBHOOK_SECRET}"],
    )
    timeout_seconds: float = Field(10, gt=0, le=60, description="How long to wait for the answer.", examples=[5])

    @field_validator("url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://", "${")):
            raise ValueError("must begin with http:// or https://, or be a reference")
        return value


class AppriseRecipient(_Recipient):
    """Slack, Teams, Discord, PagerDuty and whatever else the library Apprise speaks."""

    type: Literal["apprise"] = Field("apprise", description="Selects this kind of recipient.", examples=["apprise"])
    url: Text = Field(description="Apprise URL, as a reference: it holds a secret.", examples=["${env:SLACK_URL}"])

    @field_validator("url")
    @classmethod
    def _is_reference(cls, value: str) -> str:
        if "${" not in value:
            raise ValueError("holds a secret; keep it in the environment and write `${env:NAME}` in its place")
        return value


RecipientSpec = Annotated[EmailRecipient | WebhookRecipient | AppriseRecipient, Field(discriminator="type")]
"""One recipient, told apart by `type`."""
