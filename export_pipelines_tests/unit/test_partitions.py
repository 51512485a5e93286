"""Partitions equal Dagster's, key by key and window by window, and every instant is in exactly one of them (I6)."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context
from hypothesis import assume, example, given
from hypothesis import strategies as st

from export_pipelines.errors import SpecError
from export_pipelines.orchestration.partitions import partitions_def
from export_pipelines.timing.changes import changes
from export_pipelines.timing.partitions import FORMATS, first_key, key_of, keys_between, last_complete, window_of
from export_pipelines.timing.ticks import Partitioning

ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"]
MIDNIGHT_ZONES = ["Africa/Cairo", "America/Havana", "America/Santiago", "Asia/Beirut"]
"""Zones whose clocks change at midnight, so that one day a year has no 00:00 or two of them."""
QUARTER_ZONES = ["Pacific/Chatham"]
"""Zones whose clocks change at a quarter to the hour, so that a window of an hour ends where no hour of that name is."""

HALF_HOUR_ZONE = "Australia/Lord_Howe"
"""Its clock is changed by half an hour, so that hours have no windows there, and minutes have."""

OTHER_ZONES = [
    *("Asia/Kathmandu", "Pacific/Apia", "America/Sao_Paulo", "Europe/London", "America/Nuuk", "Africa/Casablanca"),
    *("Antarctica/Troll", "America/St_Johns", "Asia/Tehran", "Asia/Gaza", "Atlantic/Azores", "Pacific/Kiritimati"),
]

LONG = ("quarterly", "yearly")
FIRST = date(2026, 2, 15)  # a Sunday
UNTIL = datetime(2026, 12, 15, 9, 30, tzinfo=UTC)
CHANGES = [datetime(2026, month, day) for month, day in [(3, 8), (3, 29), (4, 5), (9, 27), (10, 25), (11, 1)]]  # noqa: DTZ001


def dagsters(kind: str, zone: str) -> dg.TimeWindowPartitionsDefinition:
    start = FIRST.isoformat()
    if kind == "hourly":
        return dg.HourlyPartitionsDefinition(start_date=f"{start}-00:00", timezone=zone)
    if kind == "weekly":
        return dg.WeeklyPartitionsDefinition(start_date=start, timezone=zone, day_offset=1)
    if kind in LONG:  # Dagster has no classes for them
        return partitions_def(Partitioning(kind, zone, FIRST))
    return {"daily": dg.DailyPartitionsDefinition, "monthly": dg.MonthlyPartitionsDefinition}[kind](
        start_date=start, timezone=zone
    )


@pytest.mark.parametrize("zone", [*ZONES, *MIDNIGHT_ZONES, *QUARTER_ZONES])
@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "minutely"])
class TestDagster:
    def test_keys_are_equal(self, kind: str, zone: str) -> None:
        theirs = list(dagsters(kind, zone).get_partition_keys(current_time=UNTIL))
        ours = list(keys_between(kind, first_key(kind, FIRST, zone), last_complete(kind, UNTIL, zone), zone))
        assert ours == theirs

    def test_windows_are_equal_and_follow_one_another(self, kind: str, zone: str) -> None:
        definition = dagsters(kind, zone)
        end = None
        for key in definition.get_partition_keys(current_time=UNTIL):
            theirs, ours = definition.time_window_for_partition_key(key), window_of(kind, key, zone)
            assert [t.timestamp() for t in ours.utc()] == [theirs.start.timestamp(), theirs.end.timestamp()], key
            assert key_of(kind, ours.start) == key
            assert end in (None, ours.utc()[0])
            end = ours.utc()[1]

    def test_the_last_complete_partition_is_dagsters_last(self, kind: str, zone: str) -> None:
        definition = dagsters(kind, zone)
        for change in CHANGES:
            begin = change.replace(tzinfo=UTC) - timedelta(hours=30)
            for minutes in range(0, 60 * 60, 30):
                instant = begin + timedelta(minutes=minutes)
                with partition_loading_context(effective_dt=instant):
                    theirs = definition.get_last_partition_key()
                if theirs is not None:  # before the first window has ended there is none
                    assert last_complete(kind, instant, zone) == theirs, instant


@pytest.mark.parametrize("zone", [*ZONES, *MIDNIGHT_ZONES, *QUARTER_ZONES, *OTHER_ZONES, "America/Asuncion"])
@pytest.mark.parametrize("kind", LONG)
def test_quarters_and_years_are_dagsters(kind: str, zone: str) -> None:
    """Clocks of Asuncion jumped over the first minute of the last quarter of 2017."""
    first, until = date(2008, 2, 15), datetime(2036, 1, 1, 12, tzinfo=UTC)
    definition = partitions_def(Partitioning(kind, zone, first))
    theirs = definition.get_partition_keys(current_time=until)
    assert list(keys_between(kind, first_key(kind, first, zone), last_complete(kind, until, zone), zone)) == theirs
    assert len(theirs) == {"quarterly": 4 * 28 - 1, "yearly": 27}[kind]
    for key in theirs:
        window = definition.time_window_for_partition_key(key)
        ours = [t.timestamp() for t in window_of(kind, key, zone).utc()]
        assert ours == [window.start.timestamp(), window.end.timestamp()], key


@pytest.mark.parametrize("zone", [*ZONES, *MIDNIGHT_ZONES, *QUARTER_ZONES, HALF_HOUR_ZONE])
def test_minutes_are_dagsters_where_clocks_are_changed(zone: str) -> None:
    """Of whole months there would be too many."""
    year = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    moments = [change.at for change in changes(zone, *year)] or [UNTIL]
    for moment in moments:
        start, until = ((moment + timedelta(hours=h)).astimezone(ZoneInfo(zone)) for h in (-2, 2))
        pattern = FORMATS["minutely"]
        definition = dg.TimeWindowPartitionsDefinition(
            cron_schedule="* * * * *", start=start.strftime(pattern), fmt=pattern, timezone=zone
        )
        theirs = list(definition.get_partition_keys(current_time=until))
        first, last = key_of("minutely", start), last_complete("minutely", until, zone)
        assert list(keys_between("minutely", first, last, zone)) == theirs
        for key in theirs[::7]:
            window = definition.time_window_for_partition_key(key)
            ours = [t.timestamp() for t in window_of("minutely", key, zone).utc()]
            assert ours == [window.start.timestamp(), window.end.timestamp()]


def test_the_definition_of_minutes_is_ours() -> None:
    definition = partitions_def(Partitioning("minutely", "Europe/Berlin", date(2026, 10, 25)))
    assert definition.get_first_partition_key() == first_key("minutely", date(2026, 10, 25), "Europe/Berlin")
    assert definition.get_partition_keys(current_time=datetime(2026, 10, 25, 1, 2, tzinfo=UTC))[-2:] == [
        "2026-10-25-02:00+0100",
        "2026-10-25-02:01+0100",
    ]


@given(
    st.sampled_from(sorted(FORMATS)),
    st.sampled_from([*ZONES, *MIDNIGHT_ZONES, *QUARTER_ZONES, *OTHER_ZONES, HALF_HOUR_ZONE]),
    st.datetimes(datetime(2020, 1, 2), datetime(2035, 1, 1)).map(lambda naive: naive.replace(tzinfo=UTC)),  # noqa: DTZ001
)
@example("hourly", "Pacific/Chatham", datetime(2020, 9, 26, 14, 0, tzinfo=UTC))
@example("hourly", "Pacific/Chatham", datetime(2021, 4, 3, 14, 10, tzinfo=UTC))
@example("minutely", "Australia/Lord_Howe", datetime(2026, 4, 4, 15, 10, tzinfo=UTC))
@example("daily", "America/Sao_Paulo", datetime(2018, 11, 4, 3, 0, tzinfo=UTC))
@example("daily", "America/Sao_Paulo", datetime(2018, 2, 18, 2, 30, tzinfo=UTC))
def test_each_instant_is_in_exactly_one_window(kind: str, zone: str, instant: datetime) -> None:
    assume((kind, zone) != ("hourly", HALF_HOUR_ZONE))  # a mistake in a spec
    before = window_of(kind, last_complete(kind, instant, zone), zone)
    current_key = key_of(kind, before.end)
    current = window_of(kind, current_key, zone)
    after = window_of(kind, key_of(kind, current.end), zone)
    assert before.utc()[1] == current.utc()[0] <= instant < current.utc()[1] == after.utc()[0]
    assert last_complete(kind, current.utc()[1], zone) == current_key
    assert last_complete(kind, current.utc()[1] - timedelta(microseconds=1), zone) == key_of(kind, before.start)


@pytest.mark.parametrize(
    ("kind", "key", "zone", "hours"),
    [
        ("daily", "2026-03-29", "Europe/Berlin", 23),
        ("daily", "2026-10-25", "Europe/Berlin", 25),
        ("daily", "2026-03-08", "America/New_York", 23),
        ("daily", "2026-11-01", "America/New_York", 25),
        ("daily", "2026-03-29", "Asia/Kolkata", 24),
        ("daily", "2026-04-24", "Africa/Cairo", 23),
        ("daily", "2026-11-01", "America/Havana", 25),
        ("weekly", "2026-03-23", "Europe/Berlin", 7 * 24 - 1),
        ("monthly", "2026-10-01", "Europe/Berlin", 31 * 24 + 1),
        ("quarterly", "2026-01-01", "Europe/Berlin", 90 * 24 - 1),
        ("quarterly", "2026-10-01", "America/New_York", 92 * 24 + 1),
        ("yearly", "2026-01-01", "Europe/Berlin", 365 * 24),
        ("yearly", "2028-01-01", "Asia/Kolkata", 366 * 24),
        ("hourly", "2026-10-25-02:00", "Europe/Berlin", 1),
        ("hourly", "2026-10-25-02:00+0100", "Europe/Berlin", 1),
        ("hourly", "2026-03-29-01:00", "Europe/Berlin", 1),
    ],
)
def test_windows_have_the_length_that_the_clock_gives_them(kind: str, key: str, zone: str, hours: int) -> None:
    start, end = window_of(kind, key, zone).utc()
    assert end - start == timedelta(hours=hours)


def test_the_repeated_hour_has_two_keys() -> None:
    keys = list(keys_between("hourly", "2026-10-25-01:00", "2026-10-25-03:00", "Europe/Berlin"))
    assert keys == ["2026-10-25-01:00", "2026-10-25-02:00", "2026-10-25-02:00+0100", "2026-10-25-03:00"]
    starts = [window_of("hourly", key, "Europe/Berlin").utc()[0] for key in keys]
    assert all(later - earlier == timedelta(hours=1) for earlier, later in pairwise(starts))


def test_the_skipped_hour_has_none() -> None:
    keys = list(keys_between("hourly", "2026-03-29-01:00", "2026-03-29-03:00", "Europe/Berlin"))
    assert keys == ["2026-03-29-01:00", "2026-03-29-03:00"]


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("daily", ""),
        ("daily", "2026-1-7"),
        ("daily", "2026-02-30"),
        ("daily", "2026-01-07\n"),
        ("daily", " 2026-01-07"),
        ("daily", "2026-01-07-00:00"),
        ("daily", "٢٠٢٦-01-07"),
        ("daily", "9999-12-31"),
        ("daily", "0001-01-01"),
        ("daily", "../2026-01-07"),
        ("weekly", "2026-01-07"),
        ("monthly", "2026-01-07"),
        ("monthly", "9999-12-01"),
        ("quarterly", "2026-02-01"),
        ("quarterly", "2026-04-02"),
        ("quarterly", "2026-Q2"),
        ("quarterly", "9999-10-01"),
        ("yearly", "2026-04-01"),
        ("yearly", "2026"),
        ("yearly", "9999-01-01"),
        ("hourly", "2026-01-07"),
        ("hourly", "2026-01-07-00:30"),
        ("hourly", "2026-01-07-24:00"),
        ("hourly", "2026-03-29-02:00"),
        ("hourly", "2026-10-25-02:00+0200"),
        ("hourly", "2026-10-25-02:00Z"),
        ("hourly", "2026-01-07-02:00+0100"),
        ("hourly", "2026-10-25-02:00+9999"),
        ("minutely", "2026-01-07-02"),
        ("minutely", "2026-01-07-02:60"),
        ("minutely", "2026-03-29-02:30"),
        ("minutely", "2026-10-25-02:30+0200"),
        ("minutely", "2026-01-07-02:30+0100"),
    ],
)
def test_keys_that_dagster_would_not_make_are_refused(kind: str, key: str) -> None:
    with pytest.raises(SpecError, match=f"there is no {kind} partition .* in Europe/Berlin. Write "):
        window_of(kind, key, "Europe/Berlin")


@pytest.mark.parametrize("kind", FORMATS)
def test_the_advice_is_itself_a_key(kind: str) -> None:
    with pytest.raises(SpecError) as caught:
        window_of(kind, "x", "UTC")
    window_of(kind, str(caught.value).rpartition(" ")[2], "UTC")


@pytest.mark.parametrize(
    ("kind", "start", "key"),
    [
        ("daily", date(2026, 1, 7), "2026-01-07"),
        ("weekly", date(2026, 1, 5), "2026-01-05"),
        ("weekly", date(2026, 1, 6), "2026-01-12"),
        ("monthly", date(2026, 1, 1), "2026-01-01"),
        ("monthly", date(2026, 1, 2), "2026-02-01"),
        ("monthly", date(2026, 12, 31), "2027-01-01"),
        ("quarterly", date(2026, 4, 1), "2026-04-01"),
        ("quarterly", date(2026, 4, 2), "2026-07-01"),
        ("quarterly", date(2026, 11, 30), "2027-01-01"),
        ("yearly", date(2026, 1, 1), "2026-01-01"),
        ("yearly", date(2026, 1, 2), "2027-01-01"),
        ("hourly", date(2026, 1, 7), "2026-01-07-00:00"),
    ],
)
def test_the_first_window_begins_on_or_after_the_first_day(kind: str, start: date, key: str) -> None:
    assert first_key(kind, start, "Europe/Berlin") == key


def test_windows_are_aware_and_local() -> None:
    window = window_of("daily", "2026-07-01", "America/New_York")
    assert window.start.tzinfo == ZoneInfo("America/New_York")
    assert window.start.isoformat() == "2026-07-01T00:00:00-04:00"
    assert window.utc()[0] == datetime(2026, 7, 1, 4, tzinfo=UTC)
