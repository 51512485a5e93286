"""`exports ledger`."""

from __future__ import annotations

from typing import Any

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.errors import ExportError
from export_pipelines.text import counted


@click.group()
def command() -> None:
    """Look after the ledger, the database of what was published."""


@command.command()
@json_option
@click.pass_context
def rebuild(ctx: click.Context) -> None:
    """Register anew what the manifests in all stores say.

    For a ledger that was lost or restored from an old backup. Files are not changed, and the record of runs stays as
    it is. Exits 1 if a store or a manifest cannot be read; what a store that cannot be read held stays registered.
    """
    from export_pipelines.cli.verify import finding
    from export_pipelines.verify import rebuild as rebuild_store

    app: App = ctx.obj
    project = app.tolerant_project()
    stores: list[dict[str, Any]] = []
    for name in project.specs.stores:
        entry: dict[str, Any] = {"store": name, "artifacts": None, "unreadable": [], "error": None}
        try:
            number, unreadable = rebuild_store(project.store(name), project.ledger)
            entry |= {"artifacts": number, "unreadable": [finding(f, app.locations) for f in unreadable]}
        except ExportError as error:
            entry["error"] = str(error)
        stores.append(entry)
    ok = not any(entry["unreadable"] or entry["error"] for entry in stores)
    app.answer({"ok": ok, "ledger": project.ledger.where, "stores": stores}, lambda: _show(app, stores))
    ctx.exit(0 if ok else 1)


def _show(app: App, stores: list[dict[str, Any]]) -> None:
    for entry in stores:
        if entry["error"]:
            app.say(f"Store {entry['store']}: {entry['error']}", style="red")
        else:
            click.echo(f"Store {entry['store']}: {counted(entry['artifacts'], 'artifact')} registered")
        for found in entry["unreadable"]:
            app.say(f"{found['uri']}: {found['message']}", style="red")
