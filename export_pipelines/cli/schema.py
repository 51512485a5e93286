"""`exports schema`."""

from __future__ import annotations

import click

from export_pipelines.cli.app import json_option


@click.command()
@json_option
def command() -> None:
    """Print the JSON Schema of spec files, with or without --json.

    Save it, and begin a spec file with `# yaml-language-server: $schema=FILE`: editors then complete and check it.
    """
    from export_pipelines.cli.documents import write_json
    from export_pipelines.spec.schema import json_schema

    write_json(json_schema())
