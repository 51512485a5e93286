"""`exports unpin`."""

from __future__ import annotations

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.errors import SpecError


@click.command()
@click.argument("artifact")
@click.option("--why", default="", metavar="TEXT", help="The reason, for those who come later.")
@json_option
@click.pass_obj
def command(app: App, artifact: str, why: str) -> None:
    """Take the pin from ARTIFACT: from now on its retention policy decides. Exits 1 if it is not pinned.

    The beginning of the artifact's id is enough. Holds stay.
    """
    from export_pipelines.cli.pins import answer, person
    from export_pipelines.ledger import artifacts, pins

    ledger = app.tolerant_project().ledger
    row = artifacts.get(ledger, artifact)
    artifact_id = row.manifest.artifact_id
    if not pins.end(ledger, artifact_id, "pin", by=person(), why=why, at=app.now):
        raise SpecError(f"artifact {artifact_id[:8]} is not pinned", hint="What holds it: exports retention")
    answer(app, row, "no longer pinned")
