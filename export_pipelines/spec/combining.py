"""`combine`: which periods hold which partitions."""

from __future__ import annotations

from typing import Literal

Combine = Literal["week", "month", "quarter", "year"]

_LONGER: dict[str, tuple[Combine, ...]] = {
    "minutely": ("week", "month", "quarter", "year"),
    "hourly": ("week", "month", "quarter", "year"),
    "daily": ("week", "month", "quarter", "year"),
    "weekly": ("month", "quarter", "year"),
    "monthly": ("quarter", "year"),
    "quarterly": ("year",),
    "yearly": (),
}
"""Partition kind -> the periods that hold several of it."""


def check_combine(combine: Combine, partition: str, path: str | None) -> None:
    """Raises ValueError if the period holds one partition at most, or two artifacts of a run could meet.

    `path` is the directory template, if the export has its own.
    """
    longer = _LONGER[partition]
    if combine not in longer:
        choices = ", ".join([*longer[:-2], " or ".join(longer[-2:])])
        advice = f"choose {choices}, or shorter partitions" if choices else "choose shorter partitions"
        raise ValueError(f"combine: a {combine} does not hold several {partition} partitions; {advice}")
    if path and "{partition}" not in path:
        raise ValueError("path: must contain {partition} with `combine`, because one run makes several artifacts")
