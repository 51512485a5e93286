"""`exports verify`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.errors import ExportError, SpecError
from export_pipelines.text import counted, moment, size

if TYPE_CHECKING:
    from export_pipelines.locations import Locations
    from export_pipelines.verify import Finding, Report


@click.command()
@click.argument("what", metavar="[NAME | ARTIFACT_ID]", required=False)
@json_option
@click.pass_context
def command(ctx: click.Context, what: str | None) -> None:
    """Re-read published files and compare them with their manifests: of all stores, one export or one artifact.

    Names each file that is damaged, missing, or (without an argument) listed by no manifest. Exits 1 if there is one.
    What is damaged is recorded, as is what is right again; owners are notified of damage, once.
    The beginning of an artifact's id is enough.
    """
    from export_pipelines.integrity.passes import record

    app: App = ctx.obj
    project = app.tolerant_project()
    reports, errors = _verify(app, what)
    for report in reports:
        record(project, report, app.now)
    findings = [finding(found, app.locations) for report in reports for found in report.problems]
    document = {
        "ok": not findings and not errors,
        "artifacts": sum(len(report.artifacts) for report in reports),
        "archives": sum(len(report.archives) for report in reports),
        "files": sum(report.files for report in reports),
        "bytes": sum(report.bytes for report in reports),
        "findings": findings,
        "errors": errors,
    }
    app.answer(document, lambda: _show(app, document))
    ctx.exit(0 if document["ok"] else 1)


def finding(found: Finding, locations: Locations) -> dict[str, Any]:
    """One thing that is not as it should be, and where it is."""
    return {**asdict(found), "uri": locations.uri(found.store, found.path)}


def _verify(app: App, what: str | None) -> tuple[list[Report], list[dict[str, str]]]:
    """A report per store, and what could not be read."""
    from export_pipelines.cli.progress import naming_files
    from export_pipelines.ledger import artifacts
    from export_pipelines.verify import verify, verify_artifact

    project = app.project
    if what is not None and not _is_export(app, what):
        row = artifacts.get(project.ledger, what)
        if row.deleted_at is not None:
            raise SpecError(f"artifact {what} was deleted at {moment(row.deleted_at)}: there are no files to read")
        report = verify_artifact(project.store(row.store), row)
        return [report], [{"store": row.store, "message": error} for error in report.errors]
    reports: list[Report] = []
    errors: list[dict[str, str]] = []
    with naming_files() as on_file:
        for name in _stores(app, what):
            try:
                report = verify(project.store(name), project.ledger, export=what, on_file=on_file)
                reports.append(report)
                errors += [{"store": name, "message": error} for error in report.errors]
            except ExportError as error:
                errors.append({"store": name, "message": str(error)})
    return reports, errors


def _is_export(app: App, what: str) -> bool:
    """Whether it names an export, of the specs or in the ledger. Raises SpecError if it cannot be an id either."""
    from export_pipelines.cli.exports import is_remembered

    if what in app.project.specs.exports or is_remembered(app.project, what):
        return True
    if not set(what) <= set("0123456789abcdef"):
        app.project.export(what)  # says which name is near
    return False


def _stores(app: App, export: str | None) -> list[str]:
    """The stores to read: all, or those where the export publishes, has published or is archived."""
    from export_pipelines.ledger import archives, artifacts

    project = app.project
    found = {row.store for row in artifacts.find(project.ledger, export=export)}
    found |= {row.store for row in archives.find(project.ledger) if export in (None, row.export)}
    if export is None:
        return sorted({*project.specs.stores, *found})
    spec = project.specs.exports.get(export)
    return sorted(found | ({spec.spec.store} if spec else set()))


def _show(app: App, document: dict[str, Any]) -> None:
    for error in document["errors"]:
        app.say(f"Store {error['store']}: {error['message']}", style="red")
    for found in document["findings"]:
        click.echo(f"{found['kind']} {found['uri']}: {found['message']}")
    archives = f", {counted(document['archives'], 'archive')}" if document["archives"] else ""
    checked = f"{counted(document['artifacts'], 'artifact')}{archives}, {counted(document['files'], 'file')}"
    problems = len(document["findings"]) + len(document["errors"])
    verdict = counted(problems, "problem") if problems else "every file is as published"
    click.echo(f"{checked}, {size(document['bytes'])} read: {verdict}")
