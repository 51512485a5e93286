"""`exports preview`."""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from export_pipelines.cli.app import App, json_option
from export_pipelines.text import counted, moment, printable

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

    from export_pipelines.opening import Request

_CELL_CHARACTERS = 32


@click.command()
@click.argument("name")
@click.option("--partition", metavar="KEY", help="The partition. Default: the last complete one.")
@click.option("--rows", type=click.IntRange(0, 1000), default=10, show_default=True, help="Rows of each dataset.")
@json_option
@click.pass_obj
def command(app: App, name: str, partition: str | None, rows: int) -> None:
    """Run the queries of export NAME and show their first rows. Publishes nothing, records nothing."""
    from export_pipelines.cli.partitions import latest

    export = app.strict_project().export(name)
    request = app.project.request(name, partition or latest(export, app.now), run_id="preview")
    tables = app.project.preview(request, rows=rows)
    app.answer(_document(request, tables), lambda: _show(request, tables))


def _document(request: Request, tables: dict[str, pa.Table]) -> dict[str, Any]:
    return {
        "export": request.export.name,
        "partition": request.partition,
        "window_start": request.window.start,
        "window_end": request.window.end,
        "datasets": [
            {
                "name": name,
                "columns": [{"name": field.name, "type": str(field.type)} for field in table.schema],
                "rows": [[_json_value(value) for value in row] for row in _rows(table)],
            }
            for name, table in tables.items()
        ],
    }


def _rows(table: pa.Table) -> list[tuple[Any, ...]]:
    """The rows as tuples; unlike dictionaries they keep columns of equal names."""
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _json_value(value: object) -> object:
    """The value as JSON has it: decimals and times as text, bytes as Base64, all else as it is."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (Decimal, timedelta)):
        return str(value)
    if isinstance(value, (date, time)) and not (isinstance(value, datetime) and value.tzinfo):
        return value.isoformat()
    return value


def _show(request: Request, tables: dict[str, pa.Table]) -> None:
    from export_pipelines.cli.output import console

    out, window, timezone = console(), request.window, request.export.timezone
    out.print(
        f"{request.export.name} {request.partition}, {moment(window.start, timezone)} to {moment(window.end, timezone)}"
    )
    for name, table in tables.items():
        out.print(f"\n{name}: {counted(table.num_columns, 'column')}", style="bold")
        _show_dataset(out, table)


def _show_dataset(out: Console, data: pa.Table) -> None:
    """As a table if it fits, else one line per column with as many values as fit."""
    from rich.cells import cell_len

    cells = [[_cell(value) for value in column.to_pylist()] for column in data.columns]
    names = [printable(name) for name in data.column_names]
    widths = [max(map(cell_len, [name, *values])) for name, values in zip(names, cells, strict=True)]
    if not data.num_rows:
        out.print("no rows")
    if sum(widths) + 2 * len(widths) <= out.width:
        _show_rows(out, data.schema, names, cells)
    else:
        _show_columns(out, data.schema, names, cells)


def _show_rows(out: Console, schema: pa.Schema, names: list[str], cells: list[list[str]]) -> None:
    from export_pipelines.cli.output import show_table, table

    result = table(*(f">{name}" if _is_number(field.type) else name for name, field in zip(names, schema, strict=True)))
    for row in zip(*cells, strict=True):
        result.add_row(*row)
    show_table(result)


def _show_columns(out: Console, schema: pa.Schema, names: list[str], cells: list[list[str]]) -> None:
    from export_pipelines.cli.output import show_table, table

    result = table("Column", "Type", "Values")
    for name, field, values in zip(names, schema, cells, strict=True):
        result.add_row(name, str(field.type), " | ".join(values))
    show_table(result, wide="Values", folded=False)


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow.types as t

    return bool(t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind))


def _cell(value: object) -> str:
    """The value on one line, cut to what a table can bear."""
    if value is None:
        return "NULL"
    if isinstance(value, datetime) and value.tzinfo:
        value = value.astimezone(UTC).isoformat(sep=" ").replace("+00:00", "Z")
    text = printable(str(value).lower() if isinstance(value, bool) else str(value))
    return text if len(text) <= _CELL_CHARACTERS else text[: _CELL_CHARACTERS - 1] + "…"
