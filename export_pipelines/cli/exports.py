"""Exports that a command is asked about: those of the specs, and those that only the ledger remembers."""

from __future__ import annotations

from export_pipelines.cli.partitions import window
from export_pipelines.project import Project
from export_pipelines.spec.naming import ends_of


def known(project: Project, name: str, partition: str | None = None) -> None:
    """Raises SpecError if neither the specs nor the ledger know the export, or the partition's key is not valid."""
    export = project.specs.exports.get(name)
    if export is not None:
        for key in dict.fromkeys(ends_of(partition)) if partition is not None else ():
            window(export, key)
        return
    if not is_remembered(project, name):
        project.export(name)  # says what is wrong


def is_remembered(project: Project, name: str) -> bool:
    """Whether the ledger holds a run or an artifact of an export of this name."""
    from export_pipelines.ledger import artifacts, runs

    return bool(
        artifacts.find(project.ledger, export=name, limit=1) or runs.recent(project.ledger, export=name, limit=1)
    )
