"""`exports restore`."""

from __future__ import annotations

import click

from export_pipelines.cli.app import App, json_option


@click.command()
@click.argument("artifact")
@click.option("--no-pin", is_flag=True, help="Do not pin it; the next cleanup may delete it again.")
@json_option
@click.pass_obj
def command(app: App, artifact: str, no_pin: bool) -> None:
    """Bring ARTIFACT back from its archive, to where it was, and pin it.

    Every file is compared with what was published. The beginning of the artifact's id is enough; what was deleted:
    exports artifacts --deleted.
    """
    from export_pipelines.cli.pins import person
    from export_pipelines.cli.views import artifact as view
    from export_pipelines.retention.restore import restore

    project = app.tolerant_project()
    row = restore(project, artifact, by=person(), now=app.now, pinned=not no_pin)
    manifest = row.manifest
    document = {**view(row, app.locations), "pinned": not no_pin}
    where = app.locations.uri(row.store, row.directory or row.manifest_path)
    what = f"{manifest.export} {manifest.span}, artifact {manifest.artifact_id[:8]}"
    pinned = "" if no_pin else f", and pinned: exports unpin {manifest.artifact_id[:8]} lets its policy decide again"
    app.answer(document, lambda: click.echo(f"{what}: restored to {where}{pinned}"))
