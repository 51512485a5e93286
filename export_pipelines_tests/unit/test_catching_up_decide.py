"""What is requested, skipped and given up: rules one by one, and all of them in worlds made up at random."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export_pipelines.catching_up.decide import GRACE, PAUSES, Active, Decision, Ended, World, decide
from export_pipelines.catching_up.policies import Policy
from export_pipelines.catching_up.waiting import Lack, waits_until
from export_pipelines.ledger.due import DueRow
from export_pipelines.spec.after import AfterSpec

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = START + 100 * HOUR


def row(number: int, export: str = "a", **changes: Any) -> DueRow:
    """The partition of the hour with this number."""
    tick = START + number * HOUR
    key = f"{tick - HOUR:%Y-%m-%d-%H:%M}"
    return replace(
        DueRow(id=number + 1000 * ord(export[0]), export=export, partition=key, schedule="s", tick=tick), **changes
    )


def requested(decision: Decision) -> list[tuple[str, str]]:
    return [(found.export, found.partition) for run in decision.requests for found in run.rows]


def world(active: dict[str, list[Active]] | None = None, **rules: Any) -> World:
    return World(policies={name: Policy(timing="s", **rules) for name in "ab"}, active=active or {})


def keys(*rows: DueRow) -> list[tuple[str, str]]:
    return [(found.export, found.partition) for found in rows]


def test_the_oldest_partition_of_each_export_is_requested_and_equal_ones_share_a_run() -> None:
    rows = [row(2, "b"), row(1), row(2), row(1, "b"), row(3)]
    decision = decide(rows, world(), NOW, limit=10)
    assert [keys(*run.rows) for run in decision.requests] == [keys(row(1), row(1, "b"))]


def test_a_young_tick_is_left_to_its_schedule() -> None:
    assert requested(decide([row(1)], world(), row(1).tick + GRACE - timedelta(seconds=1), limit=10)) == []
    assert requested(decide([row(1)], world(), row(1).tick + GRACE, limit=10)) == keys(row(1))


def test_no_more_runs_are_requested_than_allowed_and_the_oldest_come_first() -> None:
    rows = [row(9 - number, name) for number, name in enumerate("ab")]
    decision = decide(rows, world(), NOW, limit=1)
    assert requested(decision) == keys(row(8, "b"))


def test_batches_are_those_of_the_schedule() -> None:
    rows = [replace(row(1), id=number, export=f"e{number}") for number in range(5)]
    rules = {found.export: Policy(timing="s", batch_size=2) for found in rows}
    assert [len(run.rows) for run in decide(rows, World(policies=rules), NOW, limit=10).requests] == [2, 2, 1]


@pytest.mark.parametrize("overlap", ["queue", "skip", "cancel"])
def test_nothing_is_requested_while_an_equal_run_is_queued_or_at_work(overlap: Any) -> None:
    for partition in (row(1).partition, None):
        decision = decide([row(1)], world({"a": [Active("r", partition)]}, overlap=overlap), NOW, limit=10)
        assert decision == Decision()


def test_a_request_that_became_no_run_is_made_again_and_is_no_failure() -> None:
    asked = row(1, attempts=1, requested_at=NOW - GRACE, asked_by="catch_up")
    decision = decide([asked], world(), NOW, limit=10)
    assert requested(decision) == keys(asked)
    assert decision.failures == []
    young = replace(asked, requested_at=NOW - GRACE + timedelta(seconds=1))
    assert decide([young, row(2)], world(), NOW, limit=10) == Decision()


def test_failures_are_tried_again_after_growing_pauses_and_given_up() -> None:
    at, found = NOW, row(1, attempts=1, requested_at=NOW - HOUR)
    rules = {"a": Policy(timing="s", attempts=3)}
    for number, pause in enumerate(PAUSES[:2]):
        failing = replace(found, failures=number)
        decision = decide(
            [failing], World(policies=rules, ended={keys(found)[0]: Ended(at, "disk full")}), NOW, limit=10
        )
        assert decision == Decision(failures=[(failing, at + pause, "disk full")])
        waiting = replace(found, requested_at=None, failures=number + 1, next_attempt_at=at + pause)
        assert decide([waiting], World(policies=rules), at + pause - timedelta(seconds=1), limit=10) == Decision()
        assert requested(decide([waiting], World(policies=rules), at + pause, limit=10)) == keys(found)
    last = replace(found, failures=2)
    decision = decide([last], World(policies=rules, ended={keys(found)[0]: Ended(at, "disk full")}), NOW, limit=10)
    assert decision == Decision(give_ups=[(last, "disk full")])


def test_what_dagster_itself_tries_again_is_left_to_it() -> None:
    found = row(1, attempts=1, requested_at=NOW - HOUR)
    ended = {keys(found)[0]: Ended(NOW, "killed", retried=True)}
    assert decide([found], replace(world(), ended=ended), NOW, limit=10) == Decision()


def test_misfire_latest_keeps_the_newest_and_says_why_not_the_others() -> None:
    rows = [row(number) for number in range(1, 6)]
    decision = decide(rows, world(misfire="latest"), NOW, limit=10)
    assert requested(decision) == keys(rows[-1])
    assert [(found, cause) for found, cause, _ in decision.skips] == [(found, "misfire") for found in rows[:-1]]
    made = replace(world(misfire="latest"), made={"a": row(6).tick})
    assert len(decide(rows, made, NOW, limit=10).skips) == 5


def test_misfire_is_not_about_failures_nor_about_what_had_to_wait() -> None:
    failed = row(1, attempts=1, failures=1, next_attempt_at=NOW - HOUR)
    waited = row(2, next_attempt_at=row(2).tick)
    decision = decide([failed, waited, row(3)], world(misfire="skip"), NOW, limit=10)
    assert requested(decision) == keys(failed)
    assert [found for found, _, _ in decision.skips] == [row(3)]


def test_overlap_queue_waits() -> None:
    assert decide([row(2)], world({"a": [Active("r", row(1).partition)]}), NOW, limit=10) == Decision()


def test_overlap_skip_skips_and_does_not_skip_what_waits_for_catching_up_itself() -> None:
    busy = world({"a": [Active("r" * 32, "2026-01-01")]}, overlap="skip")
    (skip,) = decide([row(1), row(2)], busy, NOW, limit=10).skips
    assert skip == (row(1), "overlap", "run rrrrrrrr was at work, and `overlap` is skip")
    own = row(1, attempts=1, requested_at=NOW, asked_by="catch_up")
    mine = world({"a": [Active("r", own.partition)]}, overlap="skip")
    assert decide([own, row(2)], mine, NOW, limit=10) == Decision()


def test_overlap_cancel_ends_runs_of_earlier_partitions_that_hold_nothing_else() -> None:
    early = Active("r", row(1).partition)
    decision = decide([row(2)], world({"a": [early]}, overlap="cancel"), NOW, limit=10)
    assert decision == Decision(ends=[(early, row(2))])
    for other in (replace(early, alone=False), Active("r", row(3).partition), Active("r", None)):
        assert decide([row(2)], world({"a": [other]}, overlap="cancel"), NOW, limit=10) == Decision()
    free = decide([row(1), row(2), row(2, "b")], world(overlap="cancel"), NOW, limit=10)
    assert [keys(*run.rows) for run in free.requests] == [keys(row(2)), keys(row(2, "b"))]


def test_a_paused_export_waits_and_its_neighbour_does_not() -> None:
    rules = {"a": Policy(timing="s", paused=True), "b": Policy(timing="s")}
    assert requested(decide([row(1), row(1, "b")], World(policies=rules), NOW, limit=10)) == keys(row(1, "b"))


def test_an_export_with_a_mistake_keeps_its_rows() -> None:
    assert decide([row(1)], World(policies={}), NOW, limit=10) == Decision()


def test_a_partition_that_the_export_no_longer_has_is_skipped_with_the_reason() -> None:
    rules = {"a": Policy(timing="s", unfit=lambda key: "too old" if key == row(1).partition else "")}
    decision = decide([row(1), row(2)], World(policies=rules), NOW, limit=10)
    assert decision.skips == [(row(1), "changed", "too old")]
    assert requested(decision) == keys(row(2))


def waiting(*rows: DueRow, **after: Any) -> World:
    """A world in which these partitions of `a` wait for `b`, two hours at most."""
    spec = AfterSpec(exports=["b"], **{"deadline_minutes": 120, **after})
    rules = {"a": Policy(timing="s", after=spec, level=1), "b": Policy(timing="s")}
    return World(policies=rules, missing={keys(found)[0]: [Lack("b"), Lack("c", "failed")] for found in rows})


def test_what_waits_is_not_requested_and_does_not_stop_later_partitions_that_need_not() -> None:
    first, second = row(1, next_attempt_at=row(1).tick), row(2, next_attempt_at=row(2).tick)
    now = first.tick + 2 * HOUR - timedelta(seconds=1)
    assert decide([first, second], waiting(first, second), now, limit=10) == Decision()
    assert requested(decide([first, second], waiting(first), now, limit=10)) == keys(second)
    assert requested(decide([first, second], waiting(), now, limit=10)) == keys(first)


def test_the_deadline_leaves_out_runs_or_gives_up() -> None:
    found = row(1, next_attempt_at=row(1).tick)
    now, reason = found.tick + 2 * HOUR, "waited for b and c (failed) until 2026-03-01 03:00 UTC"
    assert decide([found], waiting(found), now, limit=10) == Decision(give_ups=[(found, reason)])
    skipped = decide([found], waiting(found, otherwise="skip"), now, limit=10)
    assert skipped == Decision(skips=[(found, "dependency", reason)])
    assert requested(decide([found], waiting(found, otherwise="run"), now, limit=10)) == keys(found)


def test_what_was_requested_once_does_not_wait_again() -> None:
    found = row(1, attempts=1, failures=1, next_attempt_at=NOW)
    assert requested(decide([found], waiting(found), NOW, limit=10)) == keys(found)


def test_the_deadline_counts_from_when_somebody_was_there_to_wait() -> None:
    """After an outage or a pause, the others must be caught up with first."""
    noted = row(1, noted_at=NOW - HOUR)
    reopened = row(1, noted_at=row(1).tick, next_attempt_at=NOW - HOUR)
    for found in (noted, reopened):
        assert decide([found], waiting(found), NOW, limit=10) == Decision()
        assert decide([found], waiting(found), NOW + HOUR, limit=10).give_ups
    usual = row(1, noted_at=row(1).tick + timedelta(minutes=3))
    assert decide([usual], waiting(usual), usual.tick + 2 * HOUR, limit=10).give_ups


def test_after_an_outage_it_waits_as_long_as_the_others_are_caught_up_with() -> None:
    found = row(1, noted_at=NOW - 50 * HOUR)
    there = waiting(found)
    queued = replace(there, missing={keys(found)[0]: [Lack("b", due=True)]})
    assert decide([found], queued, NOW, limit=10) == Decision()
    paused = {**there.policies, "b": Policy(timing="s", paused=True)}
    broken = {"a": there.policies["a"]}
    for world_ in (replace(queued, policies=paused), replace(queued, policies=broken), there):
        assert decide([found], world_, NOW, limit=10).give_ups
    assert decide([row(1)], queued, NOW, limit=10).give_ups, "somebody was there at its tick"


def test_a_paused_export_does_not_run_out_of_time() -> None:
    found = row(1)
    rules = {"a": Policy(timing="s", after=AfterSpec(exports=["b"]), paused=True)}
    assert decide([found], World(policies=rules, missing={keys(found)[0]: [Lack("b")]}), NOW, limit=10) == Decision()


def test_exports_that_wait_for_one_another_do_not_share_a_run() -> None:
    """Dagster would not start the one if the other fails."""
    both = [row(1), row(1, "b")]
    decision = decide(both, waiting(row(1), otherwise="run"), NOW, limit=10)
    assert sorted(keys(*run.rows)[0][0] for run in decision.requests) == ["a", "b"]


def test_misfire_comes_before_waiting() -> None:
    rows = [row(1), row(2)]
    world_ = waiting(*rows)
    latest = {"a": replace(world_.policies["a"], misfire="latest")}
    decision = decide(rows, replace(world_, policies=latest), row(2).tick + GRACE, limit=10)
    assert [(found, cause) for found, cause, _ in decision.skips] == [(rows[0], "misfire")]
    assert requested(decision) == []


@dataclass
class Play:
    """A world in which runs take a while, fail and get lost, and in which nobody decides now and then."""

    rules: dict[str, Policy]
    rows: dict[int, DueRow]
    now: datetime = START
    running: dict[tuple[str, str], int] = field(default_factory=dict)
    ended: dict[tuple[str, str], Ended] = field(default_factory=dict)
    published: Counter[tuple[str, str]] = field(default_factory=Counter)
    over: dict[int, str] = field(default_factory=dict)

    def step(self, fates: Iterable[str]) -> None:
        """One tick of the sensor: runs end, what is decided is carried out."""
        fate = iter(fates)
        for key, left in list(self.running.items()):
            if left > 0:
                self.running[key] = left - 1
            else:
                del self.running[key]
                self._end(key, next(fate, "ok"))
        active = {name: [Active("r", key[1]) for key in self.running if key[0] == name] for name in self.rules}
        live = [found for number, found in self.rows.items() if number not in self.over]
        missing = {key: lacks for found in live for key in keys(found) if (lacks := self.missing(found))}
        there = World(policies=self.rules, active=active, ended=self.ended, missing=missing)
        self._obey(decide(live, there, self.now, limit=3), fate)

    def missing(self, found: DueRow) -> list[Lack]:
        """The exports before this one that have the partition as well, and have not published it."""
        after = self.rules[found.export].after
        wanted = [(name, found.partition) for name in (after.exports if after else ())]
        return [Lack(key[0]) for key in wanted if key not in self.published and key in keys(*self.rows.values())]

    def may_wait(self, found: DueRow) -> bool:
        """Whether it need not be requested now."""
        after = self.rules[found.export].after
        return after is not None and bool(self.missing(found)) and self.now < waits_until(found, after)

    def _end(self, key: tuple[str, str], fate: str) -> None:
        if fate == "fail":
            self.ended[key] = Ended(self.now, "failed")
            return
        self.published[key] += 1
        self.over |= {number: "done" for number, found in self.rows.items() if keys(found) == [key]}

    def _obey(self, decision: Decision, fate: Any) -> None:
        for found, cause, _ in decision.skips:
            self.over[found.id] = cause
        for found, _ in decision.give_ups:
            self.over[found.id] = "given_up" if found.attempts else "in vain"
        for found, at, _ in decision.failures:
            changes = {"failures": found.failures + 1, "requested_at": None, "next_attempt_at": at}
            self.rows[found.id] = replace(found, **changes)
        assert len(decision.requests) <= 3
        for run in decision.requests:
            for found in run.rows:
                key = keys(found)[0]
                assert not [other for other in self.running if other[0] == found.export], "two runs of one export"
                assert key not in self.published, "published already"
                assert not self.rules[found.export].paused
                assert found.attempts or not self.may_wait(found), "others come first"
                older = [o for o in self.rows.values() if o.export == found.export and o.tick < found.tick]
                waiting = [o for o in older if o.id not in self.over and (o.next_attempt_at or START) <= self.now]
                assert not [o for o in waiting if o.attempts or not self.may_wait(o)], "not the oldest first"
                self.ended.pop(key, None)
                changes = {"attempts": found.attempts + 1, "requested_at": self.now, "next_attempt_at": None}
                self.rows[found.id] = replace(found, **changes, asked_by="catch_up")
                if next(fate, "ok") != "lost":
                    self.running[key] = 1


FATES = st.lists(st.sampled_from(["ok", "ok", "fail", "lost"]), max_size=6)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), max_size=40, unique=True),
    st.lists(st.tuples(st.integers(30, 5000), FATES, st.sets(st.sampled_from("abc"))), max_size=40),
    st.sampled_from(["all", "latest", "skip"]),
    st.integers(1, 4),
    st.tuples(st.sampled_from([1, 600, 3000]), st.sampled_from(["skip", "run", "fail"])) | st.none(),
)
def test_after_any_outage_nothing_is_missing_and_nothing_is_made_twice(
    due: list[tuple[str, int]],
    steps: list[tuple[int, list[str], set[str]]],
    misfire: Any,
    attempts: int,
    waits: tuple[int, Any] | None,
) -> None:
    rules = {name: Policy(timing="s", misfire=misfire, attempts=attempts) for name in "abc"}
    for level, name in enumerate("bc" if waits else "", 1):  # c after b after a
        before = AfterSpec(exports=["abc"[level - 1]], deadline_minutes=waits[0], otherwise=waits[1]) if waits else None
        rules[name] = replace(rules[name], after=before, level=level)
    rows = {found.id: found for found in (row(number, name) for name, number in due)}
    play = Play(rules, rows, now=START + 42 * HOUR)
    for seconds, fates, paused in steps:
        play.now += timedelta(seconds=seconds)
        play.rules = {name: replace(rule, paused=name in paused) for name, rule in rules.items()}
        play.step(fates)
    play.rules = rules
    for _ in range(400):  # the recovery: everything works from now on
        play.now += timedelta(minutes=10)
        play.step(())
        if set(play.over) == set(rows) and not play.running:
            break
    assert set(play.over) == set(rows), "missing"
    assert max(play.published.values(), default=1) == 1, "made twice"
    if misfire == "all":
        vain = {"skip": "dependency", "fail": "in vain"}.get(waits[1], "") if waits else ""
        assert all(play.over[number] in ("done", "given_up", vain) for number in rows)
        assert not [number for number, how in play.over.items() if how == vain and rows[number].export == "a"]
    for number, how in play.over.items():
        if how == "given_up":
            assert play.rows[number].failures + 1 == attempts
    if misfire == "latest":
        newest = {name: max(n for e, n in due if e == name) for name, _ in due}
        kept = {(f.export, f.tick) for n, f in rows.items() if play.over[n] != "misfire"}
        assert kept == {(name, row(number).tick) for name, number in newest.items()}
