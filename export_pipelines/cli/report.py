"""`exports report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from export_pipelines.cli.app import App, json_option

if TYPE_CHECKING:
    from export_pipelines.monitoring.report import Report
    from export_pipelines.monitoring.stats import DayStats


@click.command()
@click.option(
    "--days", type=click.IntRange(1, 366), default=7, show_default=True, metavar="N", help="Today and the days before."
)
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the page there.")
@click.option("--timezone", metavar="ZONE", help="Days and times of this timezone. Default: that of most exports.")
@json_option
@click.pass_obj
def command(app: App, days: int, html: Path | None, timezone: str | None) -> None:
    """Write a page about the last days: success, speed, rows, failures, what is late.

    The page is one HTML file that needs no other, to open, to print or to send.
    """
    from export_pipelines.monitoring.report import make_report

    if html is None and not app.json:
        raise click.UsageError("Say where to: --html FILE, or --json for the figures.")
    made = make_report(app.tolerant_project(), days=days, now=app.now, timezone=_zone(timezone))
    if html is not None:
        from export_pipelines.cli.files import replace_file
        from export_pipelines.monitoring.page import render

        replace_file(html, render(made).encode("utf-8", "replace"), what="report")
    app.answer(_document(made, html), lambda: click.echo(f"Wrote {html}"))


def _zone(name: str | None) -> str | None:
    from export_pipelines.spec.schedules import check_timezone

    try:
        return name and check_timezone(name)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--timezone") from error


def _document(report: Report, html: Path | None) -> dict[str, Any]:
    from export_pipelines.cli.stats import entry
    from export_pipelines.cli.views import attempt

    exports = [
        {"export": stats.export, "late": report.late.get(stats.export, 0), **entry(stats)} for stats in report.exports
    ]
    return {
        "file": str(html) if html else None,
        "since": report.since,
        "until": report.until,
        "timezone": report.timezone,
        "total": {"late": sum(report.late.values()), **entry(report.total)},
        "by_day": [_day(day) for day in report.days],
        "exports": exports,
        "slowest": [attempt(row) for row in report.slowest],
        "failed": [attempt(row) for row in report.failures],
        "problems": report.health.problems,
        "incidents": [vars(trouble) for trouble in report.health.troubles],
    }


def _day(stats: DayStats) -> dict[str, Any]:
    """One day, under the names that statistics have in JSON."""
    values = dict(vars(stats))
    failures = values.pop("failed")
    return {**values, "failures": failures, "seconds": round(stats.seconds, 3)}
