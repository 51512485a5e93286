"""Cron expressions: which are valid."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from croniter import CroniterError, croniter

_FIELDS = ("minute (0-59)", "hour (0-23)", "day (1-31)", "month (1-12)", "weekday (0-7 or sun-sat)")
_UNSTABLE = re.compile(r"(?<![a-z])[hr](?![a-z])|\d+w|w\d+", re.IGNORECASE)
"""croniter draws `H` and `R` anew each time, and Dagster does not know `15W`."""
_YEARS = 8  # 29 February may be that far away


def check_cron(expression: str) -> str:
    """The expression, if Dagster accepts it: five fields, or `@hourly` and its like. Raises ValueError."""
    text = " ".join(expression.split())
    fields = text.split()
    if not text.startswith("@") and len(fields) != 5:
        raise ValueError(f"cron {expression!r} has {len(fields)} fields; write minute hour day month weekday")
    try:
        if _UNSTABLE.search(text):
            raise CroniterError("H, R and W are not known")
        croniter(text, datetime(2026, 1, 1, tzinfo=UTC), max_years_between_matches=_YEARS).get_next()
    except CroniterError:
        raise ValueError(f"cron {expression!r}: {_mistake(fields)}") from None
    return text


def _mistake(fields: list[str]) -> str:
    """What is wrong with the fields of an expression that croniter refused."""
    if fields[0].startswith("@"):
        return "write five fields, or one of @hourly, @daily, @weekly, @monthly, @yearly"
    for position, field in enumerate(fields):
        alone = [field if n == position else "*" for n in range(5)]
        if _UNSTABLE.search(field) or not croniter.is_valid(" ".join(alone)):
            return f"{field!r} is not a valid {_FIELDS[position]}"
    return "no such day ever comes"
