"""`exports prune`."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.text import counted, day, printable, size

if TYPE_CHECKING:
    from export_pipelines.ledger.inventory import Item
    from export_pipelines.retention.plan import Deletion, Kept, Plan
    from export_pipelines.retention.report import Outcome


@click.command()
@click.argument("name", required=False)
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and why everything else stays.")
@click.option("--yes-really", is_flag=True, help="Delete also what is refused because it is so much at once.")
@json_option
@click.pass_context
def command(ctx: click.Context, name: str | None, dry_run: bool, yes_really: bool) -> None:
    """Delete what the retention policies do not keep, of all exports or of NAME; archive it first where they say so.

    The newest good artifact of an export, and what is pinned or held, always stays. Also sweeps what killed runs have
    left. Exits 1 if something is refused or fails; then everything else is done all the same.
    """
    from export_pipelines.cli.exports import known
    from export_pipelines.cli.pins import person
    from export_pipelines.retention.passes import Order, Pass
    from export_pipelines.retention.prune import prune

    app: App = ctx.obj
    project = app.tolerant_project()
    if name is not None:
        known(project, name)
    exports = None if name is None else (name,)
    order = Order(by=person(), now=app.now, exports=exports, insist=yes_really, dry_run=dry_run)
    outcome = prune(Pass(project, order))
    document = _document(outcome, dry_run=dry_run)
    app.answer(document, lambda: _show_plan(app, outcome.plan) if dry_run else _show(app, outcome))
    ctx.exit(0 if document["ok"] else 1)


def _document(outcome: Outcome, *, dry_run: bool) -> dict[str, Any]:
    from export_pipelines.cli.documents import Rows

    plan = outcome.plan
    refused = [{"export": refusal.export, "message": refusal.message} for refusal in plan.refused]
    return {
        "ok": not outcome.errors,
        "dry_run": dry_run,
        "at": plan.at,
        "keep": Rows(_staying, plan.keep),
        "delete": Rows(_going, plan.delete),
        "kept_bytes": plan.bytes_kept,
        "delete_bytes": plan.bytes_deleted,
        "refused": refused,
        "notes": plan.notes,
        "deleted": [
            {"artifact_id": row.artifact_id, "export": row.export, "partition": row.partition, "bytes": row.bytes}
            | {"last_partition": row.last_partition, "archived": row.sealed}
            for row in outcome.deleted
        ],
        "deleted_bytes": outcome.bytes,
        "swept": list(outcome.swept),
        "errors": list(outcome.errors),
    }


def _entry(item: Item, **decision: Any) -> dict[str, Any]:
    return {
        "artifact_id": item.artifact_id,
        "export": item.export,
        "partition": item.partition,
        "last_partition": item.last_partition,
        "window_start": item.window_start,
        "window_end": item.window_end,
        "created_at": item.created_at,
        "store": item.store,
        "bytes": item.bytes,
        "good": item.good,
        **decision,
    }


def _staying(kept: Kept) -> dict[str, Any]:
    return _entry(kept.item, reasons=kept.reasons)


def _going(gone: Deletion) -> dict[str, Any]:
    return _entry(gone.item, reason=gone.reason, archive=gone.archive.store if gone.archive else None)


def _show_plan(app: App, plan: Plan) -> None:
    from export_pipelines.cli.artifacts import timezone_of
    from export_pipelines.cli.output import show_table, table

    if not plan.keep and not plan.delete:
        app.say("Nothing was published, so there is nothing to keep or to delete.")
        return
    decided = [(entry.item, "keep", ", ".join(entry.reasons)) for entry in plan.keep]
    decided += [(entry.item, "archive" if entry.archive else "delete", entry.reason) for entry in plan.delete]
    decided.sort(key=lambda entry: entry[0].export)
    result = table("Plan", "Artifact", "Export", "Partition", "Ended", ">Size", "Why")
    for export, entries in groupby(decided, key=lambda entry: entry[0].export):
        timezone = timezone_of(app, export)
        for item, decision, why in entries:
            ended = day(item.window_end, timezone)
            cells = (item.artifact_id[:8], printable(export), item.span, ended, size(item.bytes))
            result.add_row(decision, *cells, printable(why))
    show_table(result, dispensable=("Ended", "Size"), wide="Why")
    archived = [gone for gone in plan.delete if gone.archive]
    first = f", {len(archived):,} of them archived first" if archived else ""
    kept = f"{counted(len(plan.keep), 'artifact')} kept, {size(plan.bytes_kept)}"
    click.echo(f"\n{kept}; {len(plan.delete):,} would be deleted, {size(plan.bytes_deleted)}{first}")
    for note in plan.notes:
        app.say(f"Note: {printable(note)}", style="yellow")
    for refusal in plan.refused:
        app.say(f"Refused: {printable(refusal.message)}", style="red")
    app.say("This is a plan: nothing was deleted.")


def _show(app: App, outcome: Outcome) -> None:
    from export_pipelines.cli.output import show_table, table

    if outcome.deleted:
        result = table("Deleted", "Export", "Partition", ">Size", "Archive", "Why")
        for row in outcome.deleted:
            archive = row.archive_store if row.archive_store and row.sealed else "-"
            cells = (row.artifact_id[:8], printable(row.export), row.span, size(row.bytes), archive)
            result.add_row(*cells, printable(row.why))
        show_table(result, dispensable=("Size",), wide="Why")
        click.echo("")
    click.echo(outcome.summary())
    for note in outcome.plan.notes:
        app.say(f"Note: {printable(note)}", style="yellow")
    for error in outcome.errors:
        app.say(printable(error), style="red")
