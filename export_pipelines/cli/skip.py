"""`exports skip`."""

from __future__ import annotations

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.errors import SpecError
from export_pipelines.text import counted


@click.command()
@click.argument("name")
@click.argument("partition", nargs=-1)
@click.option("--until", metavar="KEY", help="Skip all that is due or given up, up to this partition.")
@click.option("--why", required=True, metavar="TEXT", help="The reason, for those who come later.")
@json_option
@click.pass_obj
def command(app: App, name: str, partition: tuple[str, ...], until: str | None, why: str) -> None:
    """Do without PARTITIONs of the export NAME: they were due or given up, and are not produced or missed any more.

    All of them are skipped, or none. A later tick that asks for the same partition makes it due again.
    """
    from export_pipelines.cli.pins import person
    from export_pipelines.ledger import due

    if bool(partition) == (until is not None):
        raise click.UsageError("Give PARTITIONs, or --until KEY.")
    if not why.strip():
        raise click.BadParameter("must not be blank", param_hint="--why")
    ledger = app.tolerant_project().ledger
    due.settle(ledger)  # what is published meanwhile is no longer due
    keys = list(dict.fromkeys(partition)) if until is None else _up_to(app, name, until)
    reason = f"skipped by {person()} on {app.now:%Y-%m-%d %H:%M} UTC: {why}"
    due.dismiss(ledger, name, keys, reason=reason)
    sentence = f"{name}: {counted(len(keys), 'partition')} skipped"
    document = {"export": name, "partitions": keys, "reason": reason}
    app.answer(document, lambda: click.echo(sentence))


def _up_to(app: App, name: str, until: str) -> list[str]:
    """What is due or given up of the export up to that partition. Raises SpecError if nothing is."""
    from export_pipelines.cli.partitions import window
    from export_pipelines.ledger import due

    if export := app.project.specs.exports.get(name):
        window(export, until)
    rows = due.find(app.project.ledger, "due", "given_up", export=name)
    keys = [row.partition for row in rows if row.partition <= until]
    if not keys:
        raise SpecError(f"nothing of export {name!r} is due up to {until}", hint=due.ADVICE.format(name))
    return keys
