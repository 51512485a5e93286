"""`exports stats`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.cli.text import day, rate, size


@click.command()
@click.argument("name", required=False)
@click.option("--days", type=click.IntRange(min=1), metavar="N", help="Only of the last N days. Default: all.")
@json_option
@click.pass_obj
def command(app: App, name: str | None, days: int | None) -> None:
    """Sum up, per export, what was published and how many runs failed."""
    from export_pipelines.cli.exports import known

    project = app.tolerant_project()
    if name is not None:
        known(project, name)
    exports = _exports(app, name, days)
    app.answer({"days": days, "exports": exports}, lambda: _show(app, exports))


def _exports(app: App, name: str | None, days: int | None) -> list[dict[str, Any]]:
    from export_pipelines.ledger import artifacts, runs

    since = app.now - timedelta(days=days) if days else None
    totals = {total.export: total for total in artifacts.totals(app.project.ledger, since=since)}
    failures = runs.failures(app.project.ledger, since=since)
    entries = []
    for export in sorted({*totals, *failures}):
        total = totals.get(export)
        entry: dict[str, Any] = {
            "export": export,
            "artifacts": total.artifacts if total else 0,
            "partitions": total.partitions if total else 0,
            "rows": total.rows if total else 0,
            "bytes": total.bytes if total else 0,
            "seconds": round(total.seconds, 3) if total else 0.0,
            "rows_per_second": rate(total.rows, total.seconds) if total else None,
            "oldest": total.oldest if total else None,
            "newest": total.newest if total else None,
            "failures": failures.get(export, 0),
        }
        entries.append(entry)
    return [entry for entry in entries if name in (None, entry["export"])]


def _show(app: App, exports: list[dict[str, Any]]) -> None:
    from export_pipelines.cli.artifacts import timezone_of
    from export_pipelines.cli.output import show_table, table

    if not exports:
        app.say("Nothing was produced in this time.")
        return
    result = table("Export", ">Artifacts", ">Partitions", ">Rows", ">Size", ">Rows/s", "Oldest", "Newest", ">Failures")
    for entry in exports:
        result.add_row(
            entry["export"],
            f"{entry['artifacts']:,}",
            f"{entry['partitions']:,}",
            f"{entry['rows']:,}",
            size(entry["bytes"]),
            "-" if entry["rows_per_second"] is None else f"{entry['rows_per_second']:,.0f}",
            day(entry["oldest"], timezone_of(app, entry["export"])),
            day(entry["newest"], timezone_of(app, entry["export"])),
            f"{entry['failures']:,}",
        )
    show_table(result, dispensable=("Oldest", "Partitions"), wide="Export", folded=False)
