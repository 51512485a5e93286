"""The definitions of the environment's project, loaded once per process as long as nothing has changed.

Dagster loads the definitions of a code location twice in the process of each run: for its job, and for the plan of what
it executes. With a thousand exports that is seconds each time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from export_pipelines.orchestration.build import build_definitions
from export_pipelines.project import Project
from export_pipelines.settings import Settings, load_settings

_File = tuple[str, int, int, int, int]


@dataclass(frozen=True)
class _Read:
    """What definitions were made of: the environment with its `.env`, and the state of every file among the specs."""

    settings: Settings
    directory: Path
    files: tuple[_File, ...]


_loaded: list[tuple[_Read, dg.Definitions]] = []


def load_definitions() -> dg.Definitions:
    """The definitions of the environment's project; those of the last call, if it read the same."""
    settings = load_settings()
    read = _Read(settings, Path.cwd(), tuple(_files(settings.specs)))
    if not _loaded or _loaded[0][0] != read:
        _loaded[:] = [(read, build_definitions(Project.load(settings)))]
    return _loaded[0][1]


def _files(specs: Path) -> list[_File]:
    """Path, number, times of change in nanoseconds, and size of every file; links are followed."""
    paths = [specs] if specs.is_file() else [Path(top, name) for top, _, names in os.walk(specs) for name in names]
    found = []
    for path in sorted(paths):
        try:
            state = path.stat()
        except OSError:  # gone meanwhile, or a link to nowhere: whoever reads the specs says so
            found.append((str(path), 0, 0, 0, 0))
        else:
            found.append((str(path), state.st_ino, state.st_mtime_ns, state.st_ctime_ns, state.st_size))
    return found
