"""`exports run`."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.errors import ConditionSkip, ExportError
from export_pipelines.text import counted

if TYPE_CHECKING:
    from export_pipelines.ledger.artifacts import ArtifactRow
    from export_pipelines.spec.resolved import ResolvedExport
    from export_pipelines.storage.manifest import CheckResult
    from export_pipelines.timing.combining import Span


@click.command()
@click.argument("name")
@click.option("--partition", metavar="KEY", help="The partition. Default: the last complete one.")
@click.option("--from", "first", metavar="KEY", help="The first of several partitions.")
@click.option("--to", "last", metavar="KEY", help="The last of several. Default: the last complete one.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N rows of each dataset.")
@click.option("--allow-incomplete", is_flag=True, help="Also publish a partition that has not ended.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, name: str, limit: int | None, **which: Any) -> None:
    """Produce and publish one partition of export NAME, or all from --from to --to, those of a period in one artifact
    where the spec says `combine`.

    Nothing runs while any spec file has mistakes. After a partition fails, the following ones are still produced, and
    the exit code is 1, as it is where a blocking check failed. Ctrl-C stops cleanly: nothing of the current partition
    is published unless it had just become visible, and the exit code is 130.
    """
    from export_pipelines.cli.stopping import Stopped, stoppable

    app: App = ctx.obj
    export = app.strict_project().export(name)
    wanted = {span.name: span for span in _spans(app, export, **which)}
    keys = list(wanted)
    run_ids = {key: str(uuid.uuid4()) for key in keys}
    results: list[dict[str, Any]] = []
    code = 0
    try:
        with stoppable():
            for key in keys:
                results.append(_produce(app, export, wanted[key], run_id=run_ids[key], limit=limit))
                _show_result(app, export, results[-1])
    except Stopped as stop:
        results += _published(app, run_ids, list(wanted.values())[len(results) :][:1])
        rest = keys[len(results) :]
        app.say(
            f"{stop}: " + (f"nothing of partition {rest[0]} was published" if rest else "all was done"), style="yellow"
        )
        code = stop.exit_code
    _conclude(app, name, results, keys)
    ctx.exit(code or int(any(result["state"] == "failed" or _blocked(result) for result in results)))


def _spans(
    app: App, export: ResolvedExport, *, partition: str | None, first: str | None, last: str | None, **rest: bool
) -> list[Span]:
    """What the options name, checked, as it is to be published."""
    from export_pipelines.cli.partitions import combined, require_complete, which

    if partition and (first or last):
        raise click.UsageError("Give either --partition, or --from and --to.")
    if last and not first:
        raise click.UsageError("--to needs --from.")
    asked = which(export, partition=partition, first=first, last=last, now=app.now)
    require_complete(export, asked.keys, app.now, **rest)
    return combined(export, asked)


def _produce(app: App, export: ResolvedExport, span: Span, *, run_id: str, limit: int | None) -> dict[str, Any]:
    """Publish one artifact and say what happened; an error is part of the result."""
    from export_pipelines.cli.progress import counting_rows
    from export_pipelines.pace import pace_of

    result: dict[str, Any] = {"partition": span.first, "last_partition": span.last, "state": "failed"}
    result |= {"artifact": None, "reason": None, "checks": []}
    try:
        request = app.project.request(export.name, span.first, last_partition=span.last, run_id=run_id, row_limit=limit)
        pace = pace_of(request, app.project.ledger)
        with counting_rows(f"{export.name} {span.name}", pace) as on_rows:
            published = app.project.run(request, on_rows=on_rows)
    except ConditionSkip as skip:
        return {**result, "state": "skipped", "reason": str(skip)}
    except ExportError as error:
        return {**result, "reason": str(error)}
    return {**result, **_view(app, published.row, published.checks)}


def _published(app: App, run_ids: dict[str, str], spans: Sequence[Span]) -> list[dict[str, Any]]:
    """Those that were published although a signal came at that moment."""
    from export_pipelines.ledger.artifacts import find

    rows = [(span, row) for span in spans for row in find(app.project.ledger, run_id=run_ids[span.name])]
    return [
        {"partition": span.first, "last_partition": span.last, "reason": None} | _view(app, row, row.manifest.checks)
        for span, row in rows
    ]


def _view(app: App, row: ArtifactRow, found: Sequence[CheckResult]) -> dict[str, Any]:
    from export_pipelines.cli.views import artifact, checks

    return {"state": "published", "artifact": artifact(row, app.locations), "checks": checks(found)}


def _show_result(app: App, export: ResolvedExport, result: dict[str, Any]) -> None:
    from export_pipelines.checks.plan import planned_checks
    from export_pipelines.cli.artifacts import show_checks, show_files

    if result["state"] == "failed":
        app.say(f"Error: {result['reason']}", style="red")
    elif result["state"] == "skipped":
        app.say(result["reason"])
    else:
        if not app.json:
            show_files(result["artifact"], export.timezone)
        show_checks(result["checks"], stderr=True)
        if result["artifact"]["row_limit"] is not None and planned_checks(export.spec):
            app.say("Its checks were not evaluated, because of --limit")


def _conclude(app: App, name: str, results: list[dict[str, Any]], keys: list[str]) -> None:
    """The document, or one sentence if there were several partitions."""
    from export_pipelines.cli.artifacts import span

    counts = {state: [span(r) for r in results if r["state"] == state] for state in _STATES}
    numbers = {state: len(partitions) for state, partitions in counts.items()}
    document = {"export": name, **numbers, "not_run": keys[len(results) :], "results": results}

    def _show() -> None:
        if len(keys) > 1:
            parts = [f"{len(partitions):,} {state}" for state, partitions in counts.items() if partitions]
            failed = f". Failed: {', '.join(counts['failed'])}" if counts["failed"] else ""
            blocked = [span(result) for result in results if _blocked(result)]
            failed += f". Blocking checks failed: {', '.join(blocked)}" if blocked else ""
            what = "artifact" if any(result["last_partition"] for result in results) else "partition"
            app.say(f"{counted(len(keys), what)}: {', '.join(parts) or 'none produced'}{failed}")

    app.answer(document, _show)


def _blocked(result: dict[str, Any]) -> bool:
    """Whether a blocking check failed."""
    return any(check["blocking"] and not check["passed"] for check in result["checks"])


_STATES = ("published", "skipped", "failed")
