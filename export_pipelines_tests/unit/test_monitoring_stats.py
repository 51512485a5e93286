"""Statistics against runs that are counted by hand, and against the manifests in the store."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text, update

from export_pipelines.errors import QueryError
from export_pipelines.ledger import runs, tables
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.monitoring.stats import DayStats, ExportStats, by_day, run_stats, slowest, total_stats
from export_pipelines_tests.projects import project, published_files

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SHA = "0" * 64


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    if request.param == "sqlite":
        return Ledger(f"sqlite:///{tmp_path}/ledger.db")
    return Ledger(request.getfixturevalue("postgres_url"))


def ran(
    ledger: Ledger, at: datetime, state: runs.State = "published", *, export: str = "a", seconds: float = 10, **more
) -> None:
    """One attempt in the ledger, and its artifact of 100 rows and 1,000 bytes if it published."""
    names = {"run_id": uuid.uuid4().hex, "partition": f"{at:%Y-%m-%d}"} | more
    number = runs.start(ledger, export=export, now=at, **names)
    if state == "running":
        return
    published = {"artifact_id": uuid.uuid4().hex, "rows": 100, "bytes": 1_000} if state == "published" else {}
    runs.finish(ledger, number, state, finished_at=at + timedelta(seconds=seconds), **published)
    if published:
        values = {"window_start": at, "window_end": at, "created_at": at, "store": "local", "manifest_path": "m"}
        where = {**names, "export": export, "spec_sha256": SHA, "seconds": seconds, "manifest": "{}"}
        with ledger.write() as connection:
            connection.execute(tables.artifacts.insert().values({**published, **where, **values}))


def test_runs_are_counted_by_how_they_ended(ledger: Ledger) -> None:
    for state in ("published", "published", "published", "skipped", "failed", "died", "running"):
        ran(ledger, NOON, state)
    (stats,) = run_stats(ledger, since=NOON - DAY)
    assert (stats.runs, stats.succeeded, stats.failed, stats.running) == (7, 4, 2, 1)
    assert stats.success_rate == pytest.approx(4 / 6)
    assert (stats.artifacts, stats.partitions, stats.rows, stats.bytes) == (3, 1, 300, 3_000)
    assert stats.seconds == pytest.approx(30)
    assert stats.rows_per_second == pytest.approx(10)
    assert (stats.oldest, stats.newest) == (NOON, NOON)


def test_attempts_that_repeat_each_other_are_one_run_that_ended_as_the_last_one(ledger: Ledger) -> None:
    for minute, state in enumerate(("failed", "failed", "published")):
        ran(ledger, NOON + timedelta(minutes=minute), state, run_id="retried", partition="p")
    ran(ledger, NOON, "failed", run_id="retried", partition="q")
    ran(ledger, NOON, "failed", run_id="retried", partition="p", export="b")
    a, b = run_stats(ledger, since=None)
    assert (a.export, a.runs, a.succeeded, a.failed) == ("a", 2, 1, 1)
    assert (b.export, b.runs, b.succeeded, b.failed) == ("b", 1, 0, 1)


def test_a_run_counts_in_the_one_span_in_which_its_last_attempt_started(ledger: Ledger) -> None:
    ran(ledger, NOON - timedelta(minutes=1), "failed", run_id="retried", partition="p")
    ran(ledger, NOON, "published", run_id="retried", partition="p")
    assert run_stats(ledger, since=NOON - DAY, until=NOON) == []
    (after,) = run_stats(ledger, since=NOON, until=NOON + DAY)
    assert (after.runs, after.succeeded) == (1, 1)
    assert run_stats(ledger, since=NOON - DAY, until=NOON + timedelta(microseconds=1)) != []


def test_averages_are_of_what_was_published_and_trends_compare_with_the_span_before(ledger: Ledger) -> None:
    for at, state, seconds in (
        (NOON - DAY, "published", 10),
        (NOON - DAY, "published", 30),
        (NOON - DAY, "failed", 500),
        (NOON - DAY, "failed", 500),
        (NOON, "published", 12),
        (NOON, "published", 33),
        (NOON, "published", 21),
        (NOON, "failed", 900),
        (NOON - 2 * DAY, "published", 7_777),  # before both spans
    ):
        ran(ledger, at, state, seconds=seconds)
    (stats,) = run_stats(ledger, since=NOON - DAY / 2, until=NOON + DAY / 2)
    assert stats.average_seconds == pytest.approx(22)
    assert stats.slowest_seconds == pytest.approx(33)
    assert stats.trend == pytest.approx(10)
    assert stats.success_trend == pytest.approx(25)
    (whole,) = run_stats(ledger, since=None)
    assert (whole.trend, whole.success_trend) == (None, None)
    (first,) = run_stats(ledger, since=NOON - 3 * DAY, until=NOON - DAY / 2)
    assert (first.trend, first.success_trend) == (None, None)


def test_without_an_end_the_span_before_is_as_long_as_the_one_to_now(ledger: Ledger) -> None:
    now = datetime.now(UTC)
    ran(ledger, now - timedelta(hours=30), seconds=10)
    ran(ledger, now - timedelta(hours=1), seconds=15)
    (stats,) = run_stats(ledger, since=now - DAY)
    assert stats.trend == pytest.approx(50)


def test_all_exports_together_and_one_alone(ledger: Ledger) -> None:
    ran(ledger, NOON)
    ran(ledger, NOON, seconds=50)
    ran(ledger, NOON + DAY, export="b", seconds=30)
    ran(ledger, NOON, "failed", export="c")
    total = total_stats(ledger, since=None)
    assert (total.export, total.runs, total.succeeded, total.failed, total.partitions) == ("", 4, 3, 1, 2)
    assert (total.rows, total.bytes, total.seconds, total.average_seconds) == (300, 3_000, 90, 30)
    assert (total.oldest, total.newest) == (NOON, NOON + DAY)
    assert [stats.export for stats in run_stats(ledger, since=None)] == ["a", "b", "c"]
    (b,) = run_stats(ledger, since=None, export="b")
    assert total_stats(ledger, since=None, export="b") == ExportStats(**{**vars(b), "export": ""})
    assert total_stats(ledger, since=NOON + 9 * DAY).success_rate is None


def test_days_are_those_of_the_timezone_and_none_is_missing(ledger: Ledger) -> None:
    berlin = ZoneInfo("Europe/Berlin")  # its clocks go forward in the night to March 29
    for at, state in (
        (datetime(2026, 3, 28, 0, 0, tzinfo=berlin), "published"),
        (datetime(2026, 3, 28, 23, 59, 59, 999_900, tzinfo=berlin), "failed"),
        (datetime(2026, 3, 29, 0, 0, tzinfo=berlin), "published"),
        (datetime(2026, 3, 29, 23, 59, 59, 999_900, tzinfo=berlin), "published"),
        (datetime(2026, 3, 31, 0, 0, tzinfo=berlin), "skipped"),
    ):
        ran(ledger, at, state)
    span = {"since": datetime(2026, 3, 28, tzinfo=berlin), "until": datetime(2026, 4, 1, tzinfo=berlin)}
    assert by_day(ledger, timezone="Europe/Berlin", **span) == [
        DayStats(date(2026, 3, 28), 1, 1, 100, 1_000, pytest.approx(10)),
        DayStats(date(2026, 3, 29), 2, 0, 200, 2_000, pytest.approx(20)),
        DayStats(date(2026, 3, 30)),
        DayStats(date(2026, 3, 31), succeeded=1),
    ]
    utc = by_day(ledger, **span)
    assert [(day.day.day, day.succeeded, day.failed) for day in utc] == [
        (27, 1, 0),
        (28, 1, 1),
        (29, 1, 0),
        (30, 1, 0),
        (31, 0, 0),
    ]
    assert sum(day.rows for day in by_day(ledger, timezone="Asia/Kathmandu", **span)) == 300
    assert [day.succeeded for day in by_day(ledger, exports=["nobody"], **span)] == [0] * 5


def test_the_slowest_are_those_that_published(ledger: Ledger) -> None:
    for seconds in (5, 700, 60):
        ran(ledger, NOON, seconds=seconds)
    ran(ledger, NOON, "failed", seconds=9_000)
    ran(ledger, NOON - DAY, seconds=8_000)
    ran(ledger, NOON, export="b", seconds=6_000)
    found = slowest(ledger, since=NOON, limit=2, export="a")
    assert [row.seconds for row in found] == [700, 60]
    assert [row.seconds for row in slowest(ledger, since=None, limit=1)] == [8_000]


def test_rows_and_bytes_equal_a_recount_of_the_manifests(tmp_path: Path) -> None:
    broken = {"datasets": {"b": {"sql": "select * from no_such_table"}}}
    both = {"datasets": {"s": {"table": "students"}, "g": {"table": "grades"}}, "formats": ["csv", "xlsx", "json"]}
    made = project(tmp_path, {"students": {}, "both": both, "flat": {"layout": "flat"}, "broken": broken})
    for name, partition in (("students", 5), ("students", 6), ("both", 5), ("flat", 5), ("students", 5)):
        made.run(made.request(name, f"2026-01-{partition:02}", run_id=uuid.uuid4().hex))
    with pytest.raises(QueryError):
        made.run(made.request("broken", "2026-01-05", run_id="r"))
    with made.ledger.write() as connection:  # one of them long ago
        old = connection.execute(tables.artifacts.select().where(tables.artifacts.c.export == "flat")).one()
        ago = {"created_at": old.created_at - timedelta(days=400)}
        connection.execute(update(tables.artifacts).where(tables.artifacts.c.export == "flat").values(ago))
    rows, size = Counter[str](), Counter[str]()
    for path, data in published_files(tmp_path).items():
        if path.endswith("metadata.json") and not path.startswith("flat"):
            manifest = json.loads(data)
            rows[manifest["export"]] += sum(manifest["rows"].values())
            size[manifest["export"]] += sum(file["bytes"] for file in manifest["files"])
    since = datetime.now(UTC) - DAY
    stats = {entry.export: entry for entry in run_stats(made.ledger, since=since)}
    assert (
        {name: entry.rows for name, entry in stats.items() if entry.rows} == dict(rows) == {"students": 12, "both": 6}
    )
    assert {name: entry.bytes for name, entry in stats.items() if entry.bytes} == dict(size)
    total = total_stats(made.ledger, since=since)
    assert (total.rows, total.bytes) == (rows.total(), size.total())
    days = by_day(made.ledger, since=since, until=datetime.now(UTC) + DAY)
    assert (sum(day.rows for day in days), sum(day.bytes for day in days)) == (rows.total(), size.total())


MANY = """
insert into {table} ({key}, {dated}, artifact_id, rows, bytes, run_id, export, partition, {more})
with recursive n (i) as (select 0 union all select i + 1 from n where i < 99999),
     at (i, began) as (select i, julianday(:now) - 90.0 * (1 - i / 100000.0) from n)
