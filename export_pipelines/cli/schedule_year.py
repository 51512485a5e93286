"""`exports schedules --year`: every tick of a year."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, takewhile
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from export_pipelines.cli.app import App
from export_pipelines.text import counted

if TYPE_CHECKING:
    from export_pipelines.timing.changes import Change
    from export_pipelines.timing.ticks import Timing


def show_year(app: App, timings: Sequence[Timing], year: int) -> None:
    """Answer with all ticks of the year of these timings."""
    documents = [_document(app, timing, year) for timing in timings]
    app.answer({"year": year, "schedules": documents}, lambda: _show(documents))


def _document(app: App, timing: Timing, year: int) -> dict[str, Any]:
    from export_pipelines.cli.schedules import schedule
    from export_pipelines.cli.views import tick
    from export_pipelines.timing.changes import changes
    from export_pipelines.timing.upcoming import upcoming

    zone = ZoneInfo(timing.schedule.timezone)
    first, last = datetime(year, 1, 1, tzinfo=zone), datetime(year + 1, 1, 1, tzinfo=zone)
    before = first.astimezone(UTC) - timedelta(seconds=1)
    return {
        **schedule(app, timing, 0),
        "next": [tick(found) for found in takewhile(lambda found: found.tick < last, upcoming(timing, before))],
        "holidays": [{"day": day, "name": name} for day, name in _holidays(timing, year)],
        "clock_changes": [_change(change) for change in changes(timing.schedule.timezone, first, last)],
    }


def _holidays(timing: Timing, year: int) -> Iterator[tuple[date, str]]:
    """The days off of the calendar that are not its weekends, with their names."""
    from export_pipelines.spec.workdays import Calendar

    spec = timing.exports[0].calendar
    if spec is None:
        return
    calendar = Calendar(spec)
    for number in range(date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal()):
        day = date.fromordinal(number)
        if (reason := calendar.day_off(day)) and not calendar.is_weekend(day):
            yield day, reason


def _change(change: Change) -> dict[str, Any]:
    return {"at": change.at, "before": f"{change.before:%Y-%m-%d %H:%M}", "after": f"{change.after:%Y-%m-%d %H:%M}"}


def _show(documents: Sequence[dict[str, Any]]) -> None:
    from export_pipelines.cli.output import console
    from export_pipelines.cli.schedules import show_head

    out = console()
    for position, entry in enumerate(documents):
        if position:
            out.print()
        show_head(entry)
        for change in entry["clock_changes"]:
            out.print(f"Clocks go from {change['before']} to {change['after'][11:]}")
        if entry["holidays"]:
            days = ", ".join(f"{_day(holiday['day'])} {holiday['name']}" for holiday in entry["holidays"])
            out.print(f"Days off besides weekends: {days}")
        _show_ticks(entry)
        out.print(_total(entry["next"]))


def _show_ticks(entry: dict[str, Any]) -> None:
    from export_pipelines.cli.output import show_table, table
    from export_pipelines.cli.schedules import note

    if not entry["next"]:
        return
    zone = ZoneInfo(entry["timezone"])
    local = [(tick, tick["tick"].astimezone(zone)) for tick in entry["next"]]
    result = table("", "Local", "UTC", "Partition", "")
    for month, ticks in groupby(local, key=lambda pair: f"{pair[1]:%B}"):
        title = month
        for tick, moment in ticks:
            utc = f"{tick['tick'].astimezone(ZoneInfo('UTC')):%d %H:%M}"
            mark = f"{moment:%a %d %H:%M %Z}"
            result.add_row(title, mark, utc, tick["partition"] or "-", note(tick, entry["timezone"]))
            title = ""
    show_table(result, wide="")


def _total(ticks: Sequence[dict[str, Any]]) -> str:
    skipped, moved = sum(bool(tick["skipped"]) for tick in ticks), sum(bool(tick["moved_from"]) for tick in ticks)
    return f"{counted(len(ticks), 'tick')}, {skipped:,} of them skipped and {moved:,} moved"


def _day(day: date) -> str:
    return f"{day:%a %d %b}"
