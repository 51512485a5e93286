"""`exports due`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.errors import SpecError
from export_pipelines.text import moment

if TYPE_CHECKING:
    from export_pipelines.ledger.due import DueRow

_SKIPPED_DAYS = 7
_SHOWN = (
    "export", "partition", "schedule", "tick", "state", "cause", "reason", "attempts", "failures", "requested_at",
    "next_attempt_at",
)  # fmt: skip


@click.command()
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="Also what was published, and what was skipped earlier.")
@json_option
@click.pass_obj
def command(app: App, name: str | None, everything: bool) -> None:
    """Show the partitions that ticks asked for and that are not published, of all exports or of NAME, oldest first.

    What is missing or waits, what was given up, and what was skipped in the last seven days, with the reasons.
    """
    from export_pipelines.cli.pausing import paused_exports
    from export_pipelines.ledger.due import listed

    specs = app.tolerant_project().specs
    since = None if everything else app.now - timedelta(days=_SKIPPED_DAYS)
    rows = listed(app.project.ledger, export=name, since=since, done=everything)
    if name and not rows and name not in specs.exports and name not in specs.quarantined:
        raise SpecError(f"there is no export {name!r}", hint="List them: exports list")
    paused, upstream = paused_exports(app), _upstream(app, rows)
    found = [_view(app, row, paused.get(row.export), upstream.get(row.id)) for row in rows]
    app.answer({"partitions": found}, lambda: _show(app, found))


def _upstream(app: App, rows: list[DueRow]) -> dict[int, str]:
    """Id of a row -> the others that it waits for, and until when. Assets count as missing: only Dagster knows them."""
    from export_pipelines.catching_up.upstream import missing_exports, waiting
    from export_pipelines.catching_up.waiting import is_waiting, listed, waits_until

    mine = {(row.export, row.partition): row for row in rows if is_waiting(row)}
    candidates = waiting(app.project, mine)
    missing = missing_exports(app.project, candidates)
    found = {}
    for one in candidates:
        row = mine[one.export.name, one.partition]
        until = waits_until(row, one.after)
        lacks = missing.get((row.export, row.partition), ())
        exports = [replace(lack, name=f"{lack.name} {row.partition}") for lack in lacks]
        if absent := [*exports, *(f"asset {path}" for path in one.after.assets)]:
            found[row.id] = f"{listed(absent)}, until {moment(until, one.export.timezone)}"
    return found


def _view(app: App, row: DueRow, paused: dict[str, Any] | None, upstream: str | None) -> dict[str, Any]:
    shown = {name: getattr(row, name) for name in _SHOWN}
    return {**shown, "waits_for": _waits_for(app, row, paused, upstream)}


def _waits_for(app: App, row: DueRow, paused: dict[str, Any] | None, upstream: str | None) -> str | None:
    """What a partition that is due waits for, in words."""
    from export_pipelines.cli.pausing import in_words

    specs = app.project.specs
    if row.state != "due":
        return None
    if row.export not in specs.exports:
        return "the spec to be mended: exports check" if row.export in specs.quarantined else "the spec, which is gone"
    if paused:
        words = in_words(paused, specs.exports[row.export].timezone)
        return f"the end of its pause, {words}"
    if upstream or row.requested_at:
        return upstream or "its run"
    if row.next_attempt_at and row.next_attempt_at > app.now:
        return f"attempt {row.attempts + 1}, at {moment(row.next_attempt_at, specs.exports[row.export].timezone)}"
    return "the sensor catch_up, or the end of another run"


def _show(app: App, rows: list[dict[str, Any]]) -> None:
    from export_pipelines.cli.output import show_table, table

    if not rows:
        click.echo("Nothing is missing.")
        return
    result = table("Export", "Partition", "State", "Due at", ">Failed", "Why")
    exports = app.project.specs.exports
    for row in rows:
        timezone = exports[row["export"]].timezone if row["export"] in exports else "UTC"
        why = [row["reason"] or "", f"waits for {row['waits_for']}" if row["waits_for"] else ""]
        result.add_row(
            row["export"],
            row["partition"],
            row["state"].replace("_", " "),
            moment(row["tick"], timezone),
            f"{row['failures']:,}" if row["failures"] else "-",
            "; ".join(filter(None, why)),
        )
    show_table(result, dispensable=("Failed", "Due at"), wide="Why")
