"""Deleting artifacts from a directory tree.

The artifacts of one directory go together: their manifests, durably, then their data files, then the directory and its
parents as far as they are empty. At no moment, not even after a power cut, is there a manifest whose files are gone.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from export_pipelines.crash import passing
from export_pipelines.errors import ExportError, StorageError, UnsafePathError
from export_pipelines.storage.base import Removal, check_removals
from export_pipelines.storage.local_tree import Tree, reported


def remove(tree: Tree, removals: Sequence[Removal]) -> dict[str, ExportError]:
    """Delete artifacts as `Store.remove` says; returns manifest path -> error of each that is not wholly removed."""
    sound, failed = check_removals(removals)
    if sound and (error := _missing_root(tree)):
        return failed | {removal.manifest_path: error for removal in sound}
    groups: dict[str, list[Removal]] = defaultdict(list)
    for removal in sound:
        groups[_parent(removal.manifest_path)].append(removal)
    for group in groups.values():
        failed |= _remove_group(tree, group)
    return failed


def _missing_root(tree: Tree) -> ExportError | None:
    """Without a root everything seems to be gone already, but more likely a disk is not there."""
    doing = f"deleting below {tree.root}"
    try:
        with tree.directory(""):
            return None
    except FileNotFoundError:
        return StorageError(f"{doing}: the directory is missing", hint="Mount the disk, or correct the store's `root`")
    except OSError as error:
        return reported(doing, error)


def _remove_group(tree: Tree, group: Sequence[Removal]) -> dict[str, ExportError]:
    manifests = {removal.manifest_path: removal.manifest_path for removal in group}
    failed = _unlink(tree, manifests)
    _sync(tree, _by_directory(manifests), failed)
    freed = [removal for removal in group if removal.manifest_path not in failed]
    if not freed:
        return failed
    passing("manifest_deleted")
    owners = {path: removal.manifest_path for removal in freed for path in (removal.manifest_path, *removal.paths)}
    failed |= _unlink(tree, {path: owner for path, owner in owners.items() if path != owner})
    left: dict[str, set[str]] = defaultdict(set)
    for directory, manifest_paths in _by_directory(owners).items():
        left[tree.prune(directory)] |= manifest_paths
    _sync(tree, left, failed)
    if any(removal.manifest_path not in failed for removal in freed):
        passing("source_deleted")
    return failed


def _unlink(tree: Tree, owners: Mapping[str, str]) -> dict[str, ExportError]:
    """Delete files, given as path -> manifest path of their artifact; returns manifest path -> first error."""
    failed: dict[str, ExportError] = {}
    names: dict[str, list[str]] = defaultdict(list)
    for path in owners:
        names[_parent(path)].append(path)
    for directory, paths in names.items():
        try:
            with tree.directory(directory) as fd:
                for path in paths:
                    if error := _unlink_one(tree, fd, path):
                        failed.setdefault(owners[path], error)
        except FileNotFoundError:
            continue  # deleted before
        except OSError as error:
            for path in paths:
                failed.setdefault(owners[path], reported(f"deleting {tree.root / path}", error))
    return failed


def _unlink_one(tree: Tree, fd: int, path: str) -> ExportError | None:
    """Delete a regular file of the directory; what is wrong, or None if it is gone."""
    name, doing = path.rpartition("/")[2], f"deleting {tree.root / path}"
    try:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                return UnsafePathError(f"{doing}: it is not a regular file", hint="Look at what it is and remove it")
            os.unlink(name, dir_fd=fd)
    except OSError as error:
        return reported(doing, error)
    return None


def _sync(tree: Tree, directories: Mapping[str, Iterable[str]], failed: dict[str, ExportError]) -> None:
    """Wait until the deletions are durable, those of an earlier, killed removal too.

    `directories` maps each to the manifest paths of the artifacts concerned, which fail together.
    """
    for directory, manifest_paths in directories.items():
        try:
            with suppress(FileNotFoundError), tree.directory(directory) as fd:
                os.fsync(fd)
        except OSError as error:
            for manifest_path in manifest_paths:
                failed.setdefault(manifest_path, reported(f"deleting below {tree.root / directory}", error))


def _by_directory(owners: Mapping[str, str]) -> dict[str, set[str]]:
    """Directory -> manifest paths of the artifacts that have files there."""
    found: dict[str, set[str]] = defaultdict(set)
    for path, manifest_path in owners.items():
        found[_parent(path)].add(manifest_path)
    return found


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
