"""`exports stats --storage`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from export_pipelines.cli.app import App
from export_pipelines.text import day, percent, printable, size

if TYPE_CHECKING:
    from export_pipelines.monitoring.storage import FormatSums, StoreSums


def answer(app: App, name: str | None) -> None:
    """What is in the stores, of all exports or of NAME, and how much still fits."""
    from export_pipelines.monitoring import storage

    formats = storage.by_format(app.project.ledger, export=name)
    stores = storage.by_store(app.project, export=name)
    warnings = storage.low(app.project, stores)
    document = {
        "storage": {
            "total": _total(formats, stores),
            "exports": [_format(sums) for sums in formats],
            "stores": [_store(sums) for sums in stores],
            "warnings": warnings,
        }
    }
    app.answer(document, lambda: _show(app, formats, stores, warnings))


def _total(formats: Sequence[FormatSums], stores: Sequence[StoreSums]) -> dict[str, Any]:
    return {
        "artifacts": sum(sums.artifacts for sums in stores),
        "files": sum(sums.files for sums in formats),
        "bytes": sum(sums.bytes for sums in stores),
        "archives": sum(sums.archives for sums in stores),
        "archive_bytes": sum(sums.archive_bytes for sums in stores),
    }


def _format(sums: FormatSums) -> dict[str, Any]:
    return {
        "export": sums.export,
        "format": sums.format,
        "artifacts": sums.artifacts,
        "files": sums.files,
        "bytes": sums.bytes,
        "oldest_window_start": sums.oldest,
        "newest_window_start": sums.newest,
    }


def _store(sums: StoreSums) -> dict[str, Any]:
    disk = sums.capacity
    return {
        "store": sums.store,
        "artifacts": sums.artifacts,
        "bytes": sums.bytes,
        "archives": sums.archives,
        "archive_bytes": sums.archive_bytes,
        "free_bytes": disk.free_bytes if disk else None,
        "total_bytes": disk.total_bytes if disk else None,
    }


def _show(app: App, formats: Sequence[FormatSums], stores: Sequence[StoreSums], warnings: Sequence[str]) -> None:
    import click

    if formats:
        _show_formats(app, formats, stores)
        click.echo()
    else:
        app.say("Nothing is published.")
    _show_stores(stores)
    for warning in warnings:
        app.say(warning, style="bold red")


def _show_formats(app: App, formats: Sequence[FormatSums], stores: Sequence[StoreSums]) -> None:
    from export_pipelines.cli.artifacts import timezone_of
    from export_pipelines.cli.output import show_table, table

    result = table("Export", "Format", ">Artifacts", ">Files", ">Size", "Oldest", "Newest")
    before = ""
    for sums in formats:
        timezone = timezone_of(app, sums.export)
        result.add_row(
            "" if sums.export == before else printable(sums.export),
            printable(sums.format),
            f"{sums.artifacts:,}",
            f"{sums.files:,}",
            size(sums.bytes),
            day(sums.oldest, timezone),
            day(sums.newest, timezone),
        )
        before = sums.export
    if len(formats) > 1:
        total = _total(formats, stores)
        numbers = (f"{total['artifacts']:,}", f"{total['files']:,}", size(total["bytes"]))
        oldest, newest = min(sums.oldest for sums in formats), max(sums.newest for sums in formats)
        result.add_row("All together", "", *numbers, day(oldest), day(newest))
    show_table(result, dispensable=("Oldest", "Newest", "Files"), wide="Export", folded=False)


def _show_stores(stores: Sequence[StoreSums]) -> None:
    from export_pipelines.cli.output import show_table, table

    result = table("Store", ">Artifacts", ">Size", ">Archives", ">Archived", ">Free", ">Of", ">Free %")
    for sums in stores:
        disk = sums.capacity
        result.add_row(
            sums.store,
            f"{sums.artifacts:,}",
            size(sums.bytes),
            f"{sums.archives:,}",
            size(sums.archive_bytes),
            size(disk.free_bytes) if disk else "-",
            size(disk.total_bytes) if disk else "-",
            percent(disk.free) if disk else "-",
        )
    show_table(result, dispensable=("Of", "Archives", "Artifacts"), wide="Store", folded=False)
