"""What retention knows of an export besides its artifacts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from export_pipelines.spec.retention import RetentionSpec


@dataclass(frozen=True)
class Policy:
    """The rules of an export and the timezone of its days. Rules of None are not known, because of a mistake."""

    rules: RetentionSpec | None
    timezone: str = "UTC"

    def day(self, instant: datetime) -> date:
        """The local day of the instant."""
        try:
            return instant.astimezone(ZoneInfo(self.timezone)).date()
        except OverflowError:  # the first and the last day that Python knows
            return instant.date()
