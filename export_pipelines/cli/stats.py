"""`exports stats`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from export_pipelines.cli.app import App, json_option
from export_pipelines.text import change, day, duration, moment, percent, printable, size

if TYPE_CHECKING:
    from export_pipelines.cli.tables import Table
    from export_pipelines.ledger.runs import RunRow
    from export_pipelines.monitoring.stats import ExportStats


@click.command()
@click.argument("name", required=False)
@click.option(
    "--days", type=click.IntRange(min=1), default=7, show_default=True, metavar="N", help="Of the last N days."
)
@click.option("--all", "everything", is_flag=True, help="Everything that the ledger has.")
@click.option("--slowest", type=click.IntRange(min=1), metavar="N", help="Show the N slowest runs too.")
@click.option("--storage", is_flag=True, help="Show what is in the stores now, and how much still fits, instead.")
@json_option
@click.pass_context
def command(
    ctx: click.Context, name: str | None, days: int, everything: bool, slowest: int | None, storage: bool
) -> None:
    """Sum up, per export, how runs ended, how long they took and what they published; or what is in the stores."""
    from export_pipelines.cli import storage as storage_part
    from export_pipelines.cli.exports import known

    app: App = ctx.obj
    app.tolerant_project()
    if name is not None:
        known(app.project, name)
    if not storage:
        _answer(app, name, days=None if everything else days, slowest=slowest)
        return
    if everything or slowest or ctx.get_parameter_source("days") != ParameterSource.DEFAULT:
        raise click.UsageError("--storage is about what is there now; --days, --all and --slowest are about runs")
    storage_part.answer(app, name)


def _answer(app: App, name: str | None, *, days: int | None, slowest: int | None) -> None:
    """The statistics of runs; `days` is None for all."""
    from export_pipelines.cli.views import attempt
    from export_pipelines.monitoring import stats

    ledger = app.project.ledger
    since = None if days is None else app.now - timedelta(days=days)
    exports = stats.run_stats(ledger, since=since, export=name)
    total = stats.total_stats(ledger, since=since, export=name)
    longest = stats.slowest(ledger, since=since, limit=slowest, export=name) if slowest else []
    document = {
        "days": days,
        "total": entry(total),
        "exports": [{"export": found.export, **entry(found)} for found in exports],
        "slowest": [attempt(row) for row in longest],
    }
    app.answer(document, lambda: _show(app, exports, total, longest))


def entry(stats: ExportStats) -> dict[str, Any]:
    """Statistics as part of a JSON document."""
    return {
        "runs": stats.runs,
        "succeeded": stats.succeeded,
        "failures": stats.failed,
        "running": stats.running,
        "success_rate": _rounded(stats.success_rate, 4),
        "artifacts": stats.artifacts,
        "partitions": stats.partitions,
        "rows": stats.rows,
        "bytes": stats.bytes,
        "seconds": _rounded(stats.seconds, 3),
        "average_seconds": _rounded(stats.average_seconds, 3),
        "slowest_seconds": _rounded(stats.slowest_seconds, 3),
        "rows_per_second": _rounded(stats.rows_per_second, 1),
        "oldest": stats.oldest,
        "newest": stats.newest,
        "trend_percent": _rounded(stats.trend, 1),
        "success_trend_points": _rounded(stats.success_trend, 1),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _show(app: App, exports: list[ExportStats], total: ExportStats, longest: list[RunRow]) -> None:
    from export_pipelines.cli.artifacts import timezone_of
    from export_pipelines.cli.output import show_table, table

    if not exports:
        app.say("Nothing was produced in this time. Look further back: --days 30, or --all")
        return
    result = table("Export", ">Runs", ">Success", ">Average", ">Trend", ">Rows/s", ">Rows", ">Size", "Newest")
    for found in exports:
        _add(result, found.export, found, day(found.newest, timezone_of(app, found.export)))
    if len(exports) > 1:
        _add(result, "All exports", total, day(total.newest))
    show_table(result, dispensable=("Newest", "Rows/s", "Trend"), wide="Export", folded=False)
    if longest:
        click.echo("\nSlowest runs")
        _show_slowest(app, longest)


def _add(result: Table, name: str, stats: ExportStats, newest: str) -> None:
    result.add_row(
        name,
        f"{stats.runs:,}",
        percent(stats.success_rate),
        "-" if stats.average_seconds is None else duration(stats.average_seconds),
        change(stats.trend),
        "-" if stats.rows_per_second is None else f"{stats.rows_per_second:,.0f}",
        f"{stats.rows:,}",
        size(stats.bytes),
        newest,
    )


def _show_slowest(app: App, longest: Iterable[RunRow]) -> None:
    from export_pipelines.cli.artifacts import timezone_of
    from export_pipelines.cli.output import show_table, table

    result = table("Export", "Partition", "Started", ">Duration", ">Rows")
    for row in longest:
        started = moment(row.started_at, timezone_of(app, row.export))
        took = "-" if row.seconds is None else duration(row.seconds)
        result.add_row(printable(row.export), row.span, started, took, f"{row.rows or 0:,}")
    show_table(result, dispensable=("Started",), wide="Export", folded=False)
