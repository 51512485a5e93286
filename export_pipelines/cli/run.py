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
    """Produce and publish one partition of export NAME, or all from --from to --to.

    Nothing runs while any spec file has mistakes. After a partition fails, the following ones are still produced, and
    the exit code is 1, as it is where a blocking check failed. Ctrl-C stops cleanly: nothing of the current partition
    is published unless it had just become visible, and the exit code is 130.
    """
    from export_pipelines.cli.stopping import Stopped, stoppable

    app: App = ctx.obj
    export = app.strict_project().export(name)
    keys = _partitions(app, export, **which)
    run_ids = {key: str(uuid.uuid4()) for key in keys}
    results: list[dict[str, Any]] = []
    code = 0
    try:
        with stoppable():
            for key in keys:
                results.append(_produce(app, export, key, run_id=run_ids[key], limit=limit))
                _show_result(app, export, results[-1])
    except Stopped as stop:
        results += _published(app, run_ids, keys[len(results) :][:1])
        rest = keys[len(results) :]
        app.say(
            f"{stop}: " + (f"nothing of partition {rest[0]} was published" if rest else "all was done"), style="yellow"
        )
        code = stop.exit_code
    _conclude(app, name, results, keys)
    ctx.exit(code or int(any(result["state"] == "failed" or _blocked(result) for result in results)))


def _partitions(
    app: App, export: ResolvedExport, *, partition: str | None, first: str | None, last: str | None, **rest: bool
) -> list[str]:
    """The keys that the options name, checked."""
    from export_pipelines.cli.partitions import between, latest, require_complete, window

    if partition and (first or last):
        raise click.UsageError("Give either --partition, or --from and --to.")
    if last and not first:
        raise click.UsageError("--to needs --from.")
    if first:
        keys = between(export, first, last, app.now)
    else:
        keys = [partition or latest(export, app.now)]
        window(export, keys[0])
    require_complete(export, keys, app.now, **rest)
    return keys


def _produce(app: App, export: ResolvedExport, partition: str, *, run_id: str, limit: int | None) -> dict[str, Any]:
    """Publish one partition and say what happened; an error is part of the result."""
    from export_pipelines.cli.progress import counting_rows

    result: dict[str, Any] = {"partition": partition, "state": "failed", "artifact": None, "reason": None, "checks": []}
    try:
        request = app.project.request(export.name, partition, run_id=run_id, row_limit=limit)
        with counting_rows(f"{export.name} {partition}") as on_rows:
            published = app.project.run(request, on_rows=on_rows)
    except ConditionSkip as skip:
        return {**result, "state": "skipped", "reason": str(skip)}
    except ExportError as error:
        return {**result, "reason": str(error)}
    return {**result, **_view(app, published.row, published.checks)}


def _published(app: App, run_ids: dict[str, str], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Those of the partitions that were published although a signal came at that moment."""
    from export_pipelines.ledger.artifacts import find

    rows = [(key, row) for key in keys for row in find(app.project.ledger, run_id=run_ids[key])]
    return [{"partition": key, "reason": None, **_view(app, row, row.manifest.checks)} for key, row in rows]


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
    counts = {state: [r["partition"] for r in results if r["state"] == state] for state in _STATES}
    numbers = {state: len(partitions) for state, partitions in counts.items()}
    document = {"export": name, **numbers, "not_run": keys[len(results) :], "results": results}

    def _show() -> None:
        if len(keys) > 1:
            parts = [f"{len(partitions):,} {state}" for state, partitions in counts.items() if partitions]
            failed = f". Failed: {', '.join(counts['failed'])}" if counts["failed"] else ""
            blocked = [result["partition"] for result in results if _blocked(result)]
            failed += f". Blocking checks failed: {', '.join(blocked)}" if blocked else ""
            app.say(f"{counted(len(keys), 'partition')}: {', '.join(parts) or 'none produced'}{failed}")

    app.answer(document, _show)


def _blocked(result: dict[str, Any]) -> bool:
    """Whether a blocking check failed."""
    return any(check["blocking"] and not check["passed"] for check in result["checks"])


_STATES = ("published", "skipped", "failed")
