"""`exports resume`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.errors import SpecError
from export_pipelines.text import counted

if TYPE_CHECKING:
    from export_pipelines.cli.pausing import Target
    from export_pipelines.ledger.pauses import PauseRow


@click.command()
@click.argument("name")
@click.option("--catch-up", is_flag=True, help="What was skipped in the pause is due; also after it has ended.")
@json_option
@click.pass_obj
def command(app: App, name: str, catch_up: bool) -> None:
    """End the pause of NAME, an export or a schedule. Exits 1 if it is not paused.

    With --catch-up, the partitions that were skipped meanwhile are produced, oldest first.
    """
    from export_pipelines.cli.pausing import answer, target
    from export_pipelines.cli.pins import person
    from export_pipelines.ledger import pauses

    found = target(app, name)
    ended = pauses.resume(app.project.ledger, found.kind, found.name, at=app.now, by=person())
    last = pauses.history(app.project.ledger, found.kind, found.name)[-1:]
    if not ended and not (catch_up and last):
        raise SpecError(f"{found.kind} {found.name} is not paused", hint=_hint(app, found))
    number = _reopen(app, found, ended or last) if catch_up else 0
    again = f"; {counted(number, 'partition')} due again" if catch_up else ""
    answer(app, found, ("resumed" if ended else "was not paused any more") + again, due_again=number)


def _reopen(app: App, found: Target, rows: Sequence[PauseRow]) -> int:
    """Make due what was skipped in these pauses; how many partitions."""
    from export_pipelines.ledger import due, pauses

    pauses.mark_caught_up(app.project.ledger, rows)
    number = 0
    with app.project.ledger.write() as connection:
        for row in rows:
            end = min(end for end in (row.until, row.ended_at, app.now) if end is not None)
            number += due.reopen(connection, found.exports, since=row.at, until=end, now=app.now)
    return number


def _hint(app: App, found: Target) -> str:
    from export_pipelines.cli.pausing import paused_exports

    pause = paused_exports(app).get(found.name) if found.kind == "export" else None
    return f"Its schedule is: exports resume {pause['name']}" if pause else "What is paused: exports list"
