"""Cron expressions agree with Dagster, which fires them: in validity, and in every tick across daylight saving."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from dagster._utils.schedules import cron_string_iterator, is_valid_cron_schedule, reverse_cron_string_iterator
from hypothesis import given
from hypothesis import strategies as st

from export_pipelines.spec.cron import check_cron
from export_pipelines.spec.schedules import PRESETS, ScheduleSpec
from export_pipelines.timing.cron import next_ticks
from export_pipelines.timing.fires import fires_before

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Europe/London", "Asia/Kathmandu"]
CRONS = [
    *PRESETS.values(),
    "30 2 * * *",  # does not exist in spring and comes twice in autumn in Berlin
    "30 1 * * *",  # the same in New York
    "0 0 * * *",
    "*/15 * * * *",
    "10 0-23 * * *",
    "0 */2 * * *",
    "15,45 1-3 * * *",
    "0 6 * * 1-5",
    "30 2 * * 0",
    "0 4 31 * *",
    "0 0 L * *",
    "0 9 * * MON#1",
    "0 2 29 2 *",
    "@hourly",
    "@daily",
    "@weekly",
    "@monthly",
]
STARTS = [
    datetime(2026, 3, 6, 12, tzinfo=UTC),  # before New York's change, 8 March
    datetime(2026, 3, 27, tzinfo=UTC),  # before Europe's change, 29 March
    datetime(2026, 10, 23, 5, 30, tzinfo=UTC),  # before Europe's change, 25 October
    datetime(2026, 10, 30, tzinfo=UTC),  # before New York's change, 1 November
]


def dagsters(cron: str, zone: str, after: datetime) -> Iterator[datetime]:
    """Dagster's ticks at or after an instant, without the one at the instant."""
    return (t for t in cron_string_iterator(after.timestamp(), cron, zone) if t.timestamp() > after.timestamp())


def previous_tick(cron: str, zone: str, before: datetime) -> datetime:
    """The last tick strictly before an instant."""
    return next(fires_before(ScheduleSpec(cron=(cron,), timezone=zone), None, before)).instant


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("cron", CRONS)
def test_ticks_equal_dagsters(cron: str, zone: str) -> None:
    count = 3 if " 29 2 " in cron else 120
    for start in STARTS:
        expected = [tick.timestamp() for tick in islice(dagsters(cron, zone, start), count)]
        ours = list(islice(next_ticks(cron, zone, start), count))
        assert [tick.timestamp() for tick in ours] == expected
        assert all(tick.tzinfo is not None and str(tick.tzinfo) == zone for tick in ours)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("cron", ["30 2 * * *", "30 1 * * *", "0 */2 * * *", "15,45 1-3 * * *", "@hourly", "0 4 1 * *"])
def test_previous_ticks_equal_dagsters(cron: str, zone: str) -> None:
    for start in STARTS:
        for minutes in range(0, 3 * 24 * 60, 50):
            before = start + timedelta(minutes=minutes)
            ticks = reverse_cron_string_iterator(before.timestamp(), cron, zone)
            expected = next(tick for tick in ticks if tick.timestamp() < before.timestamp())
            assert previous_tick(cron, zone, before).timestamp() == expected.timestamp()


def test_ticks_are_strictly_after() -> None:
    tick = next(next_ticks("0 2 * * *", "Europe/Berlin", datetime(2026, 6, 1, tzinfo=UTC)))
    assert tick == datetime(2026, 6, 2, 0, 0, tzinfo=UTC)
    assert next(next_ticks("0 2 * * *", "Europe/Berlin", tick)) == tick + timedelta(days=1)
    assert previous_tick("0 2 * * *", "Europe/Berlin", tick + timedelta(microseconds=1)) == tick
    assert previous_tick("0 2 * * *", "Europe/Berlin", tick) == tick - timedelta(days=1)


def test_a_skipped_time_ticks_when_the_clock_has_jumped_and_a_repeated_one_once() -> None:
    spring = next_ticks("30 2 * * *", "Europe/Berlin", datetime(2026, 3, 28, 12, tzinfo=UTC))
    assert next(spring).isoformat() == "2026-03-29T03:00:00+02:00"
    autumn = list(islice(next_ticks("30 2 * * *", "Europe/Berlin", datetime(2026, 10, 24, 12, tzinfo=UTC)), 2))
    assert [tick.isoformat() for tick in autumn] == ["2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"]


