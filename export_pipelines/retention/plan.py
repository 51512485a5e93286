"""The plan: which artifacts stay, each with every reason, and which may be deleted. A pure function."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from export_pipelines.ledger.inventory import Item
from export_pipelines.retention.policy import Policy
from export_pipelines.retention.protection import FUTURE, UNREADABLE, doubt, protected
from export_pipelines.retention.rules import Reasons, Standing, known, named, standing
from export_pipelines.retention.share import Refusal, refusals
from export_pipelines.spec.retention import ArchiveSpec, RetentionSpec
from export_pipelines.text import counted, size

NOT_IN_SPECS = "the specs do not have this export"
NOT_KNOWN = "its policy is not known, because of a mistake in the specs"
NO_RULE = "its policy deletes nothing"
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)  # not frozen, as Item, because there are many; nobody changes it
class Kept:
    """An artifact that stays, with at least one reason."""

    item: Item
    reasons: tuple[str, ...]


@dataclass(slots=True)
class Deletion:
    """An artifact that goes; `archive` says how it is archived first, if it is."""

    item: Item
    reason: str
    archive: ArchiveSpec | None = None


@dataclass
class Plan:
    """What stays, newest first, and what goes, oldest first, export by export; every artifact is in one of the two.

    While `refused` holds anything, the deletions it speaks of must not be made unless somebody insists. `notes` are
    sentences about what a person should look at.
    """

    at: datetime
    keep: list[Kept] = field(default_factory=list)
    delete: list[Deletion] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    newest: dict[str, Item] = field(default_factory=dict)
    """Export -> the last copy that stays: its newest good artifact, or the newest where none is good."""

    def allowed(self, *, insist: bool = False) -> list[Deletion]:
        """The deletions that are not refused; all of them if somebody insists."""
        refused = {refusal.export for refusal in self.refused}
        if insist or not refused:
            return self.delete
        return [] if None in refused else [gone for gone in self.delete if gone.item.export not in refused]

    @property
    def bytes_kept(self) -> int:
        """Bytes of what stays."""
        return sum(kept.item.bytes for kept in self.keep)

    @property
    def bytes_deleted(self) -> int:
        """Bytes of what goes."""
        return sum(deletion.item.bytes for deletion in self.delete)


def plan(items: Iterable[Item], policies: Mapping[str, Policy], now: datetime) -> Plan:
    """What to keep and what to delete of these artifacts.

    `policies` maps exports to their policies; an export that is not there keeps everything. The order of `items` has no
    influence. All artifacts of an export must be given, because they are judged together.
    """
    exports: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        exports[item.export].append(item)
    result = Plan(now)
    for export, found in sorted(exports.items()):
        found.sort(key=_age_key)
        policy = policies.get(export)
        if policy is None or policy.rules is None:
            why = NOT_KNOWN if policy else NOT_IN_SPECS
            result.keep += [Kept(item, (why,)) for item in reversed(found)]
            result.notes.append(f"{counted(len(found), 'artifact')} of {export} kept: {why}")
        else:
            _decide(result, found, policy, policy.rules)
    empty = [export for export in sorted(exports) if (rules := _rules(policies, export)) and not rules.deletes]
    if empty:
        result.notes.append(f"nothing of {', '.join(empty)} is deleted: no policy says what may be")
    shares = {export: _rules(policies, export) for export in exports}
    result.refused = refusals(
        {export: len(found) for export, found in exports.items()},
        Counter(deletion.item.export for deletion in result.delete),
        {export: rules.max_delete_percent for export, rules in shares.items() if rules},
    )
    return result


def _rules(policies: Mapping[str, Policy], export: str) -> RetentionSpec | None:
    policy = policies.get(export)
    return policy.rules if policy else None


def _age_key(item: Item) -> tuple[datetime, datetime, str]:
    """Old before new; what has no readable date counts as newest."""
    return item.window_start or _LATEST, item.created_at or _LATEST, item.artifact_id


def _decide(result: Plan, items: Sequence[Item], policy: Policy, rules: RetentionSpec) -> None:
    """Add the artifacts of one export, given oldest first, to the plan."""
    now = result.at
    doubts = {item.artifact_id: why for item in items if (why := doubt(item, now))}
    found = standing([item for item in items if item.artifact_id not in doubts] if doubts else items)
    safe = protected(items, found, policy, rules, now)
    for artifact_id, why in doubts.items():
        safe.setdefault(artifact_id, []).append(why)
    if rules.keeps:
        wanted = named(found, policy, rules, now)
    else:
        why = NO_RULE if rules.max_total_bytes is None else f"fits into {size(rules.max_total_bytes)}"
        wanted = {item.artifact_id: [why] for item in found.items if item.artifact_id not in safe}
    going = {
        item.artifact_id: f"no rule keeps it: {_state(item, found, now)}"
        for item in items
        if item.artifact_id not in safe and item.artifact_id not in wanted
    }
    if rules.max_total_bytes is not None:
        staying = [item for item in items if item.artifact_id not in going]
        going |= _beyond(result, staying, safe, found, rules.max_total_bytes)
    if going:
        leaving = (item for item in items if item.artifact_id in going)
        result.delete += [Deletion(item, going[item.artifact_id], rules.archive or None) for item in leaving]
    for item in reversed(items):
        if item.artifact_id not in going:
            both = (*safe.get(item.artifact_id, ()), *wanted.get(item.artifact_id, ()))
            result.keep.append(Kept(item, both))
    if found.items:
        result.newest[items[0].export] = found.newest or found.items[0]
    _note_dates(result, items, doubts)


def _beyond(result: Plan, items: Sequence[Item], safe: Reasons, found: Standing, limit: int) -> dict[str, str]:
    """Id -> reason of what must go so that the rest fits, oldest first; of one partition the current artifact last."""
    current = {item.artifact_id for item in found.current}
    candidates = [item for item in items if item.artifact_id not in safe]
    candidates.sort(key=lambda item: (known(item.window_start), item.artifact_id in current))
    going: dict[str, str] = {}
    total = sum(item.bytes for item in items if not item.unknown)
    for item in candidates:
        if total <= limit:
            break
        going[item.artifact_id] = f"beyond {size(limit)} in total, the oldest first: {_state(item, found, result.at)}"
        total -= item.bytes
    if total > limit:
        more = f"{size(total)} of {items[0].export} must stay, more than its max_total_bytes of {size(limit)}"
        result.notes.append(more)
    return going


def _state(item: Item, found: Standing, now: datetime) -> str:
    """How old the artifact is, and why it is not the one of its partition."""
    age = now - known(item.window_end)
    unit, name = (_DAY, "days") if age > 3 * _DAY else (_HOUR, "hours")
    ended = f"ended {math.ceil(10 * (age / unit)) / 10:g} {name} ago"  # upwards: 7 days and a second are not within 7
    if not item.good:
        return f"{ended}, a blocking check failed"
    if item.row_limit is not None:
        return f"{ended}, made with a limit of {counted(item.row_limit, 'row')}"
    successor = found.successor.get(item.artifact_id)
    return f"{ended}, superseded by {successor.artifact_id[:8]}" if successor else ended


def _note_dates(result: Plan, items: Sequence[Item], doubts: Mapping[str, str]) -> None:
    """Say which artifacts have dates that cannot be right."""
    for why in (FUTURE, UNREADABLE) if doubts else ():
        wrong = [item for item in items if doubts.get(item.artifact_id) == why]
        if wrong:
            number, first = counted(len(wrong), "artifact"), wrong[0].artifact_id[:8]
            result.notes.append(f"{number} of {wrong[0].export} kept because of a {why}, among them {first}")
