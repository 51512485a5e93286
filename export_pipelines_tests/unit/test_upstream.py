"""Which exports others wait for, by the specs and the ledger."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from export_pipelines.catching_up.upstream import levels, missing_exports, waiting
from export_pipelines.ledger import due, runs
from export_pipelines.ledger.due import Asked
from export_pipelines.ledger.tables import artifacts
from export_pipelines.monitoring.missing import missing
from export_pipelines.project import Project
from export_pipelines.timing.asking import asking_tick
from export_pipelines.timing.ticks import timings
from export_pipelines_tests.projects import environment, project, write_project

TICK = datetime(2026, 3, 3, 6, tzinfo=UTC)  # a Tuesday
DAY = "2026-03-02"
HOUR = timedelta(hours=1)
Make = Callable[..., Project]


@pytest.fixture(params=["sqlite", "postgresql"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Gives the project of these exports, always on the same ledger."""
    extra = {} if request.param == "sqlite" else {"EXPORT_LEDGER_URL": request.getfixturevalue("postgres_url")}
    return lambda exports: Project.load(write_project(tmp_path, exports, environ=environment(tmp_path, **extra)))


def pair(**upstream: Any) -> dict[str, Any]:
    return {"u": {"schedule": "daily", **upstream}, "d": {"schedule": "daily", "after": ["u"]}}


def lacking(made: Project, *partitions: str) -> dict[str, list[str]]:
    """Partition -> what `d` waits for."""
    keys = [("d", partition) for partition in partitions or (DAY,)]
    return {key[1]: [str(lack) for lack in lacks] for key, lacks in missing_exports(made, waiting(made, keys)).items()}


def ask(made: Project, **changes: Any) -> None:
    asked = {"export": "u", "partition": DAY, "schedule": "daily", "tick": TICK, **changes}
    with made.ledger.write() as connection:
        due.note(connection, [Asked(**asked)], TICK)


def test_only_a_good_and_complete_artifact_counts(make: Make) -> None:
    made = make(pair())
    assert lacking(made) == {DAY: ["u"]}
    made.run(made.request("u", DAY, run_id=uuid.uuid4().hex))
    assert lacking(made) == {}
    for spoiled in ({"good": False}, {"good": True, "row_limit": 1}):
        with made.ledger.write() as connection:
            connection.execute(update(artifacts).values(spoiled))
        assert lacking(made) == {DAY: ["u"]}
    with made.ledger.write() as connection:
        connection.execute(update(artifacts).values(good=True, row_limit=None, deleted_at=TICK))
    assert lacking(made) == {}, "retention may have deleted its files since"


def test_an_artifact_of_several_partitions_counts_for_each(make: Make) -> None:
    made = make(pair())
    made.run(made.request("u", DAY, run_id=uuid.uuid4().hex))
    with made.ledger.write() as connection:
        connection.execute(update(artifacts).values(last_partition="2026-03-04"))
    assert lacking(made, "2026-03-01", DAY, "2026-03-03", "2026-03-04", "2026-03-05") == {
        "2026-03-01": ["u"],
        "2026-03-05": ["u"],
    }


@pytest.mark.parametrize(
    ("cause", "said"),
    [("holiday", ""), ("condition", ""), ("paused", "u (skipped: paused)"), ("dependency", "u (skipped: dependency)")],
)
def test_what_was_skipped_for_good_is_nothing_to_wait_for(make: Make, cause: Any, said: str) -> None:
    made = make(pair())
    ask(made, cause=cause, reason="so")
    assert lacking(made) == ({DAY: [said]} if said else {})


def test_what_went_wrong_is_said(make: Make) -> None:
    made = make(pair())
    ask(made)
    (row,) = due.find(made.ledger, "due")
    with made.ledger.write() as connection:
        due.fail(connection, row, "disk full", next_attempt_at=TICK)
    assert lacking(made) == {DAY: ["u (failed)"]}
    (row,) = due.find(made.ledger, "due")
    with made.ledger.write() as connection:
        due.give_up(connection, row, "disk full")
    assert lacking(made) == {DAY: ["u (given up)"]}
    assert [found.failures for found in due.find(made.ledger, "given_up")] == [1]


