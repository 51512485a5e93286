"""`exports pin`."""

from __future__ import annotations

import click

from export_pipelines.cli.app import App, json_option


@click.command()
@click.argument("artifact")
@click.option("--why", default="", metavar="TEXT", help="The reason, for those who come later.")
@json_option
@click.pass_obj
def command(app: App, artifact: str, why: str) -> None:
    """Pin ARTIFACT: it stays, whatever its retention policy says, until it is unpinned.

    The beginning of the artifact's id is enough.
    """
    from export_pipelines.cli.pins import answer, person
    from export_pipelines.ledger import artifacts, pins

    ledger = app.tolerant_project().ledger
    row = artifacts.get(ledger, artifact)
    made = pins.pin(ledger, row.manifest.artifact_id, by=person(), why=why, at=app.now)
    since = "pinned" if made.at == app.now else f"pinned already, by {made.by} on {made.at:%Y-%m-%d}"
    answer(app, row, since)
