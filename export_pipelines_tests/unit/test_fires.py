"""Every kind of timing, and what holidays and changes of the clocks make of its ticks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice, takewhile
from typing import Any

import pytest
from dagster._utils.schedules import schedule_execution_time_iterator
from hypothesis import given
from hypothesis import strategies as st

from export_pipelines.spec.schedules import CalendarSpec, ScheduleSpec
from export_pipelines.spec.workdays import Calendar
from export_pipelines.timing.fires import Fire, fire_at, fires, fires_before, why_not
from export_pipelines.timing.recurrence import crons

BERLIN = Calendar(CalendarSpec(country="DE", subdivision="BE", extra_holidays=frozenset({date(2026, 12, 24)})))
NEVER = Calendar(CalendarSpec(weekend=frozenset({"mon", "tue", "wed", "thu", "fri", "sat", "sun"})))
CHRISTMAS = datetime(2026, 12, 22, 12, tzinfo=UTC)  # Thursday 24 to Sunday 27 December are days off


def spec(**keys: Any) -> ScheduleSpec:
    calendar = {"calendar": "berlin"} if "on_holiday" in keys else {}
    return ScheduleSpec.model_validate({"timezone": "Europe/Berlin", **calendar, **keys})


def told(found: list[Fire]) -> list[str]:
    """`12-24 07:00`, with the reason if it is skipped, and the nominal day if it was moved."""
    return [
        f"{fire.instant:%m-%d %H:%M}"
        + (f" from {fire.nominal:%m-%d}" if fire.moved else "")
        + (" skipped" if fire.skipped else "")
        for fire in found
    ]


def first(number: int, after: datetime = CHRISTMAS, *, partition: str = "", **keys: Any) -> list[str]:
    calendar = BERLIN if "on_holiday" in keys or keys.get("calendar") else None
    return told(list(islice(fires(spec(**keys), calendar, after, partition=partition), number)))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"cron": ["0 7 * * *", "0 7 24 * *", "0 9 * * wed"]}, ["12-23 07:00", "12-23 09:00", "12-24 07:00"]),
        ({"every": "hour", "minute": 5}, ["12-22 13:05", "12-22 14:05", "12-22 15:05"]),
        ({"every": "day", "time": ["18:00", "6:00"]}, ["12-22 18:00", "12-23 06:00", "12-23 18:00"]),
        ({"every": "week", "weekday": ["mon", "wed"], "time": "7:00"}, ["12-23 07:00", "12-28 07:00", "12-30 07:00"]),
        ({"every": "month", "day": 31, "time": "7:00"}, ["12-31 07:00", "01-31 07:00", "02-28 07:00", "03-31 07:00"]),
        ({"every": "month", "day": "last", "time": "7:00"}, ["12-31 07:00", "01-31 07:00", "02-28 07:00"]),
        ({"every": "quarter", "day": 31, "time": "7:00"}, ["01-31 07:00", "04-30 07:00", "07-31 07:00"]),
        ({"every": "quarter", "day": "last", "time": "7:00"}, ["12-31 07:00", "03-31 07:00", "06-30 07:00"]),
        ({"every": "working day", "time": "7:00"}, ["12-23 07:00", "12-24 07:00", "12-25 07:00", "12-28 07:00"]),
        (
            {"every": "working day", "time": "7:00", "calendar": "berlin"},
            ["12-23 07:00", "12-24 07:00 skipped", "12-25 07:00 skipped", "12-28 07:00"],
        ),
        (
            {"every": "month", "working_day": "last", "time": "7:00", "calendar": "berlin"},
            ["12-31 07:00", "01-29 07:00", "02-26 07:00", "03-31 07:00"],
        ),
        ({"every": "month", "working_day": 1, "time": "7:00", "calendar": "berlin"}, ["01-04 07:00", "02-01 07:00"]),
        ({"every": "month", "working_day": -2, "time": "7:00"}, ["12-30 07:00", "01-28 07:00"]),
        ({"every": "month", "working_day": 23, "time": "7:00"}, ["12-31 07:00", "01-29 07:00"]),
        ({"every": "quarter", "working_day": 2, "time": "7:00", "calendar": "berlin"}, ["01-05 07:00", "04-02 07:00"]),
        ({"at": ["2026-12-31 18:00", "2026-12-24 9:00".replace(" 9", " 09")]}, ["12-24 09:00", "12-31 18:00"]),
    ],
    ids=lambda value: " ".join(f"{v}" for v in value.values()) if isinstance(value, dict) else "",
)
def test_every_kind(keys: dict[str, Any], expected: list[str]) -> None:
    found = first(len(expected) if "at" not in keys else 9, **keys)
    assert found == expected


@pytest.mark.parametrize(
    ("on_holiday", "partition", "expected"),
    [
        ("skip", "", ["12-23 07:00", "12-24 07:00 skipped", "12-25 07:00 skipped", "12-26 07:00 skipped"]),
        ("run", "", ["12-23 07:00", "12-24 07:00", "12-25 07:00", "12-26 07:00"]),
        (
            "next",
            "",
            ["12-23 07:00", *(f"12-{day} 07:00 skipped" for day in range(24, 28)), "12-28 07:00", "12-29 07:00"],
        ),
        ("previous", "monthly", ["12-23 07:00", "12-28 07:00", "12-29 07:00"]),
        (
            "previous",
            "daily",
            ["12-23 07:00", *(f"12-{day} 07:00 skipped" for day in range(24, 28)), "12-28 07:00", "12-29 07:00"],
        ),
    ],
)
def test_holidays_move_daily_ticks(on_holiday: str, partition: str, expected: list[str]) -> None:
    """Ticks that fall together are one; those that another one stands for are told with the reason."""
    found = first(len(expected), every="day", time="07:00", on_holiday=on_holiday, partition=partition)
    assert found == expected


def test_the_reason_names_the_tick_that_stands_for_another() -> None:
    friday = next(f for f in fires(spec(cron="0 7 * * *", on_holiday="next"), BERLIN, CHRISTMAS) if f.skipped)
    assert friday.skipped == (
        "2026-12-24 is no working day: a day off of this calendar; the tick of 2026-12-28 stands for it"
    )


@pytest.mark.parametrize(
    ("day", "on_holiday", "partition", "expected"),
    [
        (1, "next", "monthly", ["01-04 07:00 from 01-01", "02-01 07:00", "03-01 07:00"]),
        (1, "previous", "monthly", ["01-04 07:00 from 01-01", "02-01 07:00", "03-01 07:00"]),
        (1, "previous", "quarterly", ["01-04 07:00 from 01-01", "02-01 07:00", "03-01 07:00"]),
        (1, "previous", "yearly", ["01-04 07:00 from 01-01", "02-01 07:00", "03-01 07:00"]),
        (1, "previous", "weekly", ["12-31 07:00 from 01-01", "02-01 07:00", "03-01 07:00"]),
        ("last", "previous", "monthly", ["12-31 07:00", "01-29 07:00 from 01-31", "02-26 07:00 from 02-28"]),
        ("last", "next", "monthly", ["12-31 07:00", "02-01 07:00 from 01-31", "03-01 07:00 from 02-28"]),
    ],
)
def test_holidays_move_monthly_ticks(day: Any, on_holiday: str, partition: str, expected: list[str]) -> None:
    found = first(3, every="month", day=day, time="07:00", on_holiday=on_holiday, partition=partition)
    assert found == expected


def test_dates_are_moved_too_and_start_and_end_are_about_where_they_were_meant() -> None:
    keys = {"at": ["2026-12-23 18:00", "2026-12-27 18:00"], "end": "2026-12-27", "on_holiday": "next"}
    assert first(5, **keys) == ["12-23 18:00", "12-28 18:00 from 12-27"]
    assert first(5, cron="0 7 * * *", start="2026-12-28", end="2026-12-29") == ["12-28 07:00", "12-29 07:00"]


def test_where_nobody_ever_works_ticks_are_skipped_and_the_search_ends() -> None:
    for on_holiday in ("skip", "next", "previous"):
        (found,) = islice(fires(spec(cron="0 7 * * *", on_holiday=on_holiday), NEVER, CHRISTMAS), 1)
        assert found.skipped.startswith("2026-12-23 is no working day: Wednesday")
    assert list(fires(spec(every="working day", time="07:00"), NEVER, CHRISTMAS)) == []


@pytest.mark.parametrize(
    ("zone", "keys", "day", "expected"),
    [
        ("Europe/Berlin", {"every": "day", "time": "02:30"}, "2027-03-28", ["03:00+0200"]),
        ("Europe/Berlin", {"every": "day", "time": ["02:30", "03:00"]}, "2027-03-28", ["03:00+0200"]),
        ("Europe/Berlin", {"every": "day", "time": "02:30"}, "2027-10-31", ["02:30+0100"]),
        ("America/Sao_Paulo", {"every": "day", "time": "00:30"}, "2018-11-04", ["01:00-0200"]),
        ("America/Sao_Paulo", {"every": "day", "time": "23:30"}, "2018-02-17", ["23:30-0300"]),
        ("Australia/Lord_Howe", {"every": "day", "time": "02:15"}, "2026-10-04", ["02:30+1100"]),
        ("America/Nuuk", {"every": "day", "time": "23:30"}, "2026-03-29", ["00:00-0100", "23:30-0100"]),
        (
            "Europe/Berlin",
            {"cron": "30 1-3 * * *"},
            "2027-03-28",
            ["01:30+0100", "03:00+0200", "03:30+0200"],
        ),
        (
            "Europe/Berlin",
            {"every": "hour"},
            "2027-10-31",
            ["00:00+0200", "01:00+0200", "02:00+0200", "02:00+0100", "03:00+0100"],
        ),
        ("Europe/Berlin", {"every": "hour"}, "2027-03-28", ["00:00+0100", "01:00+0100", "03:00+0200"]),
        ("Australia/Lord_Howe", {"every": "hour"}, "2026-10-04", ["00:00+1030", "01:00+1030", "03:00+1100"]),
    ],
)
def test_changes_of_the_clocks(zone: str, keys: dict[str, Any], day: str, expected: list[str]) -> None:
    schedule = spec(**{**keys, "timezone": zone})
    midnight = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(days=1)
    found = [fire.instant for fire in islice(fires(schedule, None, midnight), 60)]
    assert [f"{t:%H:%M%z}" for t in found if f"{t:%Y-%m-%d}" == day][: len(expected)] == expected


@pytest.mark.parametrize(
    ("keys", "at", "reason"),
    [
        ({"every": "working day", "time": "07:00", "calendar": "b"}, "2026-12-26", "2026-12-26 is no working day: Sat"),
        ({"cron": "0 7 * * *", "start": "2027-01-01"}, "2026-12-22", "the schedule begins on 2027-01-01"),
        ({"cron": "0 7 * * *", "end": "2026-12-01"}, "2026-12-22", "the schedule ended on 2026-12-01"),
        ({"every": "month", "day": 1, "time": "07:00", "on_holiday": "next"}, "2027-01-01", "its tick is moved"),
        ({"every": "month", "working_day": "last", "time": "07:00"}, "2026-12-22", "on the last working day at 07:00"),
    ],
)
def test_where_no_tick_is_there_is_a_reason(keys: dict[str, Any], at: str, reason: str) -> None:
    tick = datetime.fromisoformat(f"{at}T06:00:00+00:00")
    assert fire_at(spec(**keys), BERLIN, tick) is None
    assert reason in why_not(spec(**keys), BERLIN, tick)


def test_a_tick_is_found_by_its_instant_in_whatever_zone_it_is_given() -> None:
    schedule = spec(every="day", time="02:30")
    for fire in islice(fires(schedule, None, datetime(2027, 3, 26, tzinfo=UTC)), 5):
        assert fire_at(schedule, None, fire.instant) == fire
        assert fire_at(schedule, None, fire.instant.astimezone(UTC)) == fire
    assert fire_at(schedule, None, datetime(2027, 3, 26, 1, 31, tzinfo=UTC)) is None


def test_earlier_ticks_are_the_later_ones_backwards() -> None:
    schedule, before = spec(every="month", day=1, time="07:00", on_holiday="next"), datetime(2027, 6, 1, tzinfo=UTC)
    back = list(islice(fires_before(schedule, BERLIN, before, partition="monthly"), 40))
    forward = fires(schedule, BERLIN, back[-1].instant - timedelta(seconds=1), partition="monthly")
    assert list(islice(forward, 40)) == back[::-1]
    assert list(fires_before(spec(at="2027-12-31 18:00"), None, before)) == []


_TIMES = st.builds(
    lambda h, m: f"{h:02}:{m:02}", st.sampled_from([0, 1, 2, 3, 22, 23]), st.sampled_from([0, 5, 30, 59])
)
_KEYS = st.one_of(
    st.fixed_dictionaries({"every": st.just("day"), "time": st.lists(_TIMES, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"every": st.just("hour"), "minute": st.integers(0, 59)}),
    st.fixed_dictionaries({"every": st.just("week"), "weekday": st.sampled_from(["mon", "sun"]), "time": _TIMES}),
    st.fixed_dictionaries(
        {"every": st.sampled_from(["month", "quarter"]), "day": st.sampled_from([1, 29, 31, "last"]), "time": _TIMES}
    ),
    st.fixed_dictionaries(
        {
            "cron": st.sampled_from(
                [["30 2 * * *", "0 3 * * 0"], ["0 0 L * *"], ["15 */6 * * *"], ["5 * * * *", "35 * * * *", "5 2 * * *"]]
            )
        }
    ),
)
_ZONES = st.sampled_from(
    [
        *("Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Cairo", "America/Havana", "Asia/Gaza"),
        *("America/New_York", "Asia/Kolkata", "UTC", "America/Nuuk", "Africa/Casablanca", "Pacific/Chatham"),
    ]
)


@given(
    _KEYS,
    _ZONES,
    st.sampled_from(["skip", "next", "previous", "run"]),
    st.sampled_from(["hourly", "daily", "weekly", "monthly", "quarterly", "yearly"]),
    st.datetimes(datetime(2018, 1, 1), datetime(2029, 1, 1)),  # noqa: DTZ001
)
def test_dagster_asks_at_every_tick_and_holidays_are_kept(
    keys: dict[str, Any], zone: str, on_holiday: str, partition: str, begin: datetime
) -> None:
    schedule, after = spec(**{**keys, "timezone": zone, "on_holiday": on_holiday}), begin.replace(tzinfo=UTC)
    end = after + timedelta(days=40)
    ours = list(takewhile(lambda fire: fire.instant < end, fires(schedule, BERLIN, after, partition=partition)))
    asked = schedule_execution_time_iterator(after.timestamp(), crons(schedule), zone)
    theirs = [tick.timestamp() for tick in takewhile(lambda tick: tick.timestamp() <= end.timestamp(), asked)]
    instants = [fire.instant.timestamp() for fire in ours]
    assert set(instants) <= set(theirs)
    assert theirs == sorted(set(theirs))
    assert instants == sorted(set(instants))
    for fire in ours:
        if not fire.skipped and on_holiday != "run" and fire.instant.date() == fire.nominal.date():
            assert not BERLIN.day_off(fire.instant.date()) or fire.instant.hour == 0  # after a skipped hour before it
