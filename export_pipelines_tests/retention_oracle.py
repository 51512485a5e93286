"""Random inventories of artifacts, and what must hold of every plan for them, said again without the plan's code.

`violations` looks at one artifact at a time and compares it with all others: slow, and hard to get wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from export_pipelines.ledger.inventory import Item
from export_pipelines.retention.plan import Plan
from export_pipelines.retention.policy import Policy
from export_pipelines.spec.retention import RetentionSpec

Pick = Callable[[Sequence[Any]], Any]
"""Chooses one of several values."""

BASE = datetime(2026, 3, 29, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SAME = BASE + 5 * HOUR
"""The second in which many artifacts are published."""

DAYS_AGO = [*range(12), 0, 1, 1, 29, 30, 31, 59, 60, 89, 364, 365, 366, 730, 1500, 3650, 3652, -1, -40, -3650]
LENGTHS = [HOUR, DAY, DAY, DAY, DAY, 7 * DAY, 31 * DAY]
WRONG_LENGTHS = [None, timedelta(0), -DAY]
PUBLISHED_AFTER = [2 * HOUR, 2 * HOUR, 3 * HOUR, 40 * DAY, timedelta(0), -HOUR]
CLOCKS = [timedelta(0)] * 6 + [timedelta(seconds=1), -DAY, 31 * DAY, timedelta(days=3652), timedelta(days=-3652)]
ZONES = ["UTC", "Europe/Berlin", "America/Havana", "Pacific/Kiritimati"]
SELDOM = [False] * 9 + [True]
UNSET = [None] * 4


@dataclass(frozen=True)
class Case:
    """An inventory, its policies and the time."""

    items: list[Item]
    policies: dict[str, Policy]
    now: datetime


def case(pick: Pick) -> Case:
    """A random case."""
    exports = ["a", "b", "c"][: pick([1, 1, 2, 3])]
    number = pick([*range(13), 20, 30])
    items = [_item(pick, pick(exports), position) for position in range(number)]
    policies = {export: Policy(_rules(pick), pick(ZONES)) for export in exports if not pick(SELDOM)}
    return Case(items, policies, BASE + 12 * HOUR + pick(CLOCKS))


def _item(pick: Pick, export: str, position: int) -> Item:
    start = BASE - pick(DAYS_AGO) * DAY + pick([timedelta(0), timedelta(0), HOUR])
    length = pick(LENGTHS) if not pick(SELDOM) else pick(WRONG_LENGTHS)
    end = None if length is None else start + length
    created = pick([SAME, (end or start) + pick(PUBLISHED_AFTER), (end or start) + pick(PUBLISHED_AFTER)])
    return Item(
        artifact_id=f"{pick(range(16)):x}{position:031x}",
        export=export,
        partition=f"{start:%Y-%m-%d}",
        window_start=None if pick(SELDOM) and pick(SELDOM) else start,
        window_end=end,
        created_at=None if pick(SELDOM) and pick(SELDOM) else created,
        bytes=pick([0, 1, 10, 100]),
        store="local",
        good=not pick(SELDOM),
        row_limit=5 if pick(SELDOM) else None,
        pinned=pick(SELDOM),
        held_until=BASE.date() + pick([-1, 0, 1, 9000]) * DAY if pick(SELDOM) else None,
        undelivered=pick(SELDOM),
        unknown="the specs do not have this store" if pick(SELDOM) else "",
    )


def _rules(pick: Pick) -> RetentionSpec | None:
    if pick(SELDOM) and pick(SELDOM):
        return None
    values: dict[str, Any] = {
        "max_total_bytes": pick([*UNSET, 1, 20, 100, 110, 200]),
        "min_keep_days": pick([*UNSET, *UNSET, 1, 30, 3650]),
        "hold_until": pick([*UNSET, *UNSET, *UNSET, BASE.date(), date(2026, 12, 31)]),
        "max_delete_percent": pick([30, 30, 60, 100]),
    }
    if pick(SELDOM):
        values |= {"expire_after_hours": pick([1, 24, 36.5]), "min_keep_days": None}
    else:
        keys = ("keep_days", "keep_last", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly")
        values |= {key: pick([*UNSET, 1, 2, 3, 30]) for key in keys}
    return RetentionSpec.model_validate(values)


def violations(case: Case, plan: Plan) -> list[str]:
    """What the plan does wrong, one sentence each."""
    kept, deleted = [kept.item for kept in plan.keep], [deletion.item for deletion in plan.delete]
    everything = sorted(item.artifact_id for item in kept + deleted)
    if everything != sorted(item.artifact_id for item in case.items):
        return ["the plan does not decide about each artifact once"]
    wrong = [f"{entry.item.artifact_id[:2]} is kept without a reason" for entry in plan.keep if not all(entry.reasons)]
    wrong += [f"{entry.item} is deleted without a reason" for entry in plan.delete if not entry.reason]
    for export in {item.export for item in case.items}:
        judge = Judge(export, [item for item in case.items if item.export == export], case.policies, case.now)
        wrong += judge.deleted_wrongly([entry.item for entry in plan.delete if entry.item.export == export])
        wrong += judge.kept_wrongly([item for item in kept if item.export == export])
    return wrong + list(_refusals(case, plan))


class Judge:
    """Judges the artifacts of one export one by one."""

    def __init__(self, export: str, items: list[Item], policies: Mapping[str, Policy], now: datetime) -> None:
        policy = policies.get(export)
        self.rules = policy.rules if policy else None
        self.zone = ZoneInfo(policy.timezone if policy else "UTC")
        self.items, self.now, self.today = items, now, now.astimezone(self.zone).date()
        self.sound = [item for item in items if self.is_sound(item)]
        self.complete = [item for item in self.sound if item.good and item.row_limit is None]

    def is_sound(self, item: Item) -> bool:
        """Whether the artifact is known and its dates are readable and past."""
        dates = (item.window_start, item.window_end, item.created_at)
        if item.unknown or None in dates:
            return False
        return dates[0] < dates[1] and dates[1] <= self.now and dates[2] <= self.now  # type: ignore[operator]

    def newer(self, one: Item, other: Item) -> bool:
        """Whether the one has the later window, or was published later, or comes first by id."""
        mine, its = (one.window_start, one.created_at), (other.window_start, other.created_at)
        return mine > its or (mine == its and one.artifact_id < other.artifact_id)  # type: ignore[operator]

    def protections(self, item: Item) -> Iterator[str]:
        """Why nothing may delete the artifact."""
        rules = self.rules
        if rules is None or (rules == RetentionSpec(max_delete_percent=rules.max_delete_percent)):
            yield "no policy, or an empty one"
            return
        if item.pinned or item.undelivered or not self.is_sound(item):
            yield "pinned, undelivered, or not sound"
            return
        if any(day is not None and day >= self.today for day in (item.held_until, rules.hold_until)):
            yield "held"
        if rules.min_keep_days and item.window_end + rules.min_keep_days * DAY >= self.now:  # type: ignore[operator]
            yield "younger than the minimum"
        rivals = self.complete or self.sound
        if item in rivals and not any(self.newer(rival, item) for rival in rivals):
            yield "the newest good"
        if item in self.complete and all(
            rival.created_at < item.created_at  # type: ignore[operator]
            or (rival.created_at == item.created_at and self.newer(item, rival))
            for rival in self.complete
            if rival != item
        ):
            yield "the last published"

    def wishes(self, item: Item) -> Iterator[str]:
        """Which rules name the artifact."""
        rules, age = self.rules, self.now - item.window_end  # type: ignore[operator]
        assert rules is not None
        if rules.keep_days and age <= rules.keep_days * DAY:
            yield "keep_days"
        if rules.expire_after_hours and age <= rules.expire_after_hours * HOUR:
            yield "expire_after_hours"
        counting = [rules.keep_last, rules.keep_daily, rules.keep_weekly, rules.keep_monthly, rules.keep_yearly]
        if any(counting) and not any(self.newer(rival, item) or rival == item for rival in self.complete):
            yield "newer than the newest good"
        if item in self.complete and not any(self.supersedes(rival, item) for rival in self.complete):
            yield from self.counted(item, counting)

    def supersedes(self, rival: Item, item: Item) -> bool:
        """Whether the rival is a newer artifact of the same partition."""
        same = (item.partition, item.window_start, item.window_end)
        return (rival.partition, rival.window_start, rival.window_end) == same and self.newer(rival, item)

    def counted(self, item: Item, counting: list[int | None]) -> Iterator[str]:
        """Which counts reach the artifact, the newest of its partition."""
        heads = [one for one in self.complete if not any(self.supersedes(other, one) for other in self.complete)]
        ahead = [rival for rival in heads if self.newer(rival, item)]
        periods: list[Callable[[date], Any]] = [
            lambda day: day,
            lambda day: day - day.weekday() * DAY,
            lambda day: (day.year, day.month),
            lambda day: day.year,
        ]
        if counting[0] and len(ahead) < counting[0]:
            yield "keep_last"
        for number, period in zip(counting[1:], periods, strict=True):
            taken = {period(rival.window_start.astimezone(self.zone).date()) for rival in ahead}  # type: ignore[union-attr]
            mine = period(item.window_start.astimezone(self.zone).date())  # type: ignore[union-attr]
            if number and mine not in taken and len(taken) < number:
                yield f"a period, {mine}"

    @property
    def limit(self) -> int | None:
        """The most bytes that may stay, if something says so."""
        return self.rules.max_total_bytes if self.rules else None

    @property
    def ages(self) -> bool:
        """Whether anything but the limit of bytes deletes."""
        assert self.rules is not None
        given = self.rules.model_dump(exclude_none=True)
        return any(key.startswith("keep_") or key == "expire_after_hours" for key in given)

    def deleted_wrongly(self, deleted: list[Item]) -> Iterator[str]:
        """Deletions, in their order, that something forbids."""
        by_age = []
        for item in deleted:
            if why := list(self.protections(item)):
                yield f"{item} is deleted, although {why}"
                return
            if self.ages and not list(self.wishes(item)):
                by_age.append(item)
            elif self.limit is None:
                yield f"{item} is deleted, although {list(self.wishes(item))}"
        by_size = [item for item in deleted if item not in by_age]
        staying = [item for item in self.items if item not in deleted]
        if by_size and self.limit is not None:
            *_, last = sorted(by_size, key=lambda item: (item.window_start, self.is_head(item), item.created_at))
            if sum(item.bytes for item in staying if not item.unknown) + last.bytes <= self.limit:
                yield f"{last} is deleted, although it fits"
            for item in staying:
                if item.window_start and item.window_start < last.window_start and not list(self.protections(item)):  # type: ignore[operator]
                    yield f"{last} is deleted before the older {item}"

    def is_head(self, item: Item) -> bool:
        """Whether the artifact is the current one of its partition."""
        return item in self.complete and not any(self.supersedes(rival, item) for rival in self.complete)

    def kept_wrongly(self, kept: list[Item]) -> Iterator[str]:
        """What is kept although nothing names or protects it, or although it does not fit."""
        free = [item for item in kept if not list(self.protections(item))]
        for item in free:
            if self.ages and not list(self.wishes(item)):
                yield f"{item} is kept for no reason"
        if free and self.limit is not None and sum(item.bytes for item in kept if not item.unknown) > self.limit:
            yield f"{free[0]} is kept although it does not fit"


def _refusals(case: Case, plan: Plan) -> Iterator[str]:
    refused = {refusal.export for refusal in plan.refused}
    for export, policy in case.policies.items():
        there = sum(item.export == export for item in case.items)
        gone = sum(entry.item.export == export for entry in plan.delete)
        if policy.rules is not None:
            much = gone > 1 and 100 * gone / there > policy.rules.max_delete_percent
            if much != (export in refused):
                yield f"{gone} of {there} of {export} are deleted, refused: {export in refused}"
