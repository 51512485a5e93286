"""`exports path`."""

from __future__ import annotations

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.errors import SpecError


@click.command()
@click.argument("name")
@click.option("--partition", metavar="KEY", help="The partition. Default: whichever was published last.")
@json_option
@click.pass_obj
def command(app: App, name: str, partition: str | None) -> None:
    """Print the directory of the newest artifact of export NAME, an absolute path or a URI.

    Exits 1 if there is none.
    """
    from export_pipelines.cli.exports import known
    from export_pipelines.cli.views import artifact
    from export_pipelines.ledger.artifacts import find

    project = app.project
    known(project, name, partition)
    rows = find(project.ledger, export=name, partition=partition, limit=1)
    if not rows:
        what = f"partition {partition} of export {name}" if partition else f"export {name}"
        option = f" --partition {partition}" if partition else ""
        raise SpecError(f"nothing of {what} was published", hint=f"Produce it: exports run {name}{option}")
    found = artifact(rows[0], app.locations)
    if found["row_limit"] is not None:
        app.say(f"Warning: made with --limit {found['row_limit']}, so it is not complete", style="yellow")
    if not found["good"]:
        app.say("Warning: a blocking check failed, see: exports artifacts --files " + name, style="yellow")
    app.answer(found, lambda: click.echo(found["directory"]))
