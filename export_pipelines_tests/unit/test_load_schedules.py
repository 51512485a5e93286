"""Schedules in spec files: how close ticks may be, what surrounds them, and what loading costs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from export_pipelines.errors import ConfigurationError
from export_pipelines.spec.intervals import too_close
from export_pipelines.spec.schedules import ScheduleSpec
from export_pipelines.spec.surroundings import MOST_PARTITIONS
from export_pipelines_tests.unit.loading import export, lines, load, load_text


@pytest.mark.parametrize(
    ("keys", "minutes", "close"),
    [
        ({"cron": "0 2 * * *"}, 60, None),
        ({"cron": "5 * * * *"}, 60, None),
        ({"cron": "5 * * * *"}, 61, "01-01 00:05 and 01-01 01:05"),
        ({"cron": "30 1-4 * * *", "timezone": "Europe/Berlin"}, 60, None),  # clocks bring 02:30 and 03:30 together
        ({"cron": ["50 23 * * 5", "10 0 * * 0"]}, 60, None),
        ({"cron": ["50 23 * * 5", "10 0 * * 6"]}, 60, "01-02 23:50 and 01-03 00:10"),
        ({"cron": ["0 2 1 1 *", "30 2 29 2 *"]}, 60, None),
        ({"cron": ["0 2 1 1 *", "30 2 1 */6 *"]}, 60, "01-01 02:00 and 01-01 02:30"),
        ({"every": "day", "time": ["23:45", "00:15"]}, 60, "01-01 23:45 and 01-02 00:15"),
        ({"every": "week", "weekday": ["mon", "thu"], "time": ["23:45", "00:15"]}, 60, None),
        ({"every": "week", "weekday": ["mon", "tue"], "time": ["23:45", "00:15"]}, 60, "01-05 23:45 and 01-06 00:15"),
        ({"every": "month", "working_day": "last", "time": ["08:00", "08:30"]}, 60, "01-30 08:00 and 01-30 08:30"),
        ({"every": "hour"}, 60, None),
        ({"at": ["2027-06-30 18:00", "2027-06-30 18:59"]}, 60, "06-30 18:00 and 06-30 18:59"),
        ({"at": ["2027-06-30 18:00", "2027-07-30 18:00"]}, 60, None),
        ({"cron": "0 2 * * *"}, 24 * 60 + 1, "01-01 02:00 and 01-02 02:00"),
    ],
)
def test_how_close_ticks_are(keys: dict[str, object], minutes: float, close: str | None) -> None:
    pair = too_close(ScheduleSpec.model_validate(keys), minutes)
    assert (f"{pair[0]:%m-%d %H:%M} and {pair[1]:%m-%d %H:%M}" if pair else None) == close


def test_the_least_interval_is_a_setting(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(export("schedule: {cron: '*/15 * * * *'}"))
    assert "15 minutes apart; leave 60 between any two" in lines(load(tmp_path))[0]
    assert lines(load(tmp_path, EXPORT_MIN_INTERVAL_MINUTES="15")) == []
    assert "leave 15.5 between" in lines(load(tmp_path, EXPORT_MIN_INTERVAL_MINUTES="15.5"))[0]
    with pytest.raises(ConfigurationError, match="EXPORT_MIN_INTERVAL_MINUTES is 'often'"):
        load(tmp_path, EXPORT_MIN_INTERVAL_MINUTES="often")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            "partition: minutely, start: 2020-01-01",
            "minutely partitions by now, and Dagster allows 100,000; set `start`",
        ),
        ("partition: hourly, start: 2000-01-01", "hourly partitions by now"),
        ("partition: hourly, start: 2020-01-01", None),
        ("partition: daily, start: 1900-01-01", None),
        ("partition: minutely, start: 2999-01-01", None),
    ],
)
def test_more_partitions_than_dagster_allows(tmp_path: Path, entry: str, message: str | None) -> None:
    found = lines(load_text(tmp_path, export(entry)))
    assert [line for line in found if message and message in line] == found
    assert bool(found) == bool(message)


def test_the_proposed_start_is_accepted(tmp_path: Path) -> None:
    (line,) = lines(load_text(tmp_path, export("partition: minutely, start: 2020-01-01")))
    proposed = line.partition("set `start` to ")[2][:10]
    assert lines(load_text(tmp_path, export(f"partition: minutely, start: {proposed}"))) == []
    assert MOST_PARTITIONS == 100_000


def test_a_broken_calendar_hides_no_mistake_of_the_schedule(tmp_path: Path) -> None:
    text = "calendars: {c: {country: ZZ}}\nschedules: {s: {at: '2026-12-25 18:00', calendar: c}}\n"
    assert [line.partition(":")[0] for line in lines(load_text(tmp_path, text))] == ["0.yaml"]


@pytest.mark.parametrize("kind", ["cron: '{m} {h} * * {d}'", "every: week, weekday: mon, time: '{h:02}:{m:02}'"])
def test_a_thousand_schedules_cost_little(tmp_path: Path, kind: str) -> None:
    """Their ticks are looked at only where the text does not prove that they are far enough from one another."""
    text = "schedules:\n"
    for n in range(1000):
        text += f"  s{n}: {{{kind.format(m=n % 60, h=n % 24, d=n % 7)}, timezone: Europe/Berlin}}\n"
    load_text(tmp_path, text)
    before = time.process_time()
    assert len(load(tmp_path).schedules) == 1000
    assert time.process_time() - before < 1
