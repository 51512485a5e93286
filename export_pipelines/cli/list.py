"""`exports list`."""

from __future__ import annotations

import re
from typing import Any

import click

from export_pipelines.cli.app import App, json_option


@click.command()
@json_option
@click.pass_obj
def command(app: App) -> None:
    """List the exports and the last partition that each has published.

    On a narrow terminal, stores and owners are left out.
    """
    from export_pipelines.cli.views import problems

    project = app.tolerant_project()
    exports = _exports(app)
    app.answer({"exports": exports, "problems": problems(project.specs.problems)}, lambda: _show(app, exports))


def _exports(app: App) -> list[dict[str, Any]]:
    newest, paused = _from_ledger(app)
    return [
        {
            "name": name,
            "description": export.spec.description,
            "org": export.spec.org,
            "owners": export.spec.owners,
            "tags": export.spec.tags,
            "schedule": export.schedule_name,
            "rhythm": export.schedule.rhythm if export.schedule else None,
            "cron": export.schedule.model_dump(mode="json", include={"cron"})["cron"] if export.schedule else None,
            "timezone": export.timezone,
            "partition": export.spec.partition,
            "source": export.spec.source,
            "formats": [spec.type for spec in export.spec.formats],
            "store": export.spec.store,
            "last_partition": newest.get(name),
            "paused": paused.get(name),
        }
        for name, export in sorted(app.project.specs.exports.items())
    ]


def _from_ledger(app: App) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Export -> its latest partition; and -> the pause that lasts."""
    from export_pipelines.ledger.glimpse import glimpse

    seen = glimpse(app.settings.ledger_url)
    if seen and not seen.paused:
        return seen.newest, {}
    from export_pipelines.cli.pausing import paused_exports
    from export_pipelines.ledger.artifacts import newest_partitions

    return newest_partitions(app.project.ledger), paused_exports(app)


def _show(app: App, exports: list[dict[str, Any]]) -> None:
    from export_pipelines.cli.output import show_table, table
    from export_pipelines.cli.pausing import in_words
    from export_pipelines.spec.link import inline_name

    if not exports:
        app.say(f"No exports in {app.settings.specs}. Begin one: exports new NAME")
        return
    result = table("Export", "Schedule", "Partition", "Formats", "Published", "Store", "Owner")
    for export in exports:
        result.add_row(
            export["name"],
            _short(export) if export["schedule"] == inline_name(export["name"]) else export["schedule"] or "-",
            export["partition"],
            ", ".join(export["formats"]),
            export["last_partition"] or "-",
            export["store"],
            _shortened(export["owners"]),
        )
    show_table(result, dispensable=("Store", "Owner"), wide="Formats")
    for export in exports:
        if export["paused"]:
            click.echo(f"{export['name']} is {in_words(export['paused'], export['timezone'])}")


def _short(export: dict[str, Any]) -> str:
    """The first cron expression, and how many there are besides; or `every month`; or `on dates`."""
    if isinstance(export["cron"], list):
        return f"{export['cron'][0]} +{len(export['cron']) - 1}"
    if export["rhythm"].startswith("at "):
        return "on dates"
    return export["cron"] or re.split(" on | at ", export["rhythm"])[0]


def _shortened(owners: list[str]) -> str:
    """The first owner, and how many there are besides."""
    return owners[0] + (f" +{len(owners) - 1}" if owners[1:] else "") if owners else "-"
