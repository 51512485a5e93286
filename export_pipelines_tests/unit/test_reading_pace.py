"""What is read again when: nothing is forgotten, and no pass reads much more than its share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export_pipelines.integrity.pace import Pace, share
from export_pipelines.ledger.readings import Unread

BEGAN = datetime(2026, 1, 5, 4, 45, tzinfo=UTC)
DAY = timedelta(days=1)
DAYS = 28


@dataclass
class World:
    """Stores whose files are read by daily passes. `volumes` are (bytes read, bytes of a share) of each pass."""

    items: dict[str, Unread] = field(default_factory=dict)
    now: datetime = BEGAN
    since: datetime = BEGAN
    last: datetime | None = None
    oldest: timedelta = timedelta(0)
    volumes: list[tuple[int, float]] = field(default_factory=list)
    largest: int = 0

    def add(self, sizes: Iterable[int], *, age: timedelta = timedelta(0), store: str = "local") -> None:
        for size in sizes:
            ident = f"{len(self.items):06}"
            self.items[ident] = Unread("artifact", ident, store, size, self.now - age)
            self.largest = max(self.largest, size)

    def age(self) -> timedelta:
        """Of the longest unread one, counted from when reading began."""
        return max((self.now - max(item.read_at, self.since) for item in self.items.values()), default=timedelta(0))

    def read(self, *, every: timedelta = DAY) -> list[Unread]:
        pace = Pace(days=DAYS, since=self.since, last=self.last, following=self.now + every)
        chosen = share(self.items.values(), self.now, pace)
        assert len({item.id for item in chosen}) == len(chosen)
        total = sum(item.bytes for item in self.items.values())
        portion = min(1.0, (self.now - self.last if self.last else every) / (DAYS * DAY))
        self.volumes.append((sum(item.bytes for item in chosen), portion * total))
        assert self.volumes[-1][0] >= math.floor(portion * total)
        for item in chosen:
            self.items[item.id] = replace(item, read_at=self.now)
        self.last = self.now
        return chosen

    def pass_days(self, days: int, *, grow: Callable[[int], Sequence[int]] = lambda _: (), passes: bool = True) -> None:
        for number in range(days):
            self.add(grow(number))
            if passes:
                self.read()
            self.oldest = max(self.oldest, self.age())
            self.now += DAY
            self.oldest = max(self.oldest, self.age())

    def bounded(self, times: float = 2.5) -> bool:
        """Whether every pass read at most so many shares, and the one artifact that fills the share."""
        return all(read <= times * part + self.largest for read, part in self.volumes)


SIZES = st.one_of(st.integers(0, 1000), st.integers(10**6, 10**9), st.just(0))
GROWTH = st.lists(st.lists(SIZES, max_size=8), min_size=1, max_size=30)


@settings(max_examples=40)
@given(st.lists(SIZES, max_size=60), GROWTH, st.floats(0, 400), st.floats(0.9, 1.2))
def test_in_ninety_days_nothing_is_forgotten_and_no_pass_reads_much_more(
    first: list[int], growth: list[list[int]], age: float, faster: float
) -> None:
    world = World()
    world.add(first, age=age * DAY)
    world.pass_days(90, grow=lambda day: [int(size * faster**day) for size in growth[day % len(growth)]])
    assert world.oldest <= (DAYS + 1) * DAY
    assert world.bounded()


@settings(max_examples=40)
@given(st.lists(SIZES, min_size=1, max_size=60), GROWTH, st.integers(1, 60), st.integers(1, 12))
def test_a_missed_week_is_caught_up_with_in_one_pass(
    first: list[int], growth: list[list[int]], before: int, missed: int
) -> None:
    world = World()
    world.add(first)
    world.pass_days(before, grow=lambda day: growth[day % len(growth)])
    world.pass_days(missed, grow=lambda day: growth[day % len(growth)], passes=False)
    world.read()
    assert world.age() < DAYS * DAY
    world.volumes, world.oldest = [], timedelta(0)
    world.now += DAY
    world.pass_days(60, grow=lambda day: growth[day % len(growth)])
    assert world.oldest <= (DAYS + 1) * DAY
    assert world.bounded()


@settings(max_examples=40)
@given(st.lists(SIZES, min_size=20, max_size=60), st.integers(1, 27), st.randoms(use_true_random=False))
def test_what_is_deleted_leaves_no_rush_to_the_rest(sizes: list[int], day: int, random: object) -> None:
    world = World()
    world.add(sizes)
    world.pass_days(day)
    left = sorted(world.items)[:: 1 + day % 3]
    world.items = {ident: world.items[ident] for ident in left}
    unread = sum(item.bytes for item in world.items.values() if item.read_at == BEGAN)
    world.volumes = []
    world.pass_days(DAYS + 1 - day)
    assert world.oldest <= (DAYS + 1) * DAY
    largest = max(read for read, _ in world.volumes)
    assert largest <= 2.5 * max(unread / (DAYS - day + 1), *(part for _, part in world.volumes)) + world.largest


@pytest.mark.parametrize("hours", [4, 24, 24 * 7])
def test_other_schedules_than_daily_keep_the_pace(hours: int) -> None:
    world, every = World(), timedelta(hours=hours)
    world.add([1000] * 500)
    for _ in range(DAY * 90 // every):
        world.read(every=every)
        world.now += every
        assert world.age() <= DAYS * DAY + every
    assert world.bounded()


def test_an_old_store_is_not_read_at_once_when_reading_begins() -> None:
    world = World()
    world.add([1000] * 2800, age=400 * DAY)
    world.pass_days(1)
    assert world.volumes == [(100_000, 100_000)]


def test_the_number_is_made_up_with_small_ones() -> None:
    world = World()
    world.add([10**9] * 10 + [1] * 270)
    assert len(world.read()) == 10
    assert sum(item.bytes >= 10**9 for item in world.items.values() if item.read_at == world.now) >= 1
    assert world.bounded()


def test_each_store_has_a_share_of_its_own() -> None:
    world = World()
    world.add([1000] * 280)
    world.add([10] * 28, store="lake")
    for _ in range(40):  # the one store cannot be read: its files stay unread
        chosen = world.read()
        lake = [item for item in chosen if item.store == "lake"]
        assert lake
        for item in chosen:
            if item.store == "local":
                world.items[item.id] = replace(item, read_at=BEGAN)
        world.now += DAY
    assert min(item.read_at for item in world.items.values() if item.store == "lake") >= world.now - (DAYS + 1) * DAY


def test_what_is_damaged_is_read_in_each_pass_or_in_turns_where_that_is_much() -> None:
    world = World()
    world.add([10**9] * 280)
    few = {f"{number:06}" for number in range(4)}
    _damage(world, few)
    for _ in range(3):
        assert few <= {item.id for item in world.read()}
        _damage(world, few)
        world.now += DAY
    many = {f"{number:06}" for number in range(140)}
    _damage(world, many)
    seen: set[str] = set()
    for _ in range(DAYS):
        read = {item.id for item in world.read()}
        assert len(read & many) <= 10
        seen |= read
        _damage(world, many)
        world.now += DAY
    assert seen >= many
    assert world.bounded()


def _damage(world: World, idents: set[str]) -> None:
    for ident in idents:
        world.items[ident] = replace(world.items[ident], damaged=True, read_at=BEGAN)


def test_an_empty_ledger_and_empty_files_are_no_trouble() -> None:
    world = World()
    assert world.read() == []
    world.add([0] * 5)
    world.now += DAY
    assert len(world.read()) >= 1
