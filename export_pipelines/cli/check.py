"""`exports check`."""

from __future__ import annotations

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.text import counted


@click.command()
@json_option
@click.pass_context
def command(ctx: click.Context) -> None:
    """Name every mistake in every spec file, as `file:line path: message`. Exits 1 if there is one."""
    from export_pipelines.cli.views import problems

    app: App = ctx.obj
    specs = app.project.specs
    found = problems(specs.problems)
    app.answer({"ok": not found, "exports": len(specs.exports), "problems": found}, lambda: _show(app))
    ctx.exit(1 if found else 0)


def _show(app: App) -> None:
    specs, directory = app.project.specs, app.settings.specs
    for problem in specs.problems:
        click.echo(str(problem))
    if specs.problems:
        app.say(f"{counted(len(specs.problems), 'mistake')} in {directory}", style="red")
    else:
        number = counted(len(specs.exports), "export")
        click.echo(f"{number} and {counted(len(specs.schedules), 'schedule')} in {directory}, no mistakes.")
