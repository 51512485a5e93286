"""How fast an export is written, and when it will be done."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from export_pipelines.ledger import runs
from export_pipelines.ledger.estimates import likely_rows, likely_seconds
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import watches
from export_pipelines.pace import Pace, Seen, pace_of
from export_pipelines.project import Project
from export_pipelines_tests.projects import project


class Clock:
    """A clock that somebody sets."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (Seen(0, 0.0, None), "0 rows"),
        (Seen(1, 2.0, None), "1 row, 2 rows/s"),
        (Seen(12_000, 3000.0, 132_000), "12,000 rows of about 132,000, 3,000 rows/s, about 40 s left"),
        (Seen(1000, 1000.0, 1000), "1,000 rows of about 1,000, 1,000 rows/s, about 1 s left"),
        (Seen(1000, 10.0, 3400), "1,000 rows of about 3,400, 10 rows/s, about 4 min left"),
        (Seen(1000, 1.0, 13_600), "1,000 rows of about 13,600, 1 rows/s, about 3.5 h left"),
    ],
)
def test_it_is_told_in_a_line(seen: Seen, text: str) -> None:
    assert str(seen) == text


def test_the_estimate_is_asked_for_once_and_only_when_rows_are_seen() -> None:
    asked: list[int] = []

    def likely() -> int:
        asked.append(1)
        return 500

    clock = Clock()
    pace = Pace(likely, clock=clock)
    clock.seconds += 60
    pace.restart()
    assert pace.seen(0) == Seen(0, 0.0)
    assert asked == []
    clock.seconds += 10
    assert pace.seen(100) == Seen(100, 10.0, 500)
    assert pace.seen(100).seconds_left == 40
    assert pace.seen(500).seconds_left == 0
    assert asked == [1]


def test_an_estimate_that_was_too_low_is_dropped() -> None:
    clock = Clock()
    pace = Pace(lambda: 500, clock=clock)
    clock.seconds += 1
    assert pace.seen(501) == Seen(501, 501.0)
    assert str(pace.seen(501)) == "501 rows, 501 rows/s"


@pytest.fixture
def made(tmp_path: Path) -> Project:
    datasets = {"students": {"table": "students"}, "leavers": {"table": "students", "filters": {"status": "left"}}}
    return project(tmp_path, {"students": {"datasets": datasets}})


def run(made: Project, partition: str, **options: object) -> None:
    made.run(made.request("students", partition, run_id=str(uuid.uuid4()), **options))  # type: ignore[arg-type]


def test_the_newest_complete_artifact_is_the_estimate(made: Project) -> None:
    assert likely_rows(made.ledger, "students", combined=False) is None
    run(made, "2026-01-05")
    run(made, "2026-01-06", row_limit=1)
    assert likely_rows(made.ledger, "students", combined=False) == 5
    assert likely_rows(made.ledger, "students", combined=True) is None
    assert likely_rows(made.ledger, "other", combined=False) is None
    for limit, expected in ((None, 5), (1, 2), (1000, 5)):
        request = made.request("students", "2026-01-07", run_id="r", row_limit=limit)
        assert pace_of(request, made.ledger).seen(1).expected == expected


def test_a_ledger_that_is_away_gives_no_estimate(made: Project) -> None:
    request = made.request("students", "2026-01-07", run_id="r")
    away = Ledger("postgresql://nobody@127.0.0.1:1/none")
    assert pace_of(request, away).seen(1).expected is None


def test_the_latest_partition_tells_how_long_an_export_takes(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}, "fresh": {}})
    assert likely_seconds(made.ledger) == {}
    now = datetime(2026, 1, 10, tzinfo=UTC)
    with made.ledger.write() as connection:
        for name in ("students", "fresh"):
            connection.execute(watches.insert().values(export=name, timing="{}", since=now, seen_until=now))
    for partition, seconds, state in (
        ("2026-01-07", 9, "published"),
        ("2026-01-06", 5, "published"),
        ("2026-01-08", 1, "failed"),
    ):
        number = runs.start(made.ledger, run_id="r", export="students", partition=partition, now=now)
        runs.finish(made.ledger, number, state, finished_at=now + timedelta(seconds=seconds))  # type: ignore[arg-type]
    assert likely_seconds(made.ledger) == {"students": 9.0}
