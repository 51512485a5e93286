"""The rules of one policy applied to the artifacts of one export: which of them it names, and in which words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import takewhile
from operator import attrgetter
from typing import cast

from export_pipelines.ledger.inventory import Item
from export_pipelines.retention.policy import Policy
from export_pipelines.spec.retention import RetentionSpec

Reasons = dict[str, list[str]]
"""Artifact id -> why it is kept."""

_PERIODS: dict[str, tuple[str, Callable[[date], str]]] = {
    "keep_daily": ("daily", date.isoformat),
    "keep_weekly": ("weekly", lambda day: "{}-W{:02}".format(*day.isocalendar())),
    "keep_monthly": ("monthly", lambda day: f"{day:%Y-%m}"),
    "keep_yearly": ("yearly", lambda day: f"{day:%Y}"),
}
"""Key of the policy -> word, and the period of a day."""


@dataclass
class Standing:
    """How the artifacts of one export stand to each other. Those that may be misjudged stand nowhere.

    A partition is a key with its window: when an export changes from days to weeks, a Monday is the key of both.
    """

    items: list[Item]
    """Those whose dates are readable and past, newest first: by window, then by publication."""
    current: list[Item] = field(default_factory=list)
    """The newest good and complete artifact of each partition, latest partition first."""
    successor: dict[str, Item] = field(default_factory=dict)
    """Id of an artifact -> the current one of its partition, where that is a newer one."""
    newest: Item | None = None
    """The newest good artifact: the current one of the latest partition that has one."""
    last_published: Item | None = None
    """The good and complete artifact that was published last, of whichever partition."""


def standing(items: Iterable[Item]) -> Standing:
    """How artifacts with readable, past dates stand to each other. Of several of one instant, the first is newest."""
    result = Standing(sorted(items, key=attrgetter("window_start", "created_at"), reverse=True))
    current: dict[tuple[str, datetime | None, datetime | None], Item] = {}
    for item in result.items:
        partition = item.partition, item.window_start, item.window_end
        if partition in current:
            result.successor[item.artifact_id] = current[partition]
        elif is_complete(item):
            current[partition] = item
    result.current = list(current.values())
    if result.current:
        result.newest = result.current[0]
        result.last_published = max(result.current, key=lambda item: known(item.created_at))
    return result


def is_complete(item: Item) -> bool:
    """Whether the artifact holds all rows and no blocking check failed."""
    return item.good and item.row_limit is None


def named(found: Standing, policy: Policy, rules: RetentionSpec, now: datetime) -> Reasons:
    """The artifacts that a policy with a `keep_` key or an expiry wants to keep, each with the reasons."""
    reasons: Reasons = defaultdict(list)
    if rules.keep_days is not None:
        _young(found.items, timedelta(days=rules.keep_days), f"within {rules.keep_days} days", now, reasons)
    if rules.expire_after_hours is not None:
        hours = rules.expire_after_hours
        _young(found.items, timedelta(hours=hours), f"within {hours:g} hours", now, reasons)
    for item in found.current[: rules.keep_last or 0]:
        reasons[item.artifact_id].append(f"one of the last {rules.keep_last}")
    periods = {key: number for key in _PERIODS if (number := getattr(rules, key)) is not None}
    days = [policy.day(known(item.window_start)) for item in found.current] if periods else []
    for key, number in periods.items():
        word, period = _PERIODS[key]
        for position, name in _last_of_periods(days, period, number):
            reasons[found.current[position].artifact_id].append(f"{word} {name}")
    if rules.counts:  # nothing has taken the place of these yet
        for item in takewhile(lambda item: item is not found.newest, found.items):
            reasons[item.artifact_id].append("newer than the newest good")
    return reasons


def _young(items: Sequence[Item], age: timedelta, reason: str, now: datetime, reasons: Reasons) -> None:
    for item in items:
        if item.window_end is not None and now - item.window_end <= age:
            reasons[item.artifact_id].append(reason)


def _last_of_periods(days: Sequence[date], period: Callable[[date], str], number: int) -> Iterator[tuple[int, str]]:
    """Of days from new to old, the position of the first in each of the first `number` periods, and its period."""
    found: set[str] = set()
    for position, day in enumerate(days):
        name = period(day)
        if name not in found:
            if len(found) == number:
                return
            found.add(name)
            yield position, name


def known(instant: datetime | None) -> datetime:
    """The instant of an artifact that stands somewhere, and hence has it."""
    return cast(datetime, instant)