# Where the clock changes at midnight, Dagster's own ticks are up to an hour early; ours still come once a day.
@pytest.mark.parametrize("zone", ["Africa/Cairo", "America/Havana", "America/Santiago", "Asia/Beirut"])
@pytest.mark.parametrize("cron", ["0 0 * * *", "30 0 * * *", "59 23 * * *"])
def test_every_day_has_one_tick_where_the_clock_changes_at_midnight(zone: str, cron: str) -> None:
    ticks = list(islice(next_ticks(cron, zone, datetime(2026, 1, 1, tzinfo=UTC)), 400))
    days = [tick.date() for tick in ticks]
    assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(days))
    assert all(earlier.timestamp() < later.timestamp() for earlier, later in pairwise(ticks))


@pytest.mark.parametrize(
    "cron", [*CRONS, "@yearly", "@midnight", "0 0 ? * *", "5 4 * * sun", "0 22-2 * * *", "* * * * 7"]
)
def test_valid_expressions_are_valid_for_dagster_too(cron: str) -> None:
    assert check_cron(cron) == cron
    assert is_valid_cron_schedule(cron)


def test_white_space_is_made_single() -> None:
    assert check_cron("  0\t2  * * *\n") == "0 2 * * *"


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("", "has 0 fields; write minute hour day month weekday"),
        ("0 2 * *", "has 4 fields"),
        ("0 0 2 * * *", "has 6 fields"),
        ("0 2 * * * 2026 *", "has 7 fields"),
        ("60 2 * * *", "'60' is not a valid minute"),
        ("0 24 * * *", "'24' is not a valid hour"),
        ("0 0 32 * *", "'32' is not a valid day"),
        ("0 0 * 13 *", "'13' is not a valid month"),
        ("0 0 * * 8", "'8' is not a valid weekday"),
        ("0 0 * * 5L", "'5L' is not a valid weekday"),
        ("0 0 15W * *", "'15W' is not a valid day"),
        ("H * * * *", "'H' is not a valid minute"),
        ("R * * * *", "'R' is not a valid minute"),
        ("R(0-30) * * * *", r"'R\(0-30\)' is not a valid minute"),
        ("a b c d e", "'a' is not a valid minute"),
        ("*/0 * * * *", r"'\*/0' is not a valid minute"),
        ("٣ * * * *", "'٣' is not a valid minute"),
        ("0 0 30 2 *", "no such day ever comes"),
        ("0 0 31 4,6 *", "no such day ever comes: April and June have 30 days at most"),
        ("0 0 31 apr fri", "no such day ever comes: April has 30 days at most"),
        ("0 0 30 feb *", "no such day ever comes: February has 29 days at most"),
        ("0 0 1 * mon#1", "a day of the month or a weekday with #, not both"),
        ("0 0 * * mon#1,3", "'mon#1,3' is not a valid weekday"),
        ("@reboot", "write five fields, or one of @hourly, @daily"),
        ("@every 5m", "write five fields, or one of @hourly, @daily"),
    ],
)
def test_wrong_expressions_say_which_field_is_wrong(cron: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_cron(cron)


_NUMBER = st.integers(0, 61).map(str)
_PART = st.one_of(
    st.just("*"),
    _NUMBER,
    st.tuples(_NUMBER, _NUMBER).map("-".join),
    st.tuples(st.just("*"), _NUMBER).map("/".join),
    st.sampled_from(["L", "?", "mon", "JAN", "1#2", "fri#5", "W", "H", "R", "-1", "", "5L", "1,2", "mon-fri", "*/7"]),
)


@given(st.lists(_PART, min_size=4, max_size=6).map(" ".join))
def test_whatever_is_accepted_here_is_accepted_by_dagster(cron: str) -> None:
    try:
        text = check_cron(cron)
    except ValueError:
        return
    assert is_valid_cron_schedule(text)
    ours = list(islice(next_ticks(text, "Europe/Berlin", STARTS[0]), 20))
    assert [tick.timestamp() for tick in ours] == [
        tick.timestamp() for tick in islice(dagsters(text, "Europe/Berlin", STARTS[0]), len(ours))
    ]
    assert ours
