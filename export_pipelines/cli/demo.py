"""`exports demo`."""

from __future__ import annotations

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.cli.text import counted, size


@click.command()
@click.option("--scale", type=click.IntRange(min=1), default=1, show_default=True, help="Multiplies the rows.")
@json_option
@click.pass_obj
def command(app: App, scale: int) -> None:
    """Build the demo database, a SQLite file at EXPORT_DEMO_DB; one that is there is replaced.

    The shipped specs read it, and its dates end today.
    """
    from export_pipelines.demo.build import build_demo

    path = app.settings.demo_database
    rows = build_demo(path, scale=scale, today=app.now.date())
    tables = [{"table": name, "rows": number} for name, number in rows.items()]
    octets = path.stat().st_size
    app.answer(
        {"database": str(path.resolve()), "bytes": octets, "tables": tables}, lambda: _show(rows, str(path), octets)
    )


def _show(rows: dict[str, int], path: str, octets: int) -> None:
    from export_pipelines.cli.output import console, show_table, table

    result = table("Table", ">Rows")
    for name, number in rows.items():
        result.add_row(name, f"{number:,}")
    show_table(result)
    total = counted(sum(rows.values()), "row")
    console().print(f"\n{total}, {size(octets)}: {path}\nNext: exports list")
