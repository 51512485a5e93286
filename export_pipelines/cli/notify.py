"""`exports notify`."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.text import counted, first_sentence, moment

if TYPE_CHECKING:
    from export_pipelines.notify.drain import Drained
    from export_pipelines.notify.outbox import MessageRow

_STATES = ("pending", "sent", "failed", "off")
_PASS_SECONDS = 600


@click.group()
def command() -> None:
    """Look at notifications, send them, try a recipient."""


@command.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many messages.")
@click.option("--state", type=click.Choice(_STATES), help="Only messages in this state.")
@json_option
@click.pass_obj
def list_(app: App, limit: int, state: Any) -> None:
    """Messages to recipients, newest first, and what became of them."""
    from export_pipelines.notify.outbox import recent

    rows = recent(app.tolerant_project().ledger, limit=limit, state=state)
    document = {"messages": [{name: getattr(row, name) for name in row.__dataclass_fields__} for row in rows]}
    app.answer(document, lambda: _show(app, rows))


@command.command()
@click.option("--watch", is_flag=True, help="Go on until Ctrl-C or SIGTERM.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=10,
    show_default=True,
    metavar="SECONDS",
    help="Pause of --watch.",
)
@json_option
@click.pass_context
def send(ctx: click.Context, watch: bool, every: float) -> None:
    """Send what is due now, as the sensor `notifications` does. Exits 1 if something could not be sent.

    Only one sender is at work at a time; a second one waits for the next round with --watch, and does nothing without.
    """
    from export_pipelines.errors import TransientError
    from export_pipelines.notify.drain import drain

    app: App = ctx.obj
    project = app.tolerant_project()
    stop = threading.Event()
    if watch:
        for number in (signal.SIGINT, signal.SIGTERM):  # not in the middle of a message
            signal.signal(number, lambda *_: stop.set())
    while True:
        try:
            done = drain(project, seconds=_PASS_SECONDS, stopped=stop.is_set)
            if not watch or done.sent or done.failed:
                _report(app, done)
        except TransientError as error:
            if not watch:
                raise
            app.say(f"Warning: {error}", style="yellow")
        if not watch or stop.wait(every):
            break
    if not watch:
        ctx.exit(1 if done.failed or done.waiting else 0)


@command.command()
@click.argument("name")
@json_option
@click.pass_context
def test(ctx: click.Context, name: str) -> None:
    """Send a test message to the recipient NAME, or to an e-mail address."""
    from export_pipelines.errors import SpecError
    from export_pipelines.notify.drain import send_test
    from export_pipelines.notify.routing import recipient

    app: App = ctx.obj
    project = app.tolerant_project()
    if recipient(project.specs, name) is None:
        known = ", ".join(project.specs.recipients) or "none is defined"
        raise SpecError(f"there is no recipient {name!r}", hint=f"Known: {known}")
    refused = send_test(project, name, app.now)
    app.answer(
        {"recipient": name, "refused": refused}, lambda: click.echo(f"Sent to {name}{refused and f', {refused}'}")
    )


@command.command()
@json_option
@click.pass_obj
def retry(app: App) -> None:
    """Make messages that were refused, or given up, due again."""
    from export_pipelines.notify.outbox import retry as retry_failed

    number = retry_failed(app.tolerant_project().ledger, app.now)
    app.answer({"messages": number}, lambda: click.echo(f"{counted(number, 'message')} will be tried again"))


def _report(app: App, done: Drained) -> None:
    document = {name: getattr(done, name) for name in ("sent", "failed", "waiting", "busy")}

    def _show_counts() -> None:
        if done.busy:
            click.echo("Another sender is at work.")
        else:
            click.echo(f"{done.sent:,} sent, {done.waiting:,} waiting, {done.failed:,} refused")

    app.answer(document, _show_counts)


def _show(app: App, rows: list[MessageRow]) -> None:
    from export_pipelines.cli.output import show_table, table

    if not rows:
        app.say("No messages.")
        return
    result = table("Made", "Recipient", "About", ">Events", "State", ">Attempts", "Note")
    for row in rows:
        result.add_row(
            moment(row.created_at),
            row.recipient,
            " ".join(filter(None, (row.kind.replace("_", " "), row.export))),
            f"{row.events:,}",
            row.state,
            f"{row.attempts:,}",
            first_sentence(row.error or "") or "-",
        )
    show_table(result, dispensable=("Attempts", "Events"), wide="Note", folded=False)
