"""Days of a timezone, and sums over the rows of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Column, ColumnElement, select

from export_pipelines.ledger.ledger import Ledger
from export_pipelines.monitoring.sqltime import Epoch

_QUARTER_SECONDS = 900
"""Databases do not know all timezones, so they sum up quarters of an hour: no day begins within one."""


def days_between(since: datetime, until: datetime, timezone: str) -> list[date]:
    """The local days that have a moment in the span, which excludes `until`."""
    zone = ZoneInfo(timezone)
    first, last = since.astimezone(zone).date(), (until - timedelta.resolution).astimezone(zone).date()
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def sums_by_quarter(
    ledger: Ledger,
    dated: Column[Any],
    timezone: str,
    *,
    where: list[ColumnElement[bool]],
    sums: Mapping[str, ColumnElement[Any]],
) -> Iterator[tuple[date, dict[str, Any]]]:
    """Sums over the rows of each quarter of an hour in which `dated` lies, with its local day; many for each day."""
    zone, quarter = ZoneInfo(timezone), Epoch(dated) // _QUARTER_SECONDS
    query = select(quarter.label("quarter"), *(value.label(name) for name, value in sums.items()))
    with ledger.read() as connection:
        for row in connection.execute(query.where(*where).group_by("quarter")).mappings():
            begin = datetime.fromtimestamp(row["quarter"] * _QUARTER_SECONDS, zone)
            yield begin.date(), {name: row[name] for name in sums}
