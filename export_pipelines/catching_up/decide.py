"""What to request of all that is due, what to skip, what to give up. Pure: `now` is a parameter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby, islice

from export_pipelines.catching_up.policies import Policy
from export_pipelines.catching_up.sharing import shared
from export_pipelines.catching_up.waiting import Lack, is_waiting, missed, waits_since, waits_until
from export_pipelines.ledger.due import Cause, DueRow

GRACE = timedelta(minutes=2)
"""How long a tick is left to its schedule, and a request to Dagster until it is a run."""

PAUSES = (timedelta(minutes=10), timedelta(hours=1), timedelta(hours=6), timedelta(days=1))
"""After the first failure, the second one, …; the last one for all further ones."""


@dataclass(frozen=True)
class Active:
    """One export in a run that is queued or at work. `partition` is None where it is not known.

    `alone`: nothing else is lost if the run is ended.
    """

    run_id: str
    partition: str | None
    alone: bool = True


@dataclass(frozen=True)
class Ended:
    """How the last run of a partition ended that did not publish it. `retried`: Dagster itself tries again."""

    at: datetime
    reason: str
    retried: bool = False


@dataclass(frozen=True, kw_only=True)
class World:
    """What holds now: export -> its rules, export -> its runs, (export, partition) -> how its last run ended.

    `made`: export -> the latest tick that was requested, for `misfire: latest`. `missing`: (export, partition) ->
    what is still to come of what it waits for. `seconds`: export -> how long it took last time.
    """

    policies: Mapping[str, Policy]
    active: Mapping[str, Sequence[Active]] = field(default_factory=dict)
    ended: Mapping[tuple[str, str], Ended] = field(default_factory=dict)
    made: Mapping[str, datetime] = field(default_factory=dict)
    missing: Mapping[tuple[str, str], Sequence[Lack]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Requested:
    """One run to request: exports that share a job, a tick, a partition and the number of the attempt."""

    timing: str
    rows: Sequence[DueRow]

    @property
    def first(self) -> DueRow:
        """Any of the rows, for what they share."""
        return self.rows[0]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What to do, each list oldest first. `ends` are runs to end, each with the row that takes its place."""

    requests: list[Requested] = field(default_factory=list)
    skips: list[tuple[DueRow, Cause, str]] = field(default_factory=list)
    failures: list[tuple[DueRow, datetime, str]] = field(default_factory=list)
    give_ups: list[tuple[DueRow, str]] = field(default_factory=list)
    ends: list[tuple[Active, DueRow]] = field(default_factory=list)


def decide(rows: Iterable[DueRow], world: World, now: datetime, *, limit: int) -> Decision:
    """What to do about the rows that are due, of which none is published; at most `limit` runs are requested.

    Rows of exports without a policy, which have a mistake at the moment, stay as they are.
    """
    decision, chosen = Decision(), list[DueRow]()
    ordered = sorted(rows, key=lambda row: (row.export, row.tick, row.id))
    for export, group in groupby(ordered, key=lambda row: row.export):
        policy = world.policies.get(export)
        if policy is not None:
            chosen += _Desk(policy, world, now, decision).choose(list(group))
    runs = _batched(sorted(chosen, key=lambda row: (row.tick, row.id)), world)
    decision.requests.extend(runs[:limit])
    return decision