def test_a_run_without_rows_counts_from_the_tick_on(make: Make) -> None:
    made = make(pair())
    for at, expected in ((TICK - HOUR, {DAY: ["u"]}), (TICK + HOUR, {})):
        number = runs.start(made.ledger, run_id=uuid.uuid4().hex, export="u", partition=DAY, now=at)
        runs.finish(made.ledger, number, "skipped")
        ask(made)
        assert lacking(made) == expected


def test_levels_keep_exports_apart_that_wait_for_one_another(tmp_path: Path) -> None:
    entries: dict[str, Any] = {
        "a": {},
        "b": {"after": ["a"]},
        "c": {"after": ["a", "b"]},
        "d": {"after": {"assets": ["dbt/orders"]}},
        "e": {"after": ["zero"]},
        "zero": {"start": "2026-02-01"},
    }
    made = project(tmp_path, {name: {"schedule": "daily", **entry} for name, entry in entries.items()})
    found = {timing.name: levels(timing.exports) for timing in timings(made.specs.exports.values())}
    assert found == {"daily_daily": {"a": 0, "b": 1, "c": 2, "d": 0, "e": 0}, "daily_daily_from_20260201": {"zero": 0}}


@pytest.mark.parametrize(
    ("schedule", "partition", "expected"),
    [
        ({"cron": "0 2 * * *"}, "2026-12-24", "2026-12-25 02:00"),
        ({"cron": "0 2 * * *", "calendar": "office"}, "2026-12-24", None),
        ({"cron": "0 2 * * *", "calendar": "office", "on_holiday": "next"}, "2026-12-24", None),
        ({"cron": "0 2 * * *", "calendar": "office", "on_holiday": "next"}, "2026-12-27", "2026-12-28 02:00"),
        ({"cron": "0 2 * * 1-5"}, "2026-12-25", None),
        ({"every": "working day", "time": "02:00"}, "2026-12-25", None),
        ({"cron": "0 2 * * *", "end": "2026-12-24"}, "2026-12-24", None),
        ({"cron": "0 2 * * *"}, "2025-12-24", None),
        ({"cron": "0 2 * * *"}, "2026-12", None),
        ({"cron": "30 2 * * *", "timezone": "Europe/Berlin"}, "2027-03-27", "2027-03-28 03:00"),
        ({"cron": "0 23 * * *"}, "2026-12-24", "2026-12-25 23:00"),
    ],
)
def test_the_tick_that_asks_for_a_partition(
    tmp_path: Path, schedule: dict[str, Any], partition: str, expected: str | None
) -> None:
    made = project(tmp_path, {"u": {"schedule": schedule}}, calendars={"office": {"country": "DE"}})
    (timing,) = timings(made.specs.exports.values())
    tick = asking_tick(timing, partition)
    assert (tick and f"{tick:%Y-%m-%d %H:%M}") == expected


def test_a_monthly_tick_that_a_holiday_moves_far(tmp_path: Path) -> None:
    schedule = {"every": "month", "day": 1, "time": "05:00", "calendar": "office", "on_holiday": "next"}
    made = project(
        tmp_path, {"u": {"schedule": schedule, "partition": "monthly"}}, calendars={"office": {"country": "DE"}}
    )
    (timing,) = timings(made.specs.exports.values())
    assert f"{asking_tick(timing, '2026-12-01'):%Y-%m-%d}" == "2027-01-04"


def test_nothing_is_missing_while_it_may_wait(make: Make) -> None:
    made = make(pair())
    ask(made)
    ask(made, export="d")
    assert [found.export for found in missing(made, TICK + 2 * HOUR)] == ["u"]
    assert [found.export for found in missing(made, TICK + 5 * HOUR)] == ["d", "u"]
