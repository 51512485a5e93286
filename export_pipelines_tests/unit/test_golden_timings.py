"""Ticks and partitions of three years equal those of a walk along the clock, in seven zones and eight kinds of timing."""

from datetime import date

import pytest

from export_pipelines_tests import timing_oracle as oracle
from export_pipelines_tests.timing_tables import MINUTES, TIMINGS, YEARS, compare, partition_of


@pytest.mark.parametrize("zone", YEARS)
def test_ticks_and_partitions_equal_the_walk(zone: str) -> None:
    first, last = YEARS[zone]
    minutes = oracle.walk(zone, date(first, 1, 1), date(last, 12, 31), only=MINUTES)
    for row in TIMINGS:
        ticks, windows = compare(row, zone, minutes)
        assert ticks >= (1 if row.name == "yearly" else 4) * (last - first + 1), row.name
        assert windows, row.name


def test_the_walk_may_leave_out_minutes() -> None:
    for zone in ("Australia/Lord_Howe", "America/Sao_Paulo"):
        year = 2018 if "Sao" in zone else 2026
        for month in (2, 4, 10, 11):
            whole = oracle.walk(zone, date(year, month, 1), date(year, month, 28))
            part = oracle.walk(zone, date(year, month, 1), date(year, month, 28), only=MINUTES)
            for row in TIMINGS:
                assert row.ticks(zone)(whole) == row.ticks(zone)(part)
                kind = partition_of(row, zone)
                assert oracle.windows(kind, whole) == oracle.windows(kind, part)