@dataclass(frozen=True)
class _Desk:
    """Decides about one export."""

    policy: Policy
    world: World
    now: datetime
    decision: Decision

    def choose(self, rows: Sequence[DueRow]) -> list[DueRow]:
        """The row to request, if there is one; what is to be done about others goes into the decision."""
        active = self.world.active.get(rows[0].export, ())
        equal = {run.partition for run in active}
        idle = [row for row in rows if row.partition not in equal and None not in equal]
        free = [row for row in idle if row.requested_at is None or self._is_lost(row)]
        launching = [row for row in idle if row.requested_at and not self._is_lost(row) and not self._failed(row)]
        timely = self._in_time(free)
        ready = [] if self.policy.paused else [row for row in timely if not self._waits(row)]
        if not ready:
            return []
        if not active and not launching:
            first = reversed(ready) if self.policy.overlap == "cancel" else ready
            return list(islice((row for row in first if not self._is_unfit(row)), 1))
        self._give_way(ready, active, rows)
        return []

    def _is_lost(self, row: DueRow) -> bool:
        """Whether no run was ever made of a request."""
        late = row.requested_at is not None and self.now - row.requested_at >= GRACE
        return late and (row.export, row.partition) not in self.world.ended

    def _failed(self, row: DueRow) -> bool:
        """Whether a request ended without publishing; what follows goes into the decision."""
        ended = self.world.ended.get((row.export, row.partition))
        if ended is None or ended.retried:
            return False
        failures = row.failures + 1
        if failures >= self.policy.attempts:
            self.decision.give_ups.append((row, ended.reason))
        else:
            pause = PAUSES[min(failures, len(PAUSES)) - 1]
            self.decision.failures.append((row, ended.at + pause, ended.reason))
        return True

    def _in_time(self, rows: Sequence[DueRow]) -> list[DueRow]:
        """Those whose time has come, without what nobody made in time and `misfire` does not want."""
        missed = [row for row in rows if _was_missed(row) and row.tick + GRACE <= self.now]
        made = self.world.made.get(rows[0].export) if rows else None
        newest = 0 if missed and made and made > missed[-1].tick else 1
        wanted = {"all": missed, "latest": missed[len(missed) - newest :], "skip": []}[self.policy.misfire]
        kept = {row.id for row in wanted}
        reason = f"nobody made it in time, and `misfire` is {self.policy.misfire}"
        self.decision.skips.extend((row, "misfire", reason) for row in missed if row.id not in kept)
        timely = [row for row in rows if row.id in kept or not _was_missed(row)]
        return [row for row in timely if row.next_attempt_at is None or row.next_attempt_at <= self.now]

    def _waits(self, row: DueRow) -> bool:
        """Whether it is not made now, because others come first; what follows goes into the decision."""
        after, missing = self.policy.after, self.world.missing.get((row.export, row.partition), ())
        if after is None or not missing or not is_waiting(row):
            return False
        until = waits_until(row, after)
        if self.now < until or self._is_behind(row, missing):
            return True
        if after.otherwise == "skip":
            self.decision.skips.append((row, "dependency", missed(missing, until)))
        elif after.otherwise == "fail":
            self.decision.give_ups.append((row, missed(missing, until)))
        return after.otherwise != "run"

    def _is_behind(self, row: DueRow, missing: Sequence[Lack]) -> bool:
        """Whether it could not wait from its tick on, and all that it waits for is being caught up with as well."""
        others = [self.world.policies.get(lack.name) for lack in missing if lack.due]
        coming = [policy for policy in others if policy and not policy.paused]
        return waits_since(row) > row.tick and len(coming) == len(missing)

    def _is_unfit(self, row: DueRow) -> bool:
        reason = self.policy.unfit(row.partition)
        if reason:
            self.decision.skips.append((row, "changed", reason))
        return bool(reason)

    def _give_way(self, ready: Sequence[DueRow], active: Sequence[Active], rows: Sequence[DueRow]) -> None:
        """Other runs of the export are queued or at work: `overlap` decides. What it does not decide, waits."""
        caught_up = {row.partition for row in rows if row.asked_by == "catch_up" and row.requested_at}
        others = [run for run in active if run.partition not in caught_up]
        newest = ready[-1]
        if self.policy.overlap == "skip" and others:
            reason = f"run {others[0].run_id[:8]} was at work, and `overlap` is skip"
            self.decision.skips.extend((row, "overlap", reason) for row in ready[:1] if row.attempts == 0)
        if self.policy.overlap == "cancel" and gives_way(active, newest.partition):
            self.decision.ends.extend((run, newest) for run in active)


def gives_way(active: Sequence[Active], partition: str) -> bool:
    """Whether all these runs may be ended for the partition: they make earlier ones of this export and nothing else."""
    return all(run.alone and run.partition is not None and run.partition < partition for run in active)


def _was_missed(row: DueRow) -> bool:
    """Whether no schedule made the tick."""
    return row.attempts == 0 and row.next_attempt_at is None


def _batched(rows: Sequence[DueRow], world: World) -> list[Requested]:
    """The runs that request these rows, in the order of their ticks."""
    groups: dict[tuple[object, ...], list[DueRow]] = {}
    for row in rows:
        policy = world.policies[row.export]
        own = row.export if policy.overlap == "cancel" else ""
        key = (row.tick, policy.timing, row.partition, row.attempts, policy.level, own)
        groups.setdefault(key, []).append(row)
    return [run for group in groups.values() for run in _sized(group, world)]


def _sized(rows: Sequence[DueRow], world: World) -> Iterator[Requested]:
    policy = world.policies[rows[0].export]
    for chunk in shared(rows, policy.batch_size, lambda row: world.seconds.get(row.export)):
        yield Requested(policy.timing, chunk)
