"""`exports history`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.text import duration, first_sentence, moment

if TYPE_CHECKING:
    from export_pipelines.ledger.runs import RunRow

_DIED = "The process ended without a word"


@click.command()
@click.argument("name", required=False)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@click.option("--failed", is_flag=True, help="Only those that failed or died.")
@json_option
@click.pass_obj
def command(app: App, name: str | None, limit: int, failed: bool) -> None:
    """List attempts to produce a partition, of all exports or of NAME, newest first, and how they ended."""
    from export_pipelines.cli.exports import known
    from export_pipelines.cli.views import attempt
    from export_pipelines.ledger.runs import recent

    project = app.tolerant_project()
    if name is not None:
        known(project, name)
    rows = recent(project.ledger, export=name, states=("failed", "died") if failed else (), limit=limit + 1)
    found, more = rows[:limit], len(rows) > limit
    document = {"runs": [attempt(row) for row in found], "more": more}
    app.answer(document, lambda: _show(app, found, more=more, failed=failed))


def _show(app: App, found: list[RunRow], *, more: bool, failed: bool) -> None:
    from export_pipelines.cli.artifacts import timezone_of
    from export_pipelines.cli.output import show_table, table

    if not found:
        app.say("Nothing has failed." if failed else "Nothing has run. Produce something: exports run NAME")
        return
    result = table("Started", "Export", "Partition", "State", ">Duration", ">Rows", "Why")
    for row in found:
        result.add_row(
            moment(row.started_at, timezone_of(app, row.export)),
            row.export,
            row.span,
            row.state,
            "-" if row.seconds is None else duration(row.seconds),
            "-" if row.rows is None else f"{row.rows:,}",
            first_sentence(row.error) if row.error else _DIED if row.state == "died" else "",
        )
    show_table(result, wide="Why")
    if more:
        app.say(f"There are older ones: --limit {len(found) * 10}")
