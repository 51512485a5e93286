"""What ticks ask for, in the ledger: each partition once, since the timing was first seen, whoever was away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export_pipelines.catching_up.note import note_ticks
from export_pipelines.ledger import due, pauses, runs, watches
from export_pipelines.ledger.due import Asked, DueRow
from export_pipelines.project import Project
from export_pipelines.timing.ticks import timings
from export_pipelines.timing.upcoming import upcoming
from export_pipelines_tests.projects import environment, write_project

START = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)
TICK = datetime(2026, 3, 2, 13, tzinfo=UTC)
Make = Callable[..., Project]


@pytest.fixture(params=["sqlite", "postgresql"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Gives the project of these exports, always on the same ledger."""
    extra = {} if request.param == "sqlite" else {"EXPORT_LEDGER_URL": request.getfixturevalue("postgres_url")}
    return lambda exports, **sections: _project(tmp_path, exports, extra, **sections)


def _project(root: Path, exports: dict[str, Any], extra: dict[str, str], **sections: Any) -> Project:
    return Project.load(write_project(root, exports, environ=environment(root, **extra), **sections))


def hourly(cron: str = "0 * * * *", **schedule: Any) -> dict[str, Any]:
    return {"partition": "hourly", "schedule": {"cron": cron, **schedule}}


def noted(made: Project, *states: Any) -> list[tuple[str, str, str | None]]:
    rows = due.find(made.ledger, *(states or ("due", "skipped", "done", "given_up")))
    return [(found.export, f"{found.tick:%d %H:%M}", found.cause) for found in rows]


def ask(**changes: Any) -> Asked:
    return Asked(**{"export": "a", "partition": "p", "schedule": "s", "tick": TICK, **changes})


def only(made: Project) -> DueRow:
    (found,) = due.find(made.ledger, "due", "skipped", "done", "given_up")
    return found


def test_a_timing_starts_when_it_is_first_seen(make: Make) -> None:
    made = make({"a": hourly()})
    note_ticks(made, START)
    assert noted(made) == []
    note_ticks(made, START + 3 * HOUR)
    note_ticks(made, START + 3 * HOUR)
    assert noted(made) == [("a", "02 13:00", None), ("a", "02 14:00", None), ("a", "02 15:00", None)]


def test_young_ticks_are_left_to_their_schedules(make: Make) -> None:
    made = make({"a": hourly()})
    note_ticks(made, START)
    note_ticks(made, TICK + timedelta(seconds=119))
    assert noted(made) == []
    note_ticks(made, TICK + timedelta(seconds=120))
    assert noted(made) == [("a", "02 13:00", None)]


def test_a_changed_timing_never_fires_for_a_time_before_the_change(make: Make) -> None:
    note_ticks(make({"a": hourly()}), START)
    changed = make({"a": hourly("30 * * * *")})
    note_ticks(changed, START + 2 * HOUR)  # nobody was there when the ticks of 13:00 and 14:00 came
    assert noted(changed) == [("a", "02 13:00", None), ("a", "02 14:00", None)]
    note_ticks(changed, START + 3 * HOUR + timedelta(minutes=2))
    assert noted(changed)[2:] == [("a", "02 15:30", None)]


def test_what_does_not_move_ticks_is_no_change(make: Make) -> None:
    note_ticks(make({"a": hourly()}), START)
    changed = make({"a": hourly(deadline_minutes=5, description="x", batch_size=3)})
    note_ticks(changed, START + HOUR)
    assert noted(changed) == [("a", "02 13:00", None)]


def test_other_partitions_begin_anew(make: Make) -> None:
    note_ticks(make({"a": hourly()}), START)
    changed = make({"a": {**hourly(), "partition": "daily"}})
    note_ticks(changed, START + 2 * HOUR)
    assert noted(changed) == []
    (watched,) = watches.everything(changed.ledger)
    assert '"partition": "daily"' in watched.timing


def test_nothing_is_forgotten_while_an_export_has_a_mistake(make: Make) -> None:
    note_ticks(make({"a": hourly(), "b": hourly()}), START)
    broken = make({"a": {**hourly(), "colour": "red"}, "b": hourly()})
    note_ticks(broken, START + HOUR)
    assert noted(broken) == [("b", "02 13:00", None)]
    mended = make({"a": hourly(), "b": hourly()})
    note_ticks(mended, START + 2 * HOUR)
    assert sorted(noted(mended)) == [(name, f"02 {hour}:00", None) for name in "ab" for hour in (13, 14)]


