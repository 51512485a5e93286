"""Compare ticks and partitions with a walk through every minute, and Dagster's ticks with ours, for many schedules.

The tests do the same with fewer minutes and schedules. Usage: golden_timings.py [--schedules N] [--seed N]
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, takewhile
from typing import Any

from dagster._utils.schedules import schedule_execution_time_iterator

from export_pipelines.spec.schedules import CalendarSpec, ScheduleSpec
from export_pipelines.spec.workdays import Calendar
from export_pipelines.timing.fires import fires
from export_pipelines.timing.recurrence import crons
from export_pipelines_tests import timing_oracle as oracle
from export_pipelines_tests.timing_tables import TIMINGS, YEARS, compare

ZONES = [
    *YEARS,
    *("Africa/Cairo", "America/Havana", "America/Santiago", "Asia/Beirut", "America/Nuuk", "America/Scoresbysund"),
    *("Atlantic/Azores", "Pacific/Chatham", "Asia/Gaza", "Africa/Casablanca", "America/St_Johns", "Asia/Tehran"),
]
CRONS = [
    *("30 0 * * *", "0 0 * * *", "30 23 * * *", "30 2 * * *", "15 */6 * * *", "5 * * * *", "*/20 * * * *"),
    *("0 4 31 * *", "15,45 1-3 * * *", "30 2 * * 0", "0 23 L * *", "45 0 * * sun,mon", "0 */2 * * *", "0 9 * * MON#1"),
]
BERLIN = Calendar(CalendarSpec(country="DE", subdivision="BE"))
DAYS = 200


def some_time(chance: random.Random) -> str:
    """A time of day near midnight or three o'clock, where clocks are changed."""
    return f"{chance.choice((0, 0, 1, 2, 2, 3, 12, 22, 23)):02}:{chance.choice((0, 5, 15, 30, 45, 59)):02}"


def some_schedule(chance: random.Random) -> dict[str, Any]:
    """A schedule of any kind; not all are valid."""
    kinds: list[dict[str, Any]] = [
        {"cron": chance.sample(CRONS, chance.choice((1, 1, 2, 3)))},
        {"every": "hour", "minute": chance.choice((0, 5, 30, 45))},
        {"every": "day", "time": [some_time(chance), some_time(chance)]},
        {"every": "week", "weekday": chance.sample(["sun", "mon", "fri", "sat"], 2), "time": some_time(chance)},
        {"every": "month", "day": chance.choice((1, 15, 28, 29, 30, 31, "last")), "time": some_time(chance)},
        {"every": "quarter", "day": chance.choice((1, 31, "last")), "time": some_time(chance)},
        {"every": "month", "working_day": chance.choice((1, 3, -2, "last")), "time": some_time(chance)},
        {"every": "quarter", "working_day": chance.choice((1, -1)), "time": some_time(chance)},
        {"every": "working day", "time": some_time(chance)},
        {
            "at": [
                f"2027-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02} {some_time(chance)}" for _ in range(4)
            ]
        },
    ]
    chosen = {**chance.choice(kinds), "timezone": chance.choice(ZONES)}
    if chance.random() < 0.6:
        chosen["calendar"] = "berlin"
        if "working day" not in chosen.values() and "working_day" not in chosen:
            chosen["on_holiday"] = chance.choice(("skip", "next", "previous", "run"))
    return chosen


def check_walks() -> int:
    """Compare every minute of the tables' years. Returns how many ticks were compared."""
    number = 0
    for zone, (first, last) in YEARS.items():
        for year in range(first, last + 1):
            minutes = oracle.walk(zone, date(year, 1, 1), date(year, 12, 31))
            number += sum(sum(compare(row, zone, minutes)) for row in TIMINGS)
    return number


def check_dagster(schedule: ScheduleSpec, chance: random.Random) -> tuple[int, list[datetime]]:
    """Returns how many ticks the schedule has in a span of time, and those that Dagster does not make in order."""
    begin = datetime(chance.choice((2018, 2026, 2027)), chance.randrange(1, 13), chance.randrange(1, 28), tzinfo=UTC)
    end = begin + timedelta(days=DAYS)
    calendar = BERLIN if schedule.calendar else None
    kind = chance.choice(("hourly", "daily", "weekly", "monthly", "quarterly", "yearly"))
    ours = [
        fire.instant for fire in takewhile(lambda f: f.instant <= end, fires(schedule, calendar, begin, partition=kind))
    ]
    asked = schedule_execution_time_iterator(begin.timestamp(), crons(schedule), schedule.timezone)
    theirs = [tick.timestamp() for tick in takewhile(lambda tick: tick <= end + timedelta(days=1), asked)]
    late = {tick for earlier, tick in pairwise(theirs) if tick <= earlier}
    made = {*theirs} - late
    return len(ours), [tick for tick in ours if tick.timestamp() not in made]


def main() -> int:
    """Exit 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=4_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    begun, chance, wrong, number = time.monotonic(), random.Random(options.seed), 0, 0
    print(f"{check_walks():,} ticks and windows equal the walk, {time.monotonic() - begun:.0f} s")
    for _ in range(options.schedules):
        given = some_schedule(chance)
        try:
            schedule = ScheduleSpec.model_validate(given)
        except ValueError:  # a date whose time is skipped by the clocks
            continue
        ticks, missing = check_dagster(schedule, chance)
        number += ticks
        if missing:
            wrong += 1
            print(f"Dagster makes no tick in order at {missing[0].isoformat()} and {len(missing) - 1} more: {given}")
    print(f"{number:,} ticks of {options.schedules:,} schedules: Dagster lacks some of {wrong}", end=", ")
    print(f"{time.monotonic() - begun:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
