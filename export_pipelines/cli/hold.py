"""`exports hold`."""

from __future__ import annotations

from datetime import datetime

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.errors import SpecError
from export_pipelines.text import counted


@click.command()
@click.argument("artifact")
@click.option(
    "--until", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="Hold it up to the end of this day, YYYY-MM-DD."
)
@click.option("--release", is_flag=True, help="End its holds instead.")
@click.option("--why", required=True, metavar="TEXT", help="The reason, for those who come later.")
@json_option
@click.pass_obj
def command(app: App, artifact: str, until: datetime | None, release: bool, why: str) -> None:
    """Put ARTIFACT on legal hold: it stays until the day is over, whatever its policy says and who unpins it.

    The beginning of the artifact's id is enough. Of several holds, the longest counts. Holds and releases stay on
    record with who made them, when and why.
    """
    from export_pipelines.cli.artifacts import timezone_of
    from export_pipelines.cli.pins import answer, person
    from export_pipelines.ledger import artifacts, pins
    from export_pipelines.retention.policy import Policy

    if (until is not None) == release:
        raise click.UsageError("Give --until DATE, or --release.")
    if not why.strip():
        raise click.BadParameter("must not be blank", param_hint="--why")
    ledger = app.tolerant_project().ledger
    row = artifacts.get(ledger, artifact)
    artifact_id = row.manifest.artifact_id
    if until is None:
        ended = pins.end(ledger, artifact_id, "hold", by=person(), why=why, at=app.now)
        if not ended:
            raise SpecError(f"artifact {artifact_id[:8]} is not on hold", hint="What holds it: exports retention")
        answer(app, row, f"{counted(len(ended), 'hold')} released")
        return
    last = until.date()
    if last < Policy(None, timezone_of(app, row.manifest.export)).day(app.now):
        raise click.BadParameter(f"{last} is over", param_hint="--until")
    pins.hold(ledger, artifact_id, until=last, by=person(), why=why, at=app.now)
    answer(app, row, f"held until {last}")
