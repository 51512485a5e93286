"""`exports schedules`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.errors import SpecError
from export_pipelines.text import counted, moment

if TYPE_CHECKING:
    from export_pipelines.timing.ticks import Timing
    from export_pipelines.timing.upcoming import Upcoming

_DEFAULT = 3


@click.command()
@click.argument("name", required=False)
@click.option(
    "--next", "number", type=click.IntRange(1, 1000), default=_DEFAULT, show_default=True, help="Ticks to show."
)
@click.option("--year", type=click.IntRange(2000, 2100), help="Show all ticks of a year instead.")
@click.option("--conflicts", is_flag=True, help="Show what is likely not meant instead, and what to do about it.")
@json_option
@click.pass_obj
def command(app: App, name: str | None, number: int, year: int | None, conflicts: bool) -> None:
    """Show the next ticks of all schedules, or of NAME, a schedule or an export."""
    from export_pipelines.cli.schedule_conflicts import show_conflicts
    from export_pipelines.cli.schedule_year import show_year

    app.tolerant_project()
    if conflicts:
        show_conflicts(app, name)
        return
    timings = list(_timings(app, name))
    if year is not None:
        show_year(app, timings, year)
        return
    schedules = [schedule(app, timing, number) for timing in timings]
    app.answer({"schedules": schedules}, lambda: _show(app, name, schedules))


def _timings(app: App, name: str | None) -> Iterator[Timing]:
    from export_pipelines.timing.ticks import timings

    specs = app.project.specs
    found = list(timings(specs.exports.values()))
    if name is None or name in {label for timing in found for label in timing.names}:
        return (timing for timing in found if name in (None, *timing.names))
    if name not in specs.exports and name in specs.schedules:
        raise SpecError(f"no export uses schedule {name!r}", hint="Give one of them `schedule: " + name + "`")
    if name not in specs.exports:
        known = sorted({timing.schedule_name for timing in found})
        hint = f"Schedules: {', '.join(known)}. Exports: exports list"
        raise SpecError(f"there is no schedule or export {name!r}", hint=hint)
    return (timing for timing in found if name in {export.name for export in timing.exports})


def schedule(app: App, timing: Timing, number: int) -> dict[str, Any]:
    """A schedule, its exports, and its next ticks."""
    from export_pipelines.cli.pausing import paused_exports, paused_schedule
    from export_pipelines.timing.upcoming import upcoming

    paused = paused_exports(app)
    names = [export.name for export in timing.exports]
    return {
        **described(timing, list(islice(upcoming(timing, app.now), number))),
        "paused": paused_schedule(app, timing),
        "paused_exports": [name for name in names if name in paused],
    }


def described(timing: Timing, ticks: Sequence[Upcoming]) -> dict[str, Any]:
    """A schedule, its exports, and these ticks."""
    from export_pipelines.cli.views import tick

    spec = timing.schedule.model_dump(mode="json")
    return {
        "name": timing.name,
        "schedule": timing.schedule_name,
        "rhythm": timing.schedule.rhythm,
        "cron": spec["cron"],
        "timezone": timing.schedule.timezone,
        "calendar": timing.schedule.calendar,
        "on_holiday": timing.schedule.on_holiday,
        "start": timing.schedule.start,
        "end": timing.schedule.end,
        "partition": timing.partitioning.kind,
        "exports": [export.name for export in timing.exports],
        "next": [tick(entry) for entry in ticks],
    }


def _show(app: App, name: str | None, schedules: list[dict[str, Any]]) -> None:
    if not schedules:
        app.say(f"Export {name} has no schedule: it runs on request only." if name else "No export has a schedule.")
    for position, entry in enumerate(schedules):
        if position:
            click.echo()
        show_head(entry)
        _show_pause(entry)
        show_ticks(entry["next"], entry["timezone"])


def show_head(entry: dict[str, Any]) -> None:
    """Print the name of a schedule and what it is."""
    from export_pipelines.cli.output import console

    out = console()
    calendar = f", calendar {entry['calendar']}" if entry["calendar"] else ""
    if calendar and "working day" not in entry["rhythm"]:
        calendar += f" ({entry['on_holiday']} on days off)"
    span = "".join(f", {key} {entry[key]}" for key in ("start", "end") if entry[key])
    out.print(entry["name"], style="bold")
    out.print(
        f"{entry['rhythm']}  {entry['timezone']}{calendar}{span}, {entry['partition']}, "
        f"{counted(len(entry['exports']), 'export')}"
    )


def _show_pause(entry: dict[str, Any]) -> None:
    from export_pipelines.cli.pausing import in_words

    if entry["paused"]:
        click.echo(in_words(entry["paused"], entry["timezone"]))
    elif entry["paused_exports"]:
        click.echo(f"paused: {', '.join(entry['paused_exports'])}")


def show_ticks(ticks: list[dict[str, Any]], timezone: str) -> None:
    """Print ticks in local time and UTC, with their partitions."""
    from export_pipelines.cli.output import show_table, table

    if not ticks:
        click.echo("no further tick")
        return
    result = table("Local", "UTC", "Partition", "")
    for entry in ticks:
        result.add_row(
            moment(entry["tick"], timezone),
            moment(entry["tick"]).removesuffix(" UTC"),
            entry["partition"] or "-",
            note(entry, timezone),
        )
    show_table(result, wide="")


def note(entry: dict[str, Any], timezone: str) -> str:
    """What is unusual about a tick: skipped, moved, on a day off."""
    if entry["skipped"]:
        return f"skipped: {entry['skipped']}"
    if entry["moved_from"]:
        return f"moved from {moment(entry['moved_from'], timezone)} ({entry['day_off']})"
    return f"day off ({entry['day_off']}), runs all the same" if entry["day_off"] else ""
