"""`exports retention`."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.text import counted, day, printable, size

if TYPE_CHECKING:
    from export_pipelines.ledger.inventory import Item
    from export_pipelines.retention.plan import Plan

_FIELDS = ("artifact_id", "export", "partition", "window_start", "window_end", "created_at", "store", "bytes", "good")


@click.command()
@click.argument("name", required=False)
@json_option
@click.pass_context
def command(ctx: click.Context, name: str | None) -> None:
    """Show what the retention policies say of every artifact, or of those of NAME: what stays and why, and what goes.

    It is a plan: nothing is deleted. Exits 1 if the plan deletes so much at once that it is refused.
    """
    from export_pipelines.cli.exports import known
    from export_pipelines.retention.survey import survey

    app: App = ctx.obj
    project = app.tolerant_project()
    if name is not None:
        known(project, name)
    plan = survey(project, app.now, export=name)
    document = {
        "ok": not plan.refused,
        "at": plan.at,
        "keep": [{**_entry(kept.item), "reasons": list(kept.reasons)} for kept in plan.keep],
        "delete": [{**_entry(deletion.item), "reason": deletion.reason} for deletion in plan.delete],
        "kept_bytes": plan.bytes_kept,
        "deleted_bytes": plan.bytes_deleted,
        "refused": [{"export": refusal.export, "message": refusal.message} for refusal in plan.refused],
        "notes": plan.notes,
    }
    app.answer(document, lambda: _show(app, plan))
    ctx.exit(0 if document["ok"] else 1)


def _entry(item: Item) -> dict[str, Any]:
    return {name: getattr(item, name) for name in _FIELDS}


def _show(app: App, plan: Plan) -> None:
    from export_pipelines.cli.artifacts import timezone_of
    from export_pipelines.cli.output import show_table, table

    if not plan.keep and not plan.delete:
        app.say("Nothing was published, so there is nothing to keep or to delete.")
        return
    decided = [(entry.item, "keep", ", ".join(entry.reasons)) for entry in plan.keep]
    decided += [(entry.item, "delete", entry.reason) for entry in plan.delete]
    decided.sort(key=lambda entry: entry[0].export)
    result = table("Plan", "Artifact", "Export", "Partition", "Ended", ">Size", "Why")
    for export, entries in groupby(decided, key=lambda entry: entry[0].export):
        timezone = timezone_of(app, export)
        for item, decision, why in entries:
            ended = day(item.window_end, timezone)
            cells = (item.artifact_id[:8], printable(export), item.partition, ended, size(item.bytes))
            result.add_row(decision, *cells, printable(why))
    show_table(result, dispensable=("Ended", "Size"), wide="Why")
    kept = f"{counted(len(plan.keep), 'artifact')} kept, {size(plan.bytes_kept)}"
    click.echo(f"\n{kept}; {len(plan.delete):,} would be deleted, {size(plan.bytes_deleted)}")
    for note in plan.notes:
        app.say(f"Note: {printable(note)}", style="yellow")
    for refusal in plan.refused:
        app.say(f"Refused: {printable(refusal.message)}", style="red")
    app.say("This is a plan: nothing was deleted.")
