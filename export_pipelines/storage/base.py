"""What every store does."""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from export_pipelines.errors import ExportError, StorageError, StorageUnavailableError, UnsafePathError
from export_pipelines.spec.naming import check_path
from export_pipelines.storage.manifest import FileEntry

NO_FENCE = nullcontext()


@dataclass(frozen=True, kw_only=True)
class Staging:
    """A private local directory in which one run writes its files before they are published.

    `scope` is `export/partition` (safe path segments): whoever holds the lease of that partition may delete everything
    else staged under the same scope. `run` tells the run and its fencing number.
    """

    scope: str
    run: str
    path: Path

    def create(self, name: str) -> BinaryIO:
        """A new empty file, mode 0600 whatever the umask, to write to. Raises OSError if it exists."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.path / name, flags, 0o600)
        os.fchmod(descriptor, 0o600)
        return os.fdopen(descriptor, "wb", buffering=1024 * 1024)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where an artifact goes: `directory` relative to the store's root ("" is the root), and the manifest's name."""

    directory: str
    manifest_name: str
    shared: bool
    """Whether other artifacts live in the same directory (the flat layout)."""

    @property
    def manifest_path(self) -> str:
        """Path of the manifest, relative to the root."""
        return self.path_of(self.manifest_name)

    def path_of(self, name: str) -> str:
        """Path of one file of the artifact, relative to the root."""
        return f"{self.directory}/{name}" if self.directory else name


@dataclass(frozen=True, kw_only=True)
class Removal:
    """An artifact to delete: its manifest and its data files, as paths relative to the store's root."""

    manifest_path: str
    paths: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """Something is staged in `scope` (`export/partition`), by a run that may be dead or still at work.

    Whoever holds the scope's lease may `sweep` it. `modified_at` is the newest change of anything staged there, in UTC.
    """

    scope: str
    modified_at: datetime


class Store(ABC):
    """One store of the specs. All paths are relative to its root, with `/`, checked by `naming.check_path`."""

    name: str

    @abstractmethod
    def stage(self, scope: str, run: str) -> Staging:
        """A new private staging directory for one run of `scope`."""

    @abstractmethod
    def publish(
        self,
        staging: Staging,
        placement: Placement,
        files: Sequence[FileEntry],
        *,
        manifest: bytes,
        fence: AbstractContextManager[object] = NO_FENCE,
    ) -> None:
        """Move the staged files to their final names, the manifest last; afterwards the staging is gone.

        The step that makes the artifact visible (the manifest's appearance) happens inside `fence`, which raises if
        this publisher was overtaken; slow work happens before. Nothing that exists is overwritten. Returns when the
        bytes are durable. Raises StorageError if a name is taken or the store refuses, StorageUnavailableError if it
        cannot be reached; the caller then discards the staging.
        """

    @abstractmethod
    def discard(self, staging: Staging) -> None:
        """Delete the staging and everything of it that was placed without its manifest."""

    @abstractmethod
    def sweep(self, scope: str) -> list[str]:
        """Delete what dead runs of `scope` left behind; return what was deleted. For the lease's holder only."""

    @abstractmethod
    def leftovers(self) -> list[Leftover]:
        """What is staged, one for each scope, ascending; things of another shape in there are not told.

        Raises StorageError, StorageUnavailableError.
        """

    @abstractmethod
    def remove(self, removals: Sequence[Removal]) -> dict[str, ExportError]:
        """Delete artifacts: of each the manifest, once that is durably gone its data files, then empty directories.

        What is gone already is fine, so a removal that was killed is simply repeated. Returns manifest path -> error of
        each artifact that is not wholly removed; as long as its manifest cannot be deleted, none of its data files is.
        Raises ConfigurationError if nothing at all can be done.
        """

    @abstractmethod
    def open(self, path: str) -> BinaryIO:
        """A published file to read. Raises StorageError if it does not exist."""

    @abstractmethod
    def size(self, path: str) -> int | None:
        """Bytes of a published file, or None if there is none."""

    @abstractmethod
    def walk(self) -> Iterator[str]:
        """Paths of all files under the root except staging, ascending."""

    @abstractmethod
    def uri(self, path: str) -> str:
        """Where people find the file: an absolute path or an `s3://` URI."""


def is_plain(name: str) -> bool:
    """Whether a name can be one segment of a path, as `check_path` demands."""
    try:
        return "/" not in check_path(name)
    except UnsafePathError:
        return False


@contextmanager
def staged(store: Store, scope: str, run: str, *, doing: str) -> Iterator[Staging]:
    """A staging directory to publish from, which is gone at the end unless the block ended without an error.

    Errors of the operating system are raised as ours, as what went wrong while `doing`.
    """
    staging = store.stage(scope, run)
    published = False
    try:
        yield staging
        published = True
    except OSError as error:
        raise storage_error(f"{doing} in {staging.path}", error) from error
    finally:
        if not published:
            store.discard(staging)


def check_removals(removals: Sequence[Removal]) -> tuple[list[Removal], dict[str, ExportError]]:
    """Those whose paths are all plain names, and manifest path -> error of the others."""
    sound: list[Removal] = []
    failed: dict[str, ExportError] = {}
    for removal in removals:
        try:
            for path in (removal.manifest_path, *removal.paths):
                check_path(path)
            sound.append(removal)
        except UnsafePathError as error:
            failed[removal.manifest_path] = error
    return sound, failed


_ADVICE = {
    errno.ENOSPC: "The disk is full: free space or choose another store, then run the export again",
    errno.EDQUOT: "The disk quota is used up: free space or raise it, then run the export again",
    errno.EACCES: "Give the account that runs exports permission to write there",
    errno.EPERM: "Give the account that runs exports permission to write there",
    errno.EROFS: "The file system is read-only: remount it or choose another store",
    errno.EEXIST: "The name is taken and nothing is overwritten: run the export again",
    errno.ENAMETOOLONG: "Choose a shorter `path` or format `name`",
}
_PASSING = {
    errno.EIO,
    errno.ETIMEDOUT,
    errno.ESTALE,
    errno.EAGAIN,
    errno.EINTR,
    errno.EBUSY,
    errno.ENFILE,
    errno.EMFILE,
}


def storage_error(doing: str, error: OSError) -> ExportError:
    """The operating system's error as ours: transient if it may pass, with advice otherwise."""
    reason = error.strerror or str(error)
    if error.errno in _PASSING:
        return StorageUnavailableError(f"{doing}: {reason}", hint="Check the disk; the run is tried again")
    return StorageError(f"{doing}: {reason}", hint=_ADVICE.get(error.errno or 0, "Check the store's directory"))
