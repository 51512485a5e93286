"""What ticks asked for is forgotten when it is old, and never asked for again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from export_pipelines.catching_up.note import note_ticks
from export_pipelines.ledger import due, pauses, watches
from export_pipelines.ledger.due import Asked, DueRow
from export_pipelines.ledger.tables import due as table
from export_pipelines.ledger.vacuum import vacuum
from export_pipelines.project import Project
from export_pipelines_tests.projects import environment, write_project

DAY = timedelta(days=1)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
START = NOW - 200 * DAY
DAILY = {"schedule": {"cron": "0 2 * * *"}}
STATES: tuple[due.State, ...] = ("due", "done", "skipped", "given_up")
Make = Callable[..., Project]


@pytest.fixture(params=["sqlite", "postgresql"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Gives the project of these exports, always on the same ledger."""
    extra = {} if request.param == "sqlite" else {"EXPORT_LEDGER_URL": request.getfixturevalue("postgres_url")}

    def _make(**exports: Any) -> Project:
        return Project.load(write_project(tmp_path, exports, environ=environment(tmp_path, **extra)))

    return _make


@pytest.fixture
def made(make: Make) -> Project:
    """An export with 200 daily ticks that are noted."""
    found = make(a=DAILY)
    note_ticks(found, START)
    note_ticks(found, NOW)
    return found


def put(made: Project, rows: list[DueRow], **values: Any) -> None:
    with made.ledger.write() as connection:
        connection.execute(update(table).where(table.c.id.in_([row.id for row in rows])).values(values))


def kept(made: Project) -> set[str]:
    return {row.partition for row in due.find(made.ledger, *STATES)}


def gone(made: Project) -> list[str]:
    """The partitions of which the vacuum deletes the rows; a dry run announces how many."""
    before = kept(made)
    announced = vacuum(made.ledger, NOW, days=100, dry_run=True).ticks
    assert kept(made) == before
    assert vacuum(made.ledger, NOW, days=100).ticks == announced == len(before - kept(made))
    assert vacuum(made.ledger, NOW, days=100).ticks == 0
    return sorted(before - kept(made))


def test_what_was_published_or_skipped_long_ago_goes_and_nothing_else(made: Project) -> None:
    rows = due.find(made.ledger, "due")
    put(made, rows[0::4], state="done", attempts=1)
    put(made, rows[1::4], state="skipped", cause="misfire")
    put(made, rows[2::4], state="given_up")
    old = [row.partition for n, row in enumerate(rows) if n % 4 < 2 and row.tick < NOW - 100 * DAY]
    assert gone(made) == old
    assert len(old) > 40


def test_what_is_forgotten_is_never_asked_for_again(make: Make, made: Project) -> None:
    put(made, due.find(made.ledger, "due"), state="skipped", cause="misfire")
    assert len(gone(made)) == 100
    note_ticks(made, NOW + DAY)
    assert len(due.find(made.ledger, "due")) == 1, "that of the next day"
    changed = make(a={"schedule": {"cron": "0 3 * * *"}})
    note_ticks(changed, NOW + 2 * DAY)
    note_ticks(changed, NOW + 3 * DAY)
    assert min(row.tick for row in due.find(changed.ledger, "due")) > NOW
    note_ticks(make(b=DAILY), NOW + 4 * DAY)
    assert len(gone(changed)) == 0
    note_ticks(make(a=DAILY), NOW + 5 * DAY)
    note_ticks(make(a=DAILY), NOW + 6 * DAY)
    assert min(row.tick for row in due.find(changed.ledger, *STATES)) >= NOW - 100 * DAY


def test_what_is_not_noted_yet_stays_so_that_it_is_not_asked_for_again(make: Make) -> None:
    """As where the sensor is off, and only schedules work."""
    made = make(a=DAILY)
    note_ticks(made, START)
    asked = [
        Asked(
            export="a",
            partition=f"{START + n * DAY:%Y-%m-%d}",
            schedule="a_schedule",
            tick=(START + (n + 1) * DAY).replace(hour=2),
            cause="overlap",
            reason="another run was at work",
        )
        for n in range(80)
    ]
    with made.ledger.write() as connection:
        due.note(connection, asked, START)
    assert gone(made) == []
    note_ticks(made, NOW)
    assert {row.partition for row in due.find(made.ledger, "skipped")} == {one.partition for one in asked}
    assert len(gone(made)) == 80
    assert watches.everything(made.ledger)[0].seen_until < NOW


def test_the_newest_that_was_requested_stays_for_misfire(made: Project) -> None:
    rows = due.find(made.ledger, "due")
    put(made, rows, state="skipped", cause="misfire")
    put(made, rows[3:9], state="done", attempts=1, cause=None)
    latest = due.last_requested(made.ledger, ["a"])
    assert latest == {"a": rows[8].tick}
    assert rows[8].partition not in gone(made)
    assert due.last_requested(made.ledger, ["a"]) == latest


def test_what_was_requested_again_lately_stays(made: Project) -> None:
    """A yearly partition may be asked for every night; its row tells of the first tick."""
    first, *others = due.find(made.ledger, "due")
    put(made, [first, *others], state="done", attempts=1)
    put(made, [first], requested_at=NOW - DAY)
    assert first.partition not in gone(made)


@pytest.mark.parametrize(
    ("kind", "name", "stays"), [("export", "a", True), ("schedule", "a_schedule", True), ("export", "b", False)]
)
def test_what_a_pause_skipped_stays_until_that_is_over_for_as_long(
    made: Project, kind: pauses.Kind, name: str, stays: bool
) -> None:
    rows = due.find(made.ledger, "due")
    put(made, rows, state="skipped", cause="paused")
    pauses.pause(made.ledger, kind, name, at=START + 10 * DAY, until=NOW - 99 * DAY, by="ann", why="")
    pauses.pause(made.ledger, "export", "c", at=START, until=NOW - 101 * DAY, by="ann", why="over")
    old = [row.partition for row in rows if row.tick < NOW - 100 * DAY]
    assert gone(made) == ([row.partition for row in rows if row.tick < START + 10 * DAY] if stays else old)


def test_partitions_that_another_export_waits_for_stay(made: Project) -> None:
    first, second, *_ = rows = due.find(made.ledger, "due")
    put(made, rows, state="done")
    with made.ledger.write() as connection:
        due.note(connection, [Asked(export="b", partition=first.partition, schedule="s", tick=first.tick)], NOW)
    deleted = gone(made)
    assert first.partition not in deleted
    assert second.partition in deleted


def test_more_rows_than_a_page(made: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    put(made, due.find(made.ledger, "due"), state="done")
    monkeypatch.setattr("export_pipelines.ledger.vacuum._PAGE", 7)
    assert len(gone(made)) == 100
    with made.ledger.read() as connection:
        assert min(connection.execute(select(table.c.tick)).scalars()) >= NOW - 100 * DAY
