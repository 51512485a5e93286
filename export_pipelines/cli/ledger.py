"""`exports ledger`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.errors import ExportError
from export_pipelines.text import counted, moment, size

if TYPE_CHECKING:
    from export_pipelines.ledger.vacuum import Vacuumed

_EMPTY = {"artifacts": None, "archives": None, "unreadable": (), "error": None}


@click.group()
def command() -> None:
    """Look after the ledger, the database of what was published."""


@command.command()
@json_option
@click.pass_context
def rebuild(ctx: click.Context) -> None:
    """Register anew what the manifests and archives in all stores say.

    For a ledger that was lost or restored from an old backup. Files are not changed, and the record of runs stays as
    it is. Exits 1 if a store or a manifest cannot be read; what a store that cannot be read held stays registered.
    """
    from export_pipelines.cli.verify import finding
    from export_pipelines.rebuild import rebuild as rebuild_store
    from export_pipelines.rebuild import rebuild_archives

    app: App = ctx.obj
    project = app.tolerant_project()
    stores: dict[str, dict[str, Any]] = {name: {"store": name, **_EMPTY} for name in project.specs.stores}
    for found, kind in ((rebuild_store, "artifacts"), (rebuild_archives, "archives")):
        for name, entry in stores.items():
            try:
                entry[kind], unreadable = found(project.store(name), project.ledger)
                entry["unreadable"] = [*entry["unreadable"], *(finding(f, app.locations) for f in unreadable)]
            except ExportError as error:
                entry["error"] = str(error)
    entries = list(stores.values())
    ok = not any(entry["unreadable"] or entry["error"] for entry in entries)
    app.answer({"ok": ok, "ledger": project.ledger.where, "stores": entries}, lambda: _show(app, entries))
    ctx.exit(0 if ok else 1)


@command.command()
@click.option("--days", type=int, metavar="N", help="Keep the last N days instead of EXPORT_HISTORY_DAYS.")
@click.option("--dry-run", is_flag=True, help="Only say how much would be deleted.")
@json_option
@click.pass_obj
def vacuum(app: App, days: int | None, dry_run: bool) -> None:
    """Delete old history: repeated attempts, events, messages, incidents, ticks.

    What was published, deleted and archived stays on record for ever, and so does how each partition stands.
    """
    from export_pipelines.ledger.vacuum import LEAST_DAYS, Vacuumed, days_of
    from export_pipelines.ledger.vacuum import vacuum as vacuum_ledger

    kept = days if days is not None else days_of(app.settings, "EXPORT_HISTORY_DAYS", least=LEAST_DAYS)
    done = Vacuumed(before=None)
    if kept is not None:
        done = vacuum_ledger(app.project.ledger, app.now, days=kept, dry_run=dry_run)
    app.answer({"days": kept, "dry_run": dry_run, **asdict(done)}, lambda: _show_vacuumed(done, dry_run=dry_run))


def _show_vacuumed(done: Vacuumed, *, dry_run: bool) -> None:
    if done.before is None:
        click.echo("EXPORT_HISTORY_DAYS is off: all history stays")
        return
    names = ("attempts", "events", "notifications", "messages", "incidents", "ticks")
    found = [counted(number, name.removesuffix("s")) for name in names if (number := getattr(done, name))]
    what = ", ".join(found) or "nothing"
    click.echo(f"{'Would delete' if dry_run else 'Deleted'} from before {moment(done.before)}: {what}")
    if (saved := (done.file_bytes_before or 0) - (done.file_bytes_after or 0)) > 0:
        click.echo(f"The ledger's file is {size(saved)} smaller: {size(done.file_bytes_after or 0)}")


def _show(app: App, stores: list[dict[str, Any]]) -> None:
    for entry in stores:
        if entry["error"]:
            app.say(f"Store {entry['store']}: {entry['error']}", style="red")
        else:
            archives = f" and {counted(entry['archives'], 'archive')}" if entry["archives"] else ""
            click.echo(f"Store {entry['store']}: {counted(entry['artifacts'], 'artifact')}{archives} registered")
        for found in entry["unreadable"]:
            app.say(f"{found['uri']}: {found['message']}", style="red")
