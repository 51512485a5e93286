"""`exports schedules`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.errors import SpecError
from export_pipelines.text import counted, moment

if TYPE_CHECKING:
    from export_pipelines.timing.ticks import Timing


@click.command()
@click.argument("name", required=False)
@click.option("--next", "number", type=click.IntRange(1, 1000), default=3, show_default=True, help="Ticks to show.")
@json_option
@click.pass_obj
def command(app: App, name: str | None, number: int) -> None:
    """Show the next ticks of all schedules, or of NAME, a schedule or an export."""
    app.tolerant_project()
    schedules = [schedule(app, timing, number) for timing in _timings(app, name)]
    app.answer({"schedules": schedules}, lambda: _show(app, name, schedules))


def _timings(app: App, name: str | None) -> Iterator[Timing]:
    from export_pipelines.timing.ticks import timings

    specs = app.project.specs
    found = list(timings(specs.exports.values()))
    if name is None or name in {label for timing in found for label in (timing.name, timing.schedule_name)}:
        return (timing for timing in found if name in (None, timing.name, timing.schedule_name))
    if name not in specs.exports and name in specs.schedules:
        raise SpecError(f"no export uses schedule {name!r}", hint="Give one of them `schedule: " + name + "`")
    if name not in specs.exports:
        known = sorted({timing.schedule_name for timing in found})
        hint = f"Schedules: {', '.join(known)}. Exports: exports list"
        raise SpecError(f"there is no schedule or export {name!r}", hint=hint)
    return (timing for timing in found if name in {export.name for export in timing.exports})


def schedule(app: App, timing: Timing, number: int) -> dict[str, Any]:
    """A schedule, its exports, and its next ticks."""
    from export_pipelines.cli.views import tick
    from export_pipelines.timing.upcoming import upcoming

    return {
        "name": timing.name,
        "schedule": timing.schedule_name,
        "cron": timing.schedule.cron,
        "timezone": timing.schedule.timezone,
        "calendar": timing.schedule.calendar,
        "on_holiday": timing.schedule.on_holiday,
        "partition": timing.partitioning.kind,
        "exports": [export.name for export in timing.exports],
        "next": [tick(entry) for entry in islice(upcoming(timing, app.now), number)],
    }


def _show(app: App, name: str | None, schedules: list[dict[str, Any]]) -> None:
    from export_pipelines.cli.output import console

    if not schedules:
        app.say(f"Export {name} has no schedule: it runs on request only." if name else "No export has a schedule.")
    out = console()
    for position, entry in enumerate(schedules):
        calendar = f", calendar {entry['calendar']}" if entry["calendar"] else ""
        out.print(("\n" if position else "") + entry["name"], style="bold")
        out.print(
            f"{entry['cron']}  {entry['timezone']}{calendar}, {entry['partition']}, "
            f"{counted(len(entry['exports']), 'export')}"
        )
        show_ticks(entry["next"], entry["timezone"])


def show_ticks(ticks: list[dict[str, Any]], timezone: str) -> None:
    """Print ticks in local time and UTC, with their partitions."""
    from export_pipelines.cli.output import show_table, table

    result = table("Local", "UTC", "Partition", "")
    for entry in ticks:
        note = f"skipped: {entry['skipped']}" if entry["skipped"] else ""
        if entry["day_off"] and not note:
            note = f"day off ({entry['day_off']}), runs all the same"
        result.add_row(
            moment(entry["tick"], timezone), moment(entry["tick"]).removesuffix(" UTC"), entry["partition"] or "-", note
        )
    show_table(result, wide="")
