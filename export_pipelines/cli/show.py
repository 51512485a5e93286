"""`exports show`."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.spec.naming import span_of
from export_pipelines.text import counted, moment

if TYPE_CHECKING:
    from export_pipelines.locations import Locations
    from export_pipelines.spec.exports import ExportSpec
    from export_pipelines.spec.resolved import ResolvedExport

_TICKS = 3
_CONDITIONS = {
    None: "",
    "rows": "there are rows",
    "no_rows": "there are no rows",
    "changed": "the content differs from what was published last",
}


@click.command()
@click.argument("name")
@json_option
@click.pass_obj
def command(app: App, name: str) -> None:
    """Show export NAME in full: what it reads, writes and when. Secrets stay references, such as ${env:NAME}."""
    export = app.tolerant_project().export(name)
    document = _document(app, export)
    app.answer(document, lambda: _show(app, export, document))


def _document(app: App, export: ResolvedExport) -> dict[str, Any]:
    from export_pipelines.checks.plan import planned_checks
    from export_pipelines.cli.pausing import paused_exports
    from export_pipelines.cli.views import artifact, attempt, tick
    from export_pipelines.cli.watermarks import current
    from export_pipelines.ledger import artifacts, runs
    from export_pipelines.sources.lineage import tables_read
    from export_pipelines.spec.paths import path_template
    from export_pipelines.timing.ticks import timings
    from export_pipelines.timing.upcoming import upcoming

    ledger, locations = app.project.ledger, app.locations
    published = artifacts.find(ledger, export=export.name, limit=1)
    attempts = runs.recent(ledger, export=export.name, limit=1)
    return {
        "name": export.name,
        "spec": export.spec.model_dump(mode="json", by_alias=True),
        "spec_sha256": export.spec_sha256,
        "connection": export.connection.model_dump(mode="json"),
        "store": export.store.model_dump(mode="json"),
        "schedule": export.schedule.model_dump(mode="json") if export.schedule else None,
        "schedule_name": export.schedule_name,
        "timezone": export.timezone,
        "max_rows": export.max_rows,
        "retention": export.retention.model_dump(mode="json") if export.retention else None,
        "checks": [asdict(check) for check in planned_checks(export.spec)],
        "reads": {dataset: sorted(tables) for dataset, tables in tables_read(export).items()},
        "path_template": path_template(export),
        "path_example": _example(app, export, locations),
        "next": [tick(entry) for timing in timings([export]) for entry in islice(upcoming(timing, app.now), _TICKS)],
        "paused": paused_exports(app).get(export.name),
        "watermarks": current(ledger, export),
        "last_artifact": artifact(published[0], locations) if published else None,
        "last_run": attempt(attempts[0]) if attempts else None,
    }


def _example(app: App, export: ResolvedExport, locations: Locations) -> str:
    """Where an artifact of the last complete partition, made now, would be."""
    from export_pipelines.spec.paths import directory_of
    from export_pipelines.timing.partitions import last_complete, window_of

    key = last_complete(export.spec.partition, app.now, export.timezone)
    start = window_of(export.spec.partition, key, export.timezone).start
    run_id = "0a1b2c3d-0000-4000-8000-000000000000"
    directory = directory_of(export, key, window_start=start, run_id=run_id, created_at=app.now)
    return locations.uri(export.spec.store, directory)


def _show(app: App, export: ResolvedExport, document: dict[str, Any]) -> None:
    from export_pipelines.cli.output import console, grid
    from export_pipelines.cli.schedules import show_ticks
    from export_pipelines.cli.watermarks import show as show_marks

    out, facts = console(), grid()
    out.print(export.name, style="bold")
    for label, text in _facts(export, document).items():
        facts.add_row(label, text)
    out.print(facts)
    for name, dataset in document["spec"]["datasets"].items():
        out.print(f"\nDataset {name}", style="bold")
        _show_dataset(dataset)
    show_marks(document["watermarks"])
    _show_checks(document["checks"])
    if document["next"]:
        out.print("\nNext runs", style="bold")
        show_ticks(document["next"], export.timezone)


def _facts(export: ResolvedExport, document: dict[str, Any]) -> dict[str, str]:
    """Label -> text, without what is not set."""
    spec, last, run = export.spec, document["last_artifact"], document["last_run"]
    tables = sorted({table for tables in document["reads"].values() for table in tables})
    facts = {
        "Description": spec.description,
        "Owners": ", ".join(spec.owners),
        "Organisation": spec.org or "",
        "Tags": ", ".join(f"{key}={value}" for key, value in spec.tags.items()),
        "Schedule": _schedule(export),
        "Paused": _paused(document["paused"], export.timezone),
        "After": _after(export),
        "Partitions": f"{spec.partition}, from {spec.start}, {export.timezone}" + _combined(export),
        "Source": f"{spec.source}: {export.connection.url}",
        "Reads": ", ".join(tables),
        "Formats": ", ".join(_format(entry) for entry in document["spec"]["formats"]),
        "Store": f"{spec.store} ({export.store.type})",
        "Path": document["path_template"] or "the store's root",
        "For example": document["path_example"],
        "Retention": _retention(export),
        "Limits": f"{counted(export.max_rows, 'row')} a dataset, {spec.max_runtime_seconds:,} s a run",
        "No rows": _no_rows(spec),
        "Published if": _CONDITIONS[spec.only_if],
        "Overlap": {"queue": "", "skip": "left out while another run works", "cancel": "ends an earlier run"}[
            spec.overlap
        ],
        "Retries": f"{spec.retries.max_retries}, the first after {spec.retries.delay_seconds:g} s",
        "Published": _published(last, export.timezone),
        "Last run": _last_run(run, export.timezone),
        "Spec": export.spec_sha256[:12],
    }
    return {label: text for label, text in facts.items() if text}


def _no_rows(spec: ExportSpec) -> str:
    skipped = spec.on_empty == "skip" or spec.only_if == "rows"
    return "nothing is published" if skipped else {"write": "empty files", "fail": "the run fails"}[spec.on_empty]


def _published(last: dict[str, Any] | None, timezone: str) -> str:
    from export_pipelines.cli.artifacts import correction

    where = span_of(last["partition"], last["last_partition"]) if last else ""
    return f"{where} at {moment(last['created_at'], timezone)}{correction(last)}" if last else "never"


def _last_run(run: dict[str, Any] | None, timezone: str) -> str:
    if run is None:
        return ""
    why = f": {run['error']}" if run["state"] == "skipped" and run["error"] else ""
    return f"{run['state']}, {moment(run['started_at'], timezone)}{why}"


def _schedule(export: ResolvedExport) -> str:
    if export.schedule is None:
        return "none, on request only"
    calendar = f", calendar {export.schedule.calendar} ({export.schedule.on_holiday} on days off)"
    return f"{export.schedule_name}: {export.schedule.rhythm}" + (calendar if export.schedule.calendar else "")


def _after(export: ResolvedExport) -> str:
    """`students and asset dbt/orders, at most 240 minutes, then it fails`."""
    from export_pipelines.catching_up.waiting import listed

    after = export.spec.waits_for
    if after is None:
        return ""
    names = listed([*after.exports, *(f"asset {path}" for path in after.assets)])
    then = {"skip": "is left out", "run": "runs all the same", "fail": "is given up"}[after.otherwise]
    return f"{names}; waits {counted(after.deadline_minutes, 'minute')} at most, then it {then}"


def _combined(export: ResolvedExport) -> str:
    return f"; those of a {export.spec.combine} combined where a run has several" if export.spec.combine else ""


def _paused(pause: dict[str, Any] | None, timezone: str) -> str:
    from export_pipelines.cli.pausing import in_words

    return in_words(pause, timezone).removeprefix("paused ") if pause else ""


def _retention(export: ResolvedExport) -> str:
    """The keys of the policy that are set: `keep_days 90, archive to vault (zip)`."""
    rules = export.retention
    if rules is None:
        return "not known, because of a mistake in the specs; nothing is deleted"
    if not rules.deletes:
        return "nothing is deleted"
    chosen = rules.model_dump(exclude_defaults=True, exclude={"archive"})
    texts = [f"{key} {value:,g}" if isinstance(value, float) else f"{key} {value}" for key, value in chosen.items()]
    archive = rules.archive
    return ", ".join([*texts, f"archive to {archive.store} ({archive.format})"] if archive else texts)


def _format(entry: dict[str, Any]) -> str:
    """`csv`, and what was chosen for it: `csv (compression gzip)`."""
    chosen = [f"{key} {value}" for key, value in entry.items() if key in ("name", "title", "compression") and value]
    chosen = [text for text in chosen if text != "compression none"]
    return f"{entry['type']} ({', '.join(chosen)})" if chosen else str(entry["type"])


def _show_dataset(dataset: dict[str, Any]) -> None:
    from export_pipelines.cli.output import console, grid

    out, facts = console(), grid()
    for key, value in dataset.items():
        if value and key not in ("sql", "checks"):
            facts.add_row(key, _plain(value))
    if facts.row_count:
        out.print(facts)
    if dataset["sql"]:
        out.print(dataset["sql"].strip())


def _show_checks(checks: list[dict[str, Any]]) -> None:
    from export_pipelines.cli.output import console, grid

    if not checks:
        return
    out, facts = console(), grid()
    for check in checks:
        facts.add_row(check["name"], check["description"] + (" (blocking)" if check["blocking"] else ""))
    out.print("\nChecks", style="bold")
    out.print(facts)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(entry)}" for key, entry in value.items() if entry is not None)
    return str(value)
