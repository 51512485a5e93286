"""What no rule can delete, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from export_pipelines.ledger.inventory import Item
from export_pipelines.retention.policy import Policy
from export_pipelines.retention.rules import Reasons, Standing, known
from export_pipelines.spec.retention import RetentionSpec

FUTURE = "future date"
UNREADABLE = "unreadable date"


def doubt(item: Item, now: datetime) -> str:
    """Why the artifact's dates prove nothing, or nothing.

    Such an artifact is kept, and does not count where others are judged.
    """
    start, end, created = item.window_start, item.window_end, item.created_at
    if start is None or end is None or created is None or start >= end:
        return UNREADABLE
    if item.unknown:
        return item.unknown
    return FUTURE if end > now or created > now else ""


def protected(items: Iterable[Item], found: Standing, policy: Policy, rules: RetentionSpec, now: datetime) -> Reasons:
    """The artifacts of one export that are kept whatever its rules say, each with the reasons; doubts are not here."""
    reasons: Reasons = defaultdict(list)
    today = policy.day(now)
    held = rules.hold_until is not None and rules.hold_until >= today
    for item in items:
        if item.pinned:
            reasons[item.artifact_id].append("pinned")
        if item.held_until is not None and item.held_until >= today:
            reasons[item.artifact_id].append(f"held until {item.held_until}")
        if held:
            reasons[item.artifact_id].append(f"the export is held until {rules.hold_until}")
        if item.undelivered:
            reasons[item.artifact_id].append("waits for delivery")
    if rules.min_keep_days is not None:
        minimum, why = timedelta(days=rules.min_keep_days), f"within the minimum of {rules.min_keep_days} days"
        for item in found.items:
            if now - known(item.window_end) <= minimum:
                reasons[item.artifact_id].append(why)
    for item, role in _last_copies(found):
        reasons[item.artifact_id].append(role)
    return reasons


def _last_copies(found: Standing) -> Iterator[tuple[Item, str]]:
    """The newest good artifact in both senses of the word; where none is good, the newest one."""
    if found.newest is not None:
        yield found.newest, f"newest good of {found.newest.export}"
    if found.last_published is not None and found.last_published is not found.newest:
        yield found.last_published, f"last published of {found.last_published.export}"
    if found.newest is None and found.items:
        yield found.items[0], f"newest of {found.items[0].export}, none is good"
