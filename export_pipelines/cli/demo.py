"""`exports demo`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.errors import ConfigurationError
from export_pipelines.text import counted, size

_DEMO_REFERENCE = "${env:EXPORT_DEMO_DB}"


@click.command()
@click.option("--scale", type=click.IntRange(min=1), default=1, show_default=True, help="Multiplies the rows.")
@click.option("--materialize", is_flag=True, help="Then run every export that reads it, through Dagster.")
@json_option
@click.pass_context
def command(ctx: click.Context, scale: int, materialize: bool) -> None:
    """Build the demo database, a SQLite file at EXPORT_DEMO_DB; one that is there is replaced.

    The shipped specs read it, and its dates end today. With --materialize, the last complete partition of each export
    that reads it is produced as runs of the Dagster instance in DAGSTER_HOME; exits 1 if one of them fails.
    """
    from export_pipelines.demo.build import build_demo

    app: App = ctx.obj
    if materialize:
        _require_dagster_home()
        app.strict_project()
    path = app.settings.demo_database
    rows = build_demo(path, scale=scale, today=app.now.date())
    document: dict[str, Any] = {
        "database": str(path.resolve()),
        "bytes": path.stat().st_size,
        "tables": [{"table": name, "rows": number} for name, number in rows.items()],
        "materialized": _materialize(app) if materialize else None,
    }
    app.answer(document, lambda: _show(app, document))
    ctx.exit(1 if any(entry["state"] == "failed" for entry in document["materialized"] or ()) else 0)


def _require_dagster_home() -> None:
    home = os.environ.get("DAGSTER_HOME", "")
    if not Path(home).is_absolute() or not Path(home).is_dir():
        raise ConfigurationError(
            f"DAGSTER_HOME is {home!r}, not the absolute path of a directory",
            hint="Create one and put dagster.yaml into it, as `make demo` does",
        )


def _materialize(app: App) -> list[dict[str, Any]]:
    """Run every export that reads the demo database, and say how each run ended."""
    from export_pipelines.cli.progress import counting_exports

    exports = [e for e in app.project.specs.exports.values() if _DEMO_REFERENCE in e.connection.url]
    with counting_exports(len(exports)) as on_batch:
        from export_pipelines.orchestration.materialize import materialize_last

        results = materialize_last(app.project, exports, now=app.now, on_batch=on_batch)
    return [_outcome(app, result.export, result.partition, result.run_id) for result in results]


def _outcome(app: App, export: str, partition: str, run_id: str) -> dict[str, Any]:
    from export_pipelines.ledger import artifacts, runs

    ledger = app.project.ledger
    row = next(iter(artifacts.find(ledger, export=export, run_id=run_id, limit=1)), None)
    attempt = next(iter(runs.recent(ledger, export=export, run_id=run_id, limit=1)), None)
    return {
        "export": export,
        "partition": partition,
        "run_id": run_id,
        "state": attempt.state if attempt else "failed",
        "files": len(row.manifest.files) if row else 0,
        "rows": attempt.rows if attempt else None,
        "bytes": attempt.bytes if attempt else None,
        "seconds": row.manifest.seconds if row else None,
        "directory": app.locations.uri(row.store, row.directory) if row else None,
        "error": attempt.error if attempt else "it did not begin; see the run in Dagster",
    }


def _show(app: App, document: dict[str, Any]) -> None:
    from export_pipelines.cli.output import console, show_table, table

    result = table("Table", ">Rows")
    for entry in document["tables"]:
        result.add_row(entry["table"], f"{entry['rows']:,}")
    show_table(result)
    total = counted(sum(entry["rows"] for entry in document["tables"]), "row")
    out = console()
    out.print(f"\n{total}, {size(document['bytes'])}: {document['database']}")
    if document["materialized"] is None:
        out.print("Next: exports list")
    else:
        out.print()
        _show_materialized(app, document["materialized"])


def _show_materialized(app: App, results: list[dict[str, Any]]) -> None:
    from export_pipelines.cli.output import console, show_table, table

    result = table("Export", "Partition", "State", ">Files", ">Rows", ">Size", ">Seconds", "Where")
    root = f"{app.settings.storage_path.resolve()}/"
    for entry in results:
        rows, octets, seconds = entry["rows"], entry["bytes"], entry["seconds"]
        cells = (
            str(entry["files"]),
            "-" if rows is None else f"{rows:,}",
            "-" if octets is None else size(octets),
            "-" if seconds is None else f"{seconds:.2f}",
        )
        where = (entry["directory"] or "-").removeprefix(root)
        result.add_row(entry["export"], entry["partition"], entry["state"], *cells, where)
    show_table(result, dispensable=("State", "Where"))
    for entry in results:
        if entry["error"]:
            app.say(f"{entry['export']}: {entry['error']}", style="" if entry["state"] == "skipped" else "red")
    console().print(
        f"\nBelow {root}\nmake dev opens the Dagster UI; exports artifacts --files lists what was published"
    )
