"""What `pin`, `unpin` and `hold` share: who asks, and the answer."""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING

import click

from export_pipelines.cli.app import App

if TYPE_CHECKING:
    from export_pipelines.ledger.artifacts import ArtifactRow

_SHOWN = ("kind", "until", "by", "why", "at", "ended_at", "ended_by", "ended_why")


def person() -> str:
    """The name of the user who runs the program, or the number where there is no name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def answer(app: App, row: ArtifactRow, sentence: str) -> None:
    """Say what was done to the artifact; as JSON with all its pins and holds."""
    from export_pipelines.ledger.pins import of_artifact

    manifest = row.manifest
    document = {
        "artifact_id": manifest.artifact_id,
        "export": manifest.export,
        "partition": manifest.partition,
        "last_partition": manifest.last_partition,
        "pins": [
            {name: getattr(pin, name) for name in _SHOWN}
            for pin in of_artifact(app.project.ledger, manifest.artifact_id)
        ],
    }
    what = f"{manifest.export} {manifest.span}, artifact {manifest.artifact_id[:8]}"
    app.answer(document, lambda: click.echo(f"{what}: {sentence}"))
