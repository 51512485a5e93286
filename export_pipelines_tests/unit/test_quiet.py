"""Where nothing ticks nothing is noted, and that costs next to nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from export_pipelines.catching_up.note import note_ticks
from export_pipelines.ledger import due, watches
from export_pipelines.project import Project
from export_pipelines.timing.quiet import is_quiet
from export_pipelines.timing.ticks import Timing, timings
from export_pipelines.timing.upcoming import upcoming
from export_pipelines_tests.projects import environment, project, write_project

MINUTE = timedelta(minutes=1)
START = datetime(2026, 3, 2, 12, 5, tzinfo=UTC)
HOURLY = {"partition": "hourly", "schedule": {"cron": "0 * * * *"}}
SCHEDULES: list[dict[str, Any]] = [
    {"cron": "*/7 * * * *"},
    {"every": "hour", "minute": 59},
    {"cron": "30 2 * * *", "calendar": "berlin", "on_holiday": "next"},
    {"every": "working day", "time": ["00:00", "02:30"], "calendar": "berlin"},
    {"every": "day", "time": "00:30", "start": "2027-03-28", "end": "2027-10-31"},
]
ZONES = ("Europe/Berlin", "Asia/Kolkata", "Africa/Cairo", "Australia/Lord_Howe")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> list[Timing]:
    entries = {
        f"e{number}_{place}": {"schedule": {**schedule, "timezone": zone}, "start": date(2026, 1, 1)}
        for number, schedule in enumerate(SCHEDULES)
        for place, zone in enumerate(ZONES)
    }
    calendars = {"berlin": {"country": "DE", "subdivision": "BE"}}
    root = tmp_path_factory.mktemp("quiet")
    environ = environment(root, EXPORT_MIN_INTERVAL_MINUTES="1")
    made = Project.load(write_project(root, entries, environ=environ, calendars=calendars))
    assert len(made.specs.exports) == len(entries)
    return list(timings(made.specs.exports.values()))


@given(st.data())
def test_it_is_quiet_where_no_tick_comes(known: list[Timing], data: st.DataObject) -> None:
    timing = data.draw(st.sampled_from(known))
    naive = data.draw(st.datetimes(datetime(2027, 3, 1), datetime(2027, 11, 15)))  # noqa: DTZ001
    after = naive.replace(tzinfo=UTC, microsecond=0, second=0)
    until = after + data.draw(st.integers(1, 110)) * MINUTE
    ticks = list(takewhile(lambda one: one.tick <= until, upcoming(timing, after)))
    assert is_quiet(timing, after, until) == (not ticks)


def test_the_ends_of_the_span(known: list[Timing]) -> None:
    (timing,) = (one for one in known if one.exports[0].name == "e1_0")
    tick = datetime(2027, 5, 1, 11, 59, tzinfo=UTC)
    assert not is_quiet(timing, tick - MINUTE, tick)
    assert is_quiet(timing, tick, tick + 59 * MINUTE)
    assert not is_quiet(timing, tick, tick + 60 * MINUTE)


@pytest.fixture(params=["sqlite", "postgresql"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Project]:
    """Gives the project of these exports, always on the same ledger."""
    extra = {} if request.param == "sqlite" else {"EXPORT_LEDGER_URL": request.getfixturevalue("postgres_url")}
    return lambda **exports: Project.load(write_project(tmp_path, exports, environ=environment(tmp_path, **extra)))


def seen(made: Project) -> dict[str, set[datetime]]:
    found: dict[str, set[datetime]] = {}
    for row in watches.everything(made.ledger):
        found.setdefault(row.export, set()).add(row.seen_until)
    return found


def test_quiet_exports_are_passed_and_lag_by_a_minute_at_most(make: Callable[..., Project]) -> None:
    made = make(a=HOURLY, b={"schedule": {"cron": "30 5 * * *"}}, c={})
    note_ticks(made, START)
    note_ticks(made, START + 2.5 * MINUTE)
    assert seen(made) == {"a": {START}, "b": {START}}
    note_ticks(made, START + 3 * MINUTE)
    assert seen(made) == {"a": {START + MINUTE}, "b": {START + MINUTE}}
    note_ticks(made, START + 57 * MINUTE)  # 13:00 is two minutes ago
    assert seen(made) == {"a": {START + 55 * MINUTE}, "b": {START + 55 * MINUTE}}
    assert [row.partition for row in due.find(made.ledger, "due")] == ["2026-03-02-12:00"]


def test_a_former_timing_is_not_passed_with_an_equal_one_of_another_export(make: Callable[..., Project]) -> None:
    note_ticks(make(a=HOURLY, b=HOURLY), START)
    half = {**HOURLY, "schedule": {"cron": "30 * * * *"}}
    made = make(a=half, b=HOURLY)
    note_ticks(made, START + 57 * MINUTE)
    assert {row.export for row in due.find(made.ledger, "due")} == {"a", "b"}, "13:00 of the former timing counts"


def test_many_quiet_exports_cost_few_statements(tmp_path: Path) -> None:
    made = project(tmp_path, {f"e{n}": {"schedule": {"cron": f"{n % 60} 5 * * *"}} for n in range(300)})
    note_ticks(made, START)
    statements = []
    event.listen(made.ledger.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    note_ticks(made, START + 10 * MINUTE)
    assert len(statements) < 15
    assert set().union(*seen(made).values()) == {START + 8 * MINUTE}
