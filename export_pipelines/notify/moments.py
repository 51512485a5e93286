"""Instants as letters show them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Moment:
    """An instant (aware) on the clocks of a timezone."""

    instant: datetime
    timezone: str = "UTC"

    @property
    def local(self) -> datetime:
        """The same instant, aware in the timezone."""
        return self.instant.astimezone(ZoneInfo(self.timezone))

    @property
    def short(self) -> str:
        """`2026-11-21 02:10 CET`."""
        return f"{self.local:%Y-%m-%d %H:%M %Z}"

    @property
    def both(self) -> str:
        """Local time and UTC: `2026-11-21 02:10 CET (01:10 UTC)`, with the date in UTC where it differs."""
        utc = self.instant.astimezone(UTC)
        if self.local.utcoffset() == utc.utcoffset():
            return f"{utc:%Y-%m-%d %H:%M} UTC"
        day = "" if utc.date() == self.local.date() else f"{utc:%Y-%m-%d} "
        return f"{self.short} ({day}{utc:%H:%M} UTC)"

    @property
    def iso(self) -> str:
        """In UTC, for programs."""
        return self.instant.astimezone(UTC).isoformat()

    def __str__(self) -> str:
        return self.short
