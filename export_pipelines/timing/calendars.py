"""Working days: weekends, the holidays of a country, days of one's own."""

from export_pipelines.spec.workdays import Calendar

__all__ = ["Calendar"]