select {key_value}, strftime('%Y-%m-%d %H:%M:%f000', began), i, 10, 100, i / 50, 'export_' || (i % 200), i / 200, {values}
from at
"""
RUNS = {
    "table": "export_runs",
    "key": "id",
    "key_value": "i",
    "dated": "started_at",
    "more": "state, finished_at",
    "values": "'published', strftime('%Y-%m-%d %H:%M:%f000', began + (i % 60) / 86400.0)",
}
ARTIFACTS = {
    "table": "export_artifacts",
    "key": "spec_sha256",
    "key_value": "''",
    "dated": "created_at",
    "more": "store, manifest_path, manifest, seconds, window_start, window_end",
    "values": "'', '', printf('%.2000c', 'x'), 1, '', ''",
}


def test_a_hundred_thousand_attempts_are_summed_up_in_two_seconds(tmp_path: Path) -> None:
    ledger, now = Ledger(f"sqlite:///{tmp_path}/ledger.db"), datetime.now(UTC)
    with ledger.write() as connection:
        for names in (RUNS, ARTIFACTS):
            connection.execute(text(MANY.format(**names)), {"now": f"{now:%Y-%m-%d %H:%M:%S}"})
    since = now - timedelta(days=91)
    for look in (
        lambda: sum(stats.runs for stats in run_stats(ledger, since=since)),
        lambda: total_stats(ledger, since=None).runs,
        lambda: sum(day.succeeded for day in by_day(ledger, since=since, until=now + DAY)),
    ):
        began = time.process_time()
        assert look() == 100_000
        assert time.process_time() - began < 2