def test_what_is_taken_out_of_the_specs_is_skipped_with_the_reason_and_begins_anew(make: Make) -> None:
    both = make({"a": hourly(), "b": hourly()})
    note_ticks(both, START)
    note_ticks(both, START + HOUR)
    note_ticks(make({"b": hourly()}), START + 2 * HOUR)
    assert noted(both, "skipped") == [("a", "02 13:00", "changed")]
    note_ticks(both, START + 4 * HOUR)
    assert noted(both, "due") == [("b", f"02 {hour}:00", None) for hour in (13, 14, 15, 16)]


def test_days_off_are_skipped_with_the_reason(make: Make) -> None:
    schedule = {"cron": "0 2 * * *", "calendar": "office"}
    made = make({"a": {"schedule": schedule}}, calendars={"office": {"country": "DE"}})
    note_ticks(made, datetime(2026, 4, 2, 12, tzinfo=UTC))
    note_ticks(made, datetime(2026, 4, 7, 12, tzinfo=UTC))
    rows = due.find(made.ledger, "due", "skipped")
    assert [(found.partition, found.state, (found.reason or "").partition(": ")[2]) for found in rows] == [
        ("2026-04-02", "skipped", "Good Friday"),
        ("2026-04-03", "skipped", "Saturday"),
        ("2026-04-04", "skipped", "Sunday"),
        ("2026-04-05", "skipped", "Easter Monday"),
        ("2026-04-06", "due", ""),
    ]


def test_a_partition_that_a_later_tick_asks_for_again_is_due_in_spite_of_the_day_off(make: Make) -> None:
    entry = {"partition": "monthly", "schedule": {"cron": "0 2 * * *", "calendar": "office"}}
    made = make({"a": entry}, calendars={"office": {}})
    note_ticks(made, datetime(2026, 2, 28, 12, tzinfo=UTC))
    note_ticks(made, datetime(2026, 3, 1, 12, tzinfo=UTC))  # a Sunday
    assert (only(made).state, only(made).partition) == ("skipped", "2026-02-01")
    note_ticks(made, datetime(2026, 3, 4, 12, tzinfo=UTC))
    assert (only(made).state, only(made).tick) == ("due", datetime(2026, 3, 2, 2, tzinfo=UTC))


def test_the_first_day_of_an_export_bounds_what_is_due(make: Make) -> None:
    made = make({"a": {**hourly(), "start": "2026-03-03"}})
    note_ticks(made, START)
    note_ticks(made, datetime(2026, 3, 3, 2, 30, tzinfo=UTC))
    assert noted(made) == [("a", "03 01:00", None), ("a", "03 02:00", None)]


def test_ticks_in_a_pause_are_skipped_with_who_and_why(make: Make) -> None:
    made = make({"a": hourly(), "b": hourly()})
    note_ticks(made, START)
    pauses.pause(
        made.ledger, "export", "a", at=START + HOUR, until=START + 3 * HOUR, by="ann", why="the school is closed"
    )
    note_ticks(made, START + 5 * HOUR)
    skipped = due.find(made.ledger, "skipped")
    assert [(found.export, f"{found.tick:%H}") for found in skipped] == [("a", "14"), ("a", "15")]
    assert (
        skipped[0].reason == "paused by ann since 2026-03-02 13:30 UTC until 2026-03-02 15:30 UTC: the school is closed"
    )
    assert len(due.find(made.ledger, "due", export="b")) == 5


def test_a_bound_holds_for_what_is_noted_at_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"partition": "hourly", "schedule": "shared"}
    made = make({"a": entry, "b": entry}, schedules={"shared": {"cron": "0 * * * *"}})
    note_ticks(made, START)
    monkeypatch.setattr("export_pipelines.catching_up.note._MOST_ROWS", 600)
    for expected in (600, 1200, 1440, 1440):
        note_ticks(made, START + timedelta(days=30))
        assert len(due.find(made.ledger, "due")) == expected


def test_only_one_asks_for_the_same_tick(make: Make) -> None:
    made = make({"a": hourly()})
    with made.ledger.write() as connection:
        due.note(connection, [ask()], TICK)
    before = only(made)
    with made.ledger.write() as connection:
        assert due.claim(connection, [ask()], TICK) == {"a"}
        assert due.claim(connection, [ask()], TICK) == {"a"}, "the daemon asks again for a tick that it did not finish"
        assert due.request(connection, [before], TICK) == set(), "the schedule was quicker"
    asked = only(made)
    with made.ledger.write() as connection:
        assert due.request(connection, [asked], TICK) == {asked.id}
        assert due.claim(connection, [ask()], TICK) == set(), "catching up was quicker"
        assert due.claim(connection, [ask(tick=TICK + HOUR)], TICK) == {"a"}, "a later tick asks anew"


