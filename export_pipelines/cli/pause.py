"""`exports pause`."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.text import counted, moment

_FORMATS = ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d"]


@click.command()
@click.argument("name")
@click.option(
    "--until",
    type=click.DateTime(_FORMATS),
    metavar="TIME",
    help="Resume by itself then: YYYY-MM-DD HH:MM in the schedule's timezone; without a time, at midnight.",
)
@click.option("--why", default="", metavar="TEXT", help="The reason, for those who come later.")
@json_option
@click.pass_obj
def command(app: App, name: str, until: datetime | None, why: str) -> None:
    """Pause NAME, an export or a schedule, from the next tick on: its ticks are skipped, and nothing of it is late.

    A further pause takes the place of the one that lasts. Runs that are at work end as usual, and `exports run` and
    backfills work as ever.
    """
    from export_pipelines.cli.pausing import answer, target
    from export_pipelines.cli.pins import person
    from export_pipelines.ledger.pauses import pause

    found = target(app, name)
    end = until.replace(tzinfo=ZoneInfo(found.timezone)) if until else None
    if end is not None and end <= app.now:
        raise click.BadParameter(f"{moment(end, found.timezone)} is over", param_hint="--until")
    pause(app.project.ledger, found.kind, found.name, at=app.now, until=end, by=person(), why=why)
    number = f", {counted(len(found.exports), 'export')}" if found.kind == "schedule" else ""
    lasting = f"until {moment(end, found.timezone)}" if end else f"until: exports resume {name}"
    answer(app, found, f"paused{number} {lasting}")
