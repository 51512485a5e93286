"""`exports health`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.text import counted, duration, moment, percent

if TYPE_CHECKING:
    from export_pipelines.monitoring.health import Health


@click.command()
@json_option
@click.pass_context
def command(ctx: click.Context) -> None:
    """Say in one sentence each what is wrong: the daemon, late and failing exports, notifications, specs.

    Exits 1 if anything is.
    """
    from export_pipelines.monitoring.health import health

    app: App = ctx.obj
    found = health(app.project, app.now)
    app.answer(_document(found), lambda: _show(found))
    ctx.exit(1 if found.problems else 0)


def _document(found: Health) -> dict[str, Any]:
    from export_pipelines.cli.views import attempt
    from export_pipelines.ledger import pulses

    return {
        "ok": not found.problems,
        "problems": found.problems,
        "runs": found.day.runs,
        "success_rate": found.day.success_rate,
        "average_seconds": found.day.average_seconds,
        "queued_runs": found.gauge(pulses.QUEUED_RUNS),
        "running_runs": found.gauge(pulses.RUNNING_RUNS),
        "daemon_seen_at": found.daemon_seen_at,
        "last_run": attempt(found.last_run) if found.last_run else None,
        "missing": [vars(one) for one in found.missing],
        "given_up": [vars(one) for one in found.given_up],
        "incidents": [vars(trouble) for trouble in found.troubles],
        "notifications": found.outbox.states,
    }


def _show(found: Health) -> None:
    from export_pipelines.cli.output import console

    out = console()
    for problem in found.problems:
        out.print(problem, style="bold red")
    if not found.problems:
        out.print("Everything works.", style="green")
    if found.reachable:
        out.print(_figures(found))


def _figures(found: Health) -> str:
    from export_pipelines.ledger import pulses

    day = found.day
    parts = [f"Last 24 hours: {counted(day.runs, 'run')}"]
    if day.success_rate is not None:
        parts.append(f"{percent(day.success_rate)} succeeded")
    if day.average_seconds is not None:
        parts.append(f"{duration(day.average_seconds)} on average")
    for name, word in ((pulses.QUEUED_RUNS, "queued"), (pulses.RUNNING_RUNS, "running")):
        if (number := found.gauge(name)) is not None:
            parts.append(f"{number:,} {word}")
    last = found.last_run
    if last is not None:
        parts.append(f"last run {last.export} {last.span} at {moment(last.started_at)}: {last.state}")
    return ", ".join(parts) + "."
