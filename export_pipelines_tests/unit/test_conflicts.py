"""What `exports schedules --conflicts` finds, and what it leaves alone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from export_pipelines.timing.conflicts import conflicts
from export_pipelines.timing.findings import Conflict
from export_pipelines.timing.ticks import timings
from export_pipelines_tests.projects import project

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CALENDARS = {"office": {"country": "DE"}, "never": {"weekend": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}}


def found(
    root: Path, schedules: dict[str, Any], exports: dict[str, Any] | None = None, *, crowd: int = 20
) -> list[Conflict]:
    given = exports or {f"e_{name}": {"schedule": name} for name in schedules}
    specs = project(root, given, schedules=schedules, calendars=CALENDARS).specs
    return list(conflicts(list(timings(specs.exports.values())), specs.schedules, NOW, crowd=crowd))


def told(entries: list[Conflict]) -> list[tuple[str, str]]:
    return [(entry.kind, entry.message) for entry in entries]


def test_ordinary_schedules_have_none(tmp_path: Path) -> None:
    schedules = {
        "nightly": {"cron": "0 4 * * *", "timezone": "Europe/Berlin"},
        "workdays": {"every": "working day", "time": "07:00", "calendar": "office"},
        "month": {"every": "month", "day": 31, "time": "05:00", "calendar": "office", "on_holiday": "next"},
        "utc": {"cron": "30 2 * * *"},
        "hours": {"every": "hour", "timezone": "Europe/Berlin"},
    }
    exports = {f"e_{name}": {"schedule": name} for name in schedules} | {
        "e_hours": {"schedule": "hours", "partition": "hourly"}
    }
    assert told(found(tmp_path, schedules, exports)) == []


def test_two_crons_that_meet(tmp_path: Path) -> None:
    (entry,) = found(tmp_path, {"s": {"cron": ["0 4 * * *", "0 4 1 * *", "0 6 * * mon"]}})[:1]
    assert (entry.kind, entry.at) == ("twice", datetime(2026, 12, 1, 4, tzinfo=UTC))
    assert entry.message == (
        "s: `0 4 * * *` and `0 4 1 * *` both tick at 2026-12-01 04:00 UTC, and 11 more times within a year"
    )


def test_a_partition_that_is_asked_for_again(tmp_path: Path) -> None:
    (entry,) = found(tmp_path, {"s": {"every": "day", "time": ["04:00", "16:00"]}})
    assert entry.kind == "repeated"
    assert entry.message == "s: 2 ticks ask for the same daily partition, for example 2026-11-22"
    assert entry.exports == ["e_s"]


def test_waiting_for_what_ticks_too_late(tmp_path: Path) -> None:
    zone = {"timezone": "Europe/Berlin"}
    schedules = {"early": {"cron": "0 4 * * *", **zone}, "late": {"cron": "0 8 * * 1-5", **zone}}
    exports = {
        "orders": {"schedule": "late"},
        "in_time": {"schedule": "early", "after": {"exports": ["orders"], "deadline_minutes": 241}},
        "in_vain": {"schedule": "early", "after": ["orders"]},
        "later": {"schedule": "late", "after": ["in_time"]},
    }
    (entry,) = found(tmp_path, schedules, exports)
    assert (entry.kind, entry.exports, entry.schedules) == ("after", ["in_vain", "orders"], ["early", "late"])
    assert entry.message == "in_vain: waits from 2026-11-23 04:00 CET for orders, which ticks at 2026-11-23 08:00 CET"
    assert entry.advice == "`deadline_minutes` of its `after` is 240: allow more, or let in_vain tick later"


def test_crowds_are_counted_by_connection_and_spread(tmp_path: Path) -> None:
    schedules = {
        "small": {"cron": "2 4 * * *"},
        "large": {"cron": "0 4 * * *"},
        "apart": {"cron": "6 4 * * *"},
        "elsewhere": {"cron": "0 3 * * *", "timezone": "Etc/GMT+1"},  # 04:00 UTC too
    }
    exports = {f"l{n}": {"schedule": "large"} for n in range(5)}
    exports |= {f"s{n}": {"schedule": "small"} for n in range(2)}
    exports |= {f"a{n}": {"schedule": "apart"} for n in range(5)}
    assert [e.kind for e in found(tmp_path, schedules, exports, crowd=7)] == ["unused"]
    crowd, *_ = found(tmp_path, schedules, exports, crowd=6)
    assert crowd.kind == "crowd"
    assert crowd.schedules == ("large", "small")
    assert crowd.message == (
        "connection school: 7 exports of large, small are due within 5 minutes from 2026-11-23 04:00 UTC; "
        "6 may be (EXPORT_CROWD)"
    )
    assert crowd.advice == (
        "Spread the minutes: `large` stays; 1 of the exports of `small` stay; "
        '1 of the exports of `small` to 04:10 (`cron: "10 4 * * *"`)'
    )
    assert crowd.exports == ["l0", "l1", "l2", "l3", "l4", "s0", "s1"]


def test_one_schedule_may_be_a_crowd_in_itself(tmp_path: Path) -> None:
    exports = {f"e{n:02}": {"schedule": "s"} for n in range(45)}
    (entry,) = found(tmp_path, {"s": {"every": "day", "time": "23:45"}}, exports)
    assert entry.advice == (
        "Spread the minutes: 20 of the exports of `s` stay; 20 of the exports of `s` to 23:55; "
        "5 of the exports of `s` to 00:05"
    )


def test_days_off_make_no_crowd(tmp_path: Path) -> None:
    exports = {"a": {"schedule": "s"}, "b": {"schedule": "t"}}
    schedules = {"s": {"cron": "0 4 * * *", "calendar": "office"}, "t": {"cron": "0 4 * * 0,6"}}
    assert told(found(tmp_path, schedules, exports, crowd=1)) == []


def test_rare_times(tmp_path: Path) -> None:
    schedules = {
        "leap": {"cron": "0 4 29 2 *"},
        "long": {"cron": "0 4 31 * *"},
        "thirty": {"cron": "0 4 30 1-3 *"},
        "fine": {"cron": ["0 4 L * *", "0 5 31 1 *", "0 6 31 * mon"]},
    }
    entries = [entry for entry in found(tmp_path, schedules) if entry.kind == "rare"]
    assert [entry.message for entry in entries] == [
        "leap: `0 4 29 2 *` ticks in leap years only",
        "long: `0 4 31 * *` does not tick in February, April, June, September and November, too short for day 31",
        "thirty: `0 4 30 1-3 *` does not tick in February, too short for day 30",
    ]


def test_schedules_that_tick_no_more(tmp_path: Path) -> None:
    schedules = {
        "ended": {"cron": "0 4 * * *", "end": "2026-11-21"},
        "past": {"at": "2026-11-20 04:00"},
        "off": {"cron": "0 4 * * *", "calendar": "never"},
        "sundays": {"cron": "0 4 * * 0", "calendar": "office"},
        "idle": {"every": "working day", "time": "04:00", "calendar": "never"},
    }
    entries = {entry.schedules[0]: entry.message for entry in found(tmp_path, schedules) if entry.kind == "never"}
    assert entries["ended"] == "ended: ended on 2026-11-21"
    assert entries["past"] == "past: lies in the past"
    assert entries["off"].startswith("off: the next 400 ticks are all skipped: 2026-11-23 is no working day: Monday")
    assert entries["sundays"].startswith("sundays: the next 400 ticks are all skipped: 2026-11-29 is no working day")
    assert entries["idle"] == "idle: never ticks"


def test_times_that_clocks_skip_and_repeat(tmp_path: Path) -> None:
    schedules = {
        "berlin": {"cron": "30 2 * * *", "timezone": "Europe/Berlin"},
        "chicago": {"every": "day", "time": "01:30", "timezone": "America/Chicago"},
        "havana": {"every": "day", "time": "00:15", "timezone": "America/Havana"},
        "kolkata": {"cron": "30 2 * * *", "timezone": "Asia/Kolkata"},
    }
    entries = {entry.schedules[0]: entry for entry in found(tmp_path, schedules) if entry.kind == "clock"}
    assert set(entries) == {"berlin", "chicago", "havana"}
    assert entries["berlin"].message == (
        "berlin: 02:30 in Europe/Berlin is skipped by the clocks on 2027-03-28, when it ticks at 03:00; "
        "repeated on 2027-10-31, when it ticks the second time"
    )
    assert entries["berlin"].advice.endswith("tick before 02:00 or from 03:00 on")
    assert "not on 2027-03-14; repeated on 2027-11-07" in entries["chicago"].message
    assert "skipped by the clocks on 2027-03-14, when it ticks at 01:00" in entries["havana"].message


def test_schedules_without_exports(tmp_path: Path) -> None:
    schedules = {"used": {"cron": "0 4 * * *"}, "spare": {"cron": "0 5 * * *"}}
    assert told(found(tmp_path, schedules, {"e": {"schedule": "used"}})) == [("unused", "spare: no export uses it")]
