"""`exports status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.errors import ExportError
from export_pipelines.text import first_sentence, moment, size

if TYPE_CHECKING:
    from export_pipelines.ledger.runs import RunRow


@click.command()
@json_option
@click.pass_context
def command(ctx: click.Context) -> None:
    """Show the schedules with their last and next run, exports whose last run failed, and free disk.

    Exits 1 if the last run of any export failed.
    """
    from export_pipelines.cli.views import attempt, problems
    from export_pipelines.ledger.runs import latest_by_export
    from export_pipelines.monitoring.storage import low

    app: App = ctx.obj
    project = app.tolerant_project()
    latest = latest_by_export(project.ledger)
    current = [latest[name] for name in sorted({*project.specs.exports} & {*latest})]
    failed = [attempt(row) for row in current if row.state in ("failed", "died")]
    document = {
        "ok": not failed,
        "schedules": _schedules(app, latest),
        "failed": failed,
        "running": [attempt(row) for row in current if row.state == "running"],
        "stores": _stores(app),
        "warnings": low(project),
        "ledger": project.ledger.where,
        "problems": problems(project.specs.problems),
    }
    app.answer(document, lambda: _show(app, document))
    ctx.exit(1 if failed else 0)


def _schedules(app: App, latest: dict[str, RunRow]) -> list[dict[str, Any]]:
    """Every schedule with its next tick and the newest run of its exports."""
    from export_pipelines.cli.schedules import schedule
    from export_pipelines.timing.ticks import timings

    entries = []
    for timing in timings(app.project.specs.exports.values()):
        runs = [latest[export.name] for export in timing.exports if export.name in latest]
        entry = schedule(app, timing, 1)
        entry["last_run_at"] = max((run.started_at for run in runs), default=None)
        entry["failed"] = [run.export for run in runs if run.state in ("failed", "died")]
        entries.append(entry)
    return entries


def _stores(app: App) -> list[dict[str, Any]]:
    """The stores and how much still fits into those on disk."""
    from export_pipelines.monitoring.storage import capacity

    entries = []
    for name, spec in app.project.specs.stores.items():
        root = app.locations.uri(name, "")
        entry: dict[str, Any] = {
            "store": name,
            "type": spec.type,
            "root": root,
            "free_bytes": None,
            "total_bytes": None,
        }
        try:
            app.project.store(name)
        except ExportError as error:
            app.say(f"Store {name}: {error}", style="yellow")
        if disk := capacity(app.project, name):
            entry |= {"free_bytes": disk.free_bytes, "total_bytes": disk.total_bytes}
        entries.append(entry)
    return entries


def _show(app: App, document: dict[str, Any]) -> None:
    from export_pipelines.cli.artifacts import span
    from export_pipelines.cli.output import console

    out = console()
    _show_schedules(document["schedules"])
    for run in document["running"]:
        out.print(f"\nRunning: {run['export']} {span(run)} since {_when(app, run)}")
    for run in document["failed"]:
        out.print(f"\nFailed: {run['export']} {span(run)}, {_when(app, run)}", style="bold red")
        out.print(f"  {_reason(run)}")
    if not document["failed"]:
        ran = any(schedule["last_run_at"] for schedule in document["schedules"])
        out.print("\nNo export failed last." if ran else "\nNo scheduled export has run yet.")
    for store in document["stores"]:
        free = "" if store["free_bytes"] is None else f" {size(store['free_bytes'])} free,"
        out.print(f"Store {store['store']}:{free} {store['root']}")
    for warning in document["warnings"]:
        out.print(warning, style="bold red")


def _show_schedules(schedules: list[dict[str, Any]]) -> None:
    from export_pipelines.cli.output import show_table, table

    result = table("Schedule", ">Exports", "Last run", "Next run", "Partition")
    for entry in schedules:
        following = entry["next"][0] if entry["next"] else None
        result.add_row(
            entry["name"],
            f"{len(entry['exports']):,}",
            moment(entry["last_run_at"], entry["timezone"]),
            moment(following["tick"], entry["timezone"]) if following else "-",
            _state(entry, following),
        )
    show_table(result, dispensable=("Partition", "Exports"))


def _state(entry: dict[str, Any], following: dict[str, Any] | None) -> str:
    """The next partition, or why there is none."""
    if following is None:
        return "it has ended"
    if entry["paused"]:
        return "paused"
    number = len(entry["paused_exports"])
    return (following["partition"] or "skipped") + (f", {number:,} paused" if number else "")


def _when(app: App, run: dict[str, Any]) -> str:
    from export_pipelines.cli.artifacts import timezone_of

    return moment(run["started_at"], timezone_of(app, run["export"]))


def _reason(run: dict[str, Any]) -> str:
    if run["state"] == "died":
        return "The process ended without a word: killed, out of memory, or the machine went down"
    return first_sentence(run["error"] or "no reason was recorded")
