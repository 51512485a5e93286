"""A directory on a disk as a store.

Files are written below `.staging/` on the same file system and then moved: a whole directory by one rename, or, in a
shared directory, file by file with the manifest last. Every path is walked from the root one segment at a time
without following symbolic links, directories are 0750 and files 0600 whatever the umask.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import BinaryIO

from export_pipelines.crash import passing
from export_pipelines.errors import ExportError, StorageError
from export_pipelines.settings import Settings
from export_pipelines.spec.naming import check_path
from export_pipelines.spec.stores import LocalStoreSpec
from export_pipelines.storage.base import NO_FENCE, Leftover, Placement, Removal, Staging, Store
from export_pipelines.storage.local_leftovers import leftovers
from export_pipelines.storage.local_removal import remove
from export_pipelines.storage.local_tree import Tree, reported, reporting, sync
from export_pipelines.storage.manifest import FileEntry

STAGING = ".staging"
_PLACEMENT = ".placement"
_log = logging.getLogger(__name__)


class LocalStore(Store):
    """Publishes below `root`, which is created when first needed."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = Path(os.path.realpath(root))
        self._tree = Tree(self.root)

    @classmethod
    def from_spec(cls, name: str, spec: LocalStoreSpec, settings: Settings) -> LocalStore:
        """The store of a spec; references in its root are resolved."""
        return cls(name, Path(settings.resolve(spec.root)))

    def stage(self, scope: str, run: str) -> Staging:
        """A new directory `.staging/{scope}/{run}`. Raises StorageError, StorageUnavailableError."""
        parent = f"{STAGING}/{check_path(scope)}"
        path = self.root / parent / check_path(run)

        def make(fd: int) -> None:
            os.mkdir(run, 0o750, dir_fd=fd)
            os.chmod(run, 0o750, dir_fd=fd)  # noqa: S103 - the group may read artifacts (mkdir obeys the umask)

        with reporting(f"creating the staging directory {path}"), self._tree.filled(parent, make):
            return Staging(scope=scope, run=run, path=path)

    def publish(
        self,
        staging: Staging,
        placement: Placement,
        files: Sequence[FileEntry],
        *,
        manifest: bytes,
        fence: AbstractContextManager[object] = NO_FENCE,
    ) -> None:
        """See Store: one rename of the directory, or link after link with the manifest last."""
        names = [*(entry.name for entry in files), placement.manifest_name]
        for name in names:
            check_path(placement.path_of(name))
        with reporting(f"publishing {self.uri(placement.manifest_path)}"):
            with staging.create(placement.manifest_name) as file:
                file.write(manifest)
            for name in names:
                sync(staging.path / name)
            passing("fsynced")
            if placement.shared:
                self._link_all(staging, placement.directory, names, fence)
                self._finish(staging)
            else:
                sync(staging.path)
                self._rename(staging, placement.directory, fence)

    def discard(self, staging: Staging) -> None:
        """See Store."""
        self._remove(staging.path)
        self._tree.prune(f"{STAGING}/{staging.scope}")

    def sweep(self, scope: str) -> list[str]:
        """See Store. Returns the runs whose leftovers were deleted."""
        below = f"{STAGING}/{check_path(scope)}"
        try:
            with self._tree.directory(below) as fd:
                runs = sorted(os.listdir(fd))  # noqa: PTH208 - by descriptor, so that no link is followed
        except FileNotFoundError:
            return []
        except OSError as error:
            raise reported(f"cleaning {self.uri(below)}", error) from error
        for run in runs:
            self._remove(self.root / STAGING / scope / run)
        self._tree.prune(f"{STAGING}/{scope}")
        return runs

    def leftovers(self) -> list[Leftover]:
        """See Store."""
        with reporting(f"looking at {self.uri(STAGING)}"):
            return leftovers(self._tree, STAGING)

    def remove(self, removals: Sequence[Removal]) -> dict[str, ExportError]:
        """See Store. What is not a regular file is left alone, and symbolic links are not followed."""
        return remove(self._tree, removals)

    def open(self, path: str) -> BinaryIO:
        """See Store. Raises UnsafePathError if the path leads over a symbolic link."""
        check_path(path)
        parent, _, last = path.rpartition("/")
        with reporting(f"reading {self.uri(path)}"), self._tree.directory(parent) as fd:
            return os.fdopen(os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd), "rb")

    def size(self, path: str) -> int | None:
        """See Store."""
        parent, _, last = check_path(path).rpartition("/")
        try:
            with self._tree.directory(parent) as fd:
                found = os.stat(last, dir_fd=fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def walk(self) -> Iterator[str]:
        """See Store. Symbolic links are listed like files and never followed."""
        return self._walk(self.root, "") if self.root.is_dir() else iter(())

    def _walk(self, directory: Path, prefix: str) -> Iterator[str]:
        with os.scandir(directory) as found:
            entries = {entry.name + "/" * entry.is_dir(follow_symlinks=False): entry.path for entry in found}
        for name in sorted(entries):
            if not name.endswith("/"):
                yield prefix + name
            elif prefix or name != f"{STAGING}/":
                yield from self._walk(Path(entries[name]), prefix + name)

    def uri(self, path: str) -> str:
        """The absolute path."""
        return str(self.root / path)

    def _rename(self, staging: Staging, directory: str, fence: AbstractContextManager[object]) -> None:
        parent, _, last = directory.rpartition("/")

        def move(fd: int) -> None:
            if _exists(last, fd):
                raise StorageError(f"publishing {self.uri(directory)}: the name is taken", hint="Run the export again")
            os.rename(staging.path, last, dst_dir_fd=fd)

        self._tree.create(parent)  # before the fence, for it may take long or be refused
        with fence, self._tree.filled(parent, move) as fd:
            passing("moved")
            os.fsync(fd)
            passing("manifest_written")
        self._tree.prune(f"{STAGING}/{staging.scope}")

    def _link_all(
        self, staging: Staging, directory: str, names: Sequence[str], fence: AbstractContextManager[object]
    ) -> None:
        """Give the staged files their final names. Until the manifest has its own, `_remove` can take them back."""
        note = staging.path / _PLACEMENT
        with staging.create(_PLACEMENT) as file:
            file.write(json.dumps({"directory": directory, "manifest": names[-1]}).encode())
        sync(note)
        sync(staging.path)

        def link(fd: int, linked: Sequence[str]) -> None:
            for name in linked:
                os.link(staging.path / name, name, dst_dir_fd=fd, follow_symlinks=False)
            os.fsync(fd)

        with self._tree.filled(directory, lambda fd: link(fd, names[:-1])) as fd:
            passing("moved")
            with fence:
                link(fd, names[-1:])
                passing("manifest_written")

    def _finish(self, staging: Staging) -> None:
        """The artifact is published, so what fails from here on is left to the next sweep."""
        try:
            self.discard(staging)
        except ExportError as error:
            _log.warning("store %r: published, but cleaning up after it failed: %s", self.name, error)

    def _remove(self, staged: Path) -> None:
        """Delete a staging directory, and files it gave a final name to without giving one to the manifest."""
        note = staged / _PLACEMENT
        if staged.is_symlink() or not staged.is_dir():
            return
        with reporting(f"cleaning {staged}"):
            if placed := _read_note(note):
                self._take_back(staged, placed["directory"] and check_path(placed["directory"]), placed["manifest"])
            shutil.rmtree(staged)

    def _take_back(self, staged: Path, directory: str, manifest: str) -> None:
        with suppress(FileNotFoundError), self._tree.directory(directory) as fd:
            if not (staged / manifest).exists() or _same_file(staged / manifest, manifest, fd):
                return  # published, or taken back before: the staging was being deleted
            for entry in sorted(staged.iterdir()):
                if _same_file(entry, entry.name, fd):
                    os.unlink(entry.name, dir_fd=fd)
            os.fsync(fd)


def _read_note(note: Path) -> dict[str, str]:
    """What a run noted before it gave files their final names; nothing if it died before the note was whole."""
    try:
        placed: dict[str, str] = json.loads(note.read_bytes()) if note.is_file() else {}
    except ValueError:
        return {}
    return placed


def _exists(name: str, fd: int) -> bool:
    with suppress(FileNotFoundError):
        os.stat(name, dir_fd=fd, follow_symlinks=False)
        return True
    return False


def _same_file(staged: Path, name: str, fd: int) -> bool:
    """Whether `name` in the directory is a link to the staged file."""
    with suppress(FileNotFoundError):
        return os.path.samestat(staged.lstat(), os.stat(name, dir_fd=fd, follow_symlinks=False))
    return False