@pytest.mark.parametrize("cause", ["paused", "misfire", "overlap", "condition"])
def test_what_is_skipped_is_not_requested_for_the_same_tick_but_for_a_later_one(make: Make, cause: Any) -> None:
    made = make({"a": hourly()})
    with made.ledger.write() as connection:
        due.note(connection, [ask(cause=cause, reason="because")], TICK)
        assert due.claim(connection, [ask()], TICK) == set()
        assert due.claim(connection, [ask(tick=TICK + HOUR)], TICK) == {"a"}
    assert (only(made).state, only(made).cause, only(made).reason) == ("due", None, None)


def test_whoever_publishes_settles_it(make: Make) -> None:
    made = make({"a": {"schedule": "daily"}, "b": {"schedule": "daily"}})
    with made.ledger.write() as connection:
        rows = [ask(export=name, partition="2026-03-01", tick=TICK) for name in "ab"]
        due.note(connection, rows, TICK)
    _, b = due.find(made.ledger, "due")
    with made.ledger.write() as connection:
        due.fail(connection, b, "disk full", next_attempt_at=None)
    made.run(made.request("a", "2026-03-01", run_id="r1", row_limit=1))
    due.settle(made.ledger)
    assert [found.state for found in due.find(made.ledger, "due")] == ["due"], "a part of it is not all of it"
    for name in "ab":
        made.run(made.request(name, "2026-03-01", run_id="r2"))
    due.settle(made.ledger)
    assert {(found.export, found.state) for found in due.find(made.ledger, "done")} == {("a", "done"), ("b", "done")}


def test_a_run_that_found_no_rows_settles_what_was_due_before(make: Make) -> None:
    made = make({"a": hourly()})
    with made.ledger.write() as connection:
        due.note(connection, [ask()], TICK)
    for started, state in ((TICK - HOUR, "due"), (TICK + HOUR, "skipped")):
        number = runs.start(made.ledger, run_id="r", export="a", partition="p", now=started)
        runs.finish(made.ledger, number, "skipped", rows=0)
        due.settle(made.ledger)
        assert only(made).state == state
    assert only(made).cause == "condition"


def test_the_newest_row_is_looked_at_however_many_there_are(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make({"a": hourly()})
    monkeypatch.setattr("export_pipelines.ledger.due._OLDEST", 2)
    with made.ledger.write() as connection:
        rows = [ask(export=name, partition=str(n), tick=TICK + n * HOUR) for name in "ab" for n in range(5)]
        due.note(connection, rows, TICK)
    assert [(found.export, found.partition) for found in due.unsettled(made.ledger)] == [
        ("a", "0"), ("b", "0"), ("a", "1"), ("b", "1"), ("a", "4"), ("b", "4"),
    ]  # fmt: skip
    assert due.count(made.ledger, "due") == 10


CRONS = st.sampled_from(["0 * * * *", "30 */2 * * *", "45 * * * *", "0 3 * * *"])
STEPS = st.lists(st.tuples(st.integers(1, 2000), st.one_of(st.none(), CRONS)), min_size=1, max_size=12)


@settings(max_examples=60)
@given(CRONS, STEPS)
def test_every_tick_since_a_timing_was_seen_is_noted_and_none_before(
    tmp_path_factory: pytest.TempPathFactory, cron: str, steps: list[tuple[int, str | None]]
) -> None:
    """Whoever looks, however rarely, and whatever becomes of the cron expression meanwhile."""
    root = tmp_path_factory.mktemp("due")
    made, now, since = _project(root, {"a": hourly(cron)}, {}), START, START
    note_ticks(made, now)
    expected: set[datetime] = set()
    for minutes, changed in steps:
        now += timedelta(minutes=minutes)
        if changed and changed != cron:
            expected |= ticks(made, since, now)  # of the timing until it was changed, as far as anybody can know
            made, cron, since = _project(root, {"a": hourly(changed)}, {}), changed, now
        note_ticks(made, now)
    expected |= ticks(made, since, now - timedelta(minutes=2))
    rows = due.find(made.ledger, "due")
    assert {found.partition for found in rows} == {f"{tick - HOUR:%Y-%m-%d-%H}:00" for tick in expected}
    assert {found.tick for found in rows} <= expected
    made.ledger.close()


def ticks(made: Project, after: datetime, until: datetime) -> set[datetime]:
    (timing,) = timings(made.specs.exports.values())
    found = takewhile(lambda one: one.tick <= until, upcoming(timing, after))
    return {one.tick.astimezone(UTC) for one in found}
