"""`exports artifacts`."""

from __future__ import annotations

from typing import Any

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.spec.naming import span_of
from export_pipelines.text import counted, duration, moment, printable, size


@click.command()
@click.argument("name", required=False)
@click.option("--partition", metavar="KEY", help="Only of this partition.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@click.option("--files", is_flag=True, help="Show the directories and files.")
@click.option("--deleted", is_flag=True, help="What retention deleted, by whom and why, and where it is archived.")
@json_option
@click.pass_obj
def command(app: App, name: str | None, partition: str | None, limit: int, files: bool, deleted: bool) -> None:
    """List what was published and is there, of all exports or of NAME, newest first."""
    from export_pipelines.cli.exports import known
    from export_pipelines.cli.views import artifact, deletions
    from export_pipelines.ledger.artifacts import find

    project = app.tolerant_project()
    if name is not None:
        known(project, name, partition)
    rows = find(project.ledger, export=name, partition=partition, deleted=deleted, limit=limit + 1)
    found = [artifact(row, app.locations) for row in rows[:limit]]
    if deleted:
        told = deletions(project.ledger, rows[:limit], app.locations)
        found = [{**entry, "deletion": told.get(entry["artifact_id"])} for entry in found]
    more = len(rows) > limit
    app.answer({"artifacts": found, "more": more}, lambda: _show(app, found, files=files, deleted=deleted, more=more))


def _show(app: App, found: list[dict[str, Any]], *, files: bool, deleted: bool, more: bool) -> None:
    if not found and deleted:
        app.say("Retention has deleted nothing.")
    elif not found:
        app.say("Nothing was published. Produce something: exports run NAME")
    elif deleted and not files:
        _show_deleted(app, found)
    elif files:
        for entry in found:
            show_files(entry, timezone_of(app, entry["export"]))
            show_checks(entry["checks"])
    else:
        _show_table(app, found)
    if more:
        app.say(f"There are older ones: --limit {len(found) * 10}")


def _show_table(app: App, found: list[dict[str, Any]]) -> None:
    from export_pipelines.cli.output import show_table, table

    marks = [_mark(entry) for entry in found]
    checks = ["Checks"] if any(marks) else []
    corrections = ["Correction of"] if any(entry["corrects"] for entry in found) else []
    result = table("Artifact", "Export", "Partition", "Created", ">Rows", ">Size", *corrections, *checks, "Formats")
    for entry, mark in zip(found, marks, strict=True):
        formats = dict.fromkeys(file["format"] for file in entry["files"])
        limited = "" if entry["row_limit"] is None else " (limited)"
        result.add_row(
            entry["artifact_id"][:8],
            entry["export"],
            span(entry),
            moment(entry["created_at"], timezone_of(app, entry["export"])),
            f"{entry['rows']:,}",
            size(entry["bytes"]),
            *([(entry["corrects"] or "")[:8]] if corrections else []),
            *([mark] if checks else []),
            ", ".join(formats) + limited,
        )
    show_table(result, dispensable=("Formats",), wide="Export", folded=False)


def _show_deleted(app: App, found: list[dict[str, Any]]) -> None:
    from export_pipelines.cli.output import show_table, table

    result = table("Artifact", "Export", "Partition", "Deleted", "By", ">Rows", ">Size", "Archived", "Why")
    for entry in found:
        deletion = entry["deletion"] or {"at": None, "by": "-", "archive": None, "why": "-"}
        result.add_row(
            entry["artifact_id"][:8],
            entry["export"],
            span(entry),
            moment(deletion["at"], timezone_of(app, entry["export"])),
            printable(deletion["by"]),
            f"{entry['rows']:,}",
            size(entry["bytes"]),
            "yes" if deletion["archive"] else "no",
            printable(deletion["why"]),
        )
    show_table(result, dispensable=("By", "Size", "Rows"), wide="Why")


def _mark(entry: dict[str, Any]) -> str:
    """`bad` if a blocking check failed, `warning` if another one did, else nothing."""
    if not entry["good"]:
        return "bad"
    return "warning" if any(not check["passed"] for check in entry["checks"]) else ""


def span(entry: dict[str, Any]) -> str:
    """The partition of an artifact or attempt as JSON has it, or the first and the last one that it combines."""
    return span_of(entry["partition"], entry["last_partition"])


def show_checks(checks: list[dict[str, Any]], *, stderr: bool = False) -> None:
    """Print the checks that failed; blocking ones in red."""
    from export_pipelines.cli.output import console

    out = console(stderr=stderr)
    for check in checks:
        if not check["passed"]:
            kind, style = ("Blocking check", "red") if check["blocking"] else ("Check", "yellow")
            out.print(f"{kind} {check['name']} failed: {printable(check['message'])}", style=style)


def correction(entry: dict[str, Any]) -> str:
    """`, correction of 1a2b3c4d`, if the artifact replaces another one of its partition."""
    return f", correction of {entry['corrects'][:8]}" if entry["corrects"] else ""


def timezone_of(app: App, export: str) -> str:
    """The timezone of the export's schedule; UTC if the specs no longer know the export."""
    known = app.project.specs.exports.get(export)
    return known.timezone if known else "UTC"


def show_files(entry: dict[str, Any], timezone: str) -> None:
    """Print one artifact: a heading, its directory, its files."""
    from export_pipelines.cli.output import console, show_table, table
    from export_pipelines.cli.watermarks import line

    out = console()
    created = moment(entry["created_at"], timezone)
    heading = f"{entry['export']} {span(entry)}, artifact {entry['artifact_id'][:8]}, {created}"
    out.print(heading + correction(entry), style="bold")
    limited = "" if entry["row_limit"] is None else f" (--limit {entry['row_limit']})"
    speed = "" if entry["rows_per_second"] is None else f" ({entry['rows_per_second']:,.0f} rows/s)"
    rows = counted(entry["rows"], "row") + limited
    out.print(f"{rows}, {size(entry['bytes'])} in {duration(entry['seconds'])}{speed}")
    for mark in entry["watermarks"]:
        out.print(printable(line(mark)))
    click.echo(f"{entry['directory']}/")
    result = table(">Rows", ">Size", "File")
    for file in entry["files"]:
        result.add_row(f"{file['rows']:,}", size(file["bytes"]), file["name"])
    show_table(result, wide="File")
