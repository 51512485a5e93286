"""What runs have staged in a directory tree: `{staging}/{export}/{partition}/{run}/`, files below that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from export_pipelines.storage.base import Leftover, is_plain
from export_pipelines.storage.local_tree import Tree


def leftovers(tree: Tree, staging: str) -> list[Leftover]:
    """One for each scope, ascending. Runs may come and go meanwhile. Raises OSError."""
    found = []
    for export in _subdirectories(tree, staging):
        for partition in _subdirectories(tree, f"{staging}/{export}"):
            scope = f"{export}/{partition}"
            if changes := list(_changes(tree, f"{staging}/{scope}")):
                found.append(Leftover(scope=scope, modified_at=datetime.fromtimestamp(max(changes), UTC)))
    return found


def _subdirectories(tree: Tree, path: str) -> list[str]:
    """Names of the directories in there that a scope may have."""
    with suppress(FileNotFoundError), tree.directory(path) as fd, os.scandir(fd) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and is_plain(entry.name))
    return []


def _changes(tree: Tree, path: str) -> Iterator[float]:
    """When the scope's directory and all that its runs staged changed last, in seconds since the epoch.

    Nothing if the scope holds only what is no run, which nobody can sweep.
    """
    runs = _subdirectories(tree, path)
    with suppress(FileNotFoundError), tree.directory(path) as fd:
        if not runs and os.listdir(fd):  # noqa: PTH208 - by descriptor, so that no link is followed
            return
        yield os.fstat(fd).st_mtime
        for run in runs:
            yield from _changes_within(run, fd)


def _changes_within(run: str, scope: int) -> Iterator[float]:
    with suppress(FileNotFoundError):
        for _, _, names, fd in os.fwalk(run, dir_fd=scope, follow_symlinks=False):
            yield os.fstat(fd).st_mtime
            for name in names:
                with suppress(FileNotFoundError):
                    yield os.stat(name, dir_fd=fd, follow_symlinks=False).st_mtime
