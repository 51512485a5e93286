"""A directory tree that is walked from its root one segment at a time, without following symbolic links."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from export_pipelines.errors import ExportError, UnsafePathError
from export_pipelines.storage.base import storage_error

_PRUNED_TIMES = 100
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _PrunedError(FileNotFoundError):
    """Somebody deleted the empty directory that was just created."""


class Tree:
    """The directories below `root`, mode 0750 whatever the umask. Paths are relative to it; "" is the root itself.

    Others may create and prune directories of it at the same time.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def directory(self, path: str, *, create: bool = False) -> Iterator[int]:
        """A file descriptor of the directory. Raises OSError (ENOTDIR) if a segment is a symbolic link or a file."""
        fd = self._open(path, create)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def filled(self, path: str, put: Callable[[int], object]) -> Iterator[int]:
        """A descriptor of the directory, created if needed, after `put` has put something into it by that descriptor.

        Until then it may be empty, and whoever prunes may delete it: then it is created and `put` called once more.
        """
        fd = self._fill(path, put)
        try:
            yield fd
        finally:
            os.close(fd)

    def create(self, path: str) -> None:
        """Create the directory and its parents. Whoever prunes may delete them at once."""
        os.close(self._fill(path, lambda fd: None))

    def prune(self, path: str) -> str:
        """Delete the directory and its parents as far as they are empty; return the first that is left.

        The root stays. What cannot be deleted stays as well: mostly others are filling it.
        """
        while path:
            parent, _, last = path.rpartition("/")
            try:
                with self.directory(parent) as fd:
                    os.rmdir(last, dir_fd=fd)
            except FileNotFoundError:
                pass  # others were quicker, perhaps with its parent too
            except OSError:
                return path
            path = parent
        return path

    def _fill(self, path: str, put: Callable[[int], object]) -> int:
        for _ in range(_PRUNED_TIMES - 1):
            with suppress(_PrunedError):
                return self._fill_once(path, put)
        return self._fill_once(path, put)

    def _fill_once(self, path: str, put: Callable[[int], object]) -> int:
        """Raises _PrunedError if somebody deleted the directory meanwhile."""
        try:
            fd = self._open(path, create=True)
        except FileNotFoundError as error:
            raise _PrunedError(*error.args) from error
        with ExitStack() as unless_filled:
            unless_filled.callback(os.close, fd)
            try:
                put(fd)
            except FileNotFoundError as error:
                if self._leads_to(path, fd):
                    raise
                raise _PrunedError(*error.args) from error
            unless_filled.pop_all()
        return fd

    def _leads_to(self, path: str, fd: int) -> bool:
        with suppress(FileNotFoundError), self.directory(path) as found:
            return os.path.samestat(os.fstat(found), os.fstat(fd))
        return False

    def _open(self, path: str, create: bool) -> int:
        if create and not self.root.exists():
            self.root.mkdir(mode=0o750, parents=True, exist_ok=True)
            self.root.chmod(0o750)
        fd = os.open(self.root, _DIRECTORY)
        for segment in path.split("/") if path else ():
            parent = fd
            try:
                fd = _descend(parent, segment, create)
            finally:
                os.close(parent)
        return fd


@contextmanager
def reporting(doing: str) -> Iterator[None]:
    """Turns OSErrors into ours; `doing` names the action and the place."""
    try:
        yield
    except OSError as error:
        raise reported(doing, error) from error


def reported(doing: str, error: OSError) -> ExportError:
    """The operating system's error as ours."""
    if error.errno in (errno.ELOOP, errno.ENOTDIR):  # a symbolic link, or a file, where a directory should be
        return UnsafePathError(f"{doing}: the path leads over a symbolic link or a file", hint="Remove it")
    return storage_error(doing, error)


def sync(path: Path) -> None:
    """Wait until the file's or directory's bytes are durable."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _descend(parent: int, segment: str, create: bool) -> int:
    """The descriptor of a subdirectory."""
    if create:
        with suppress(FileExistsError):
            os.mkdir(segment, 0o750, dir_fd=parent)
            os.chmod(segment, 0o750, dir_fd=parent)  # noqa: S103 - the group may read artifacts (mkdir obeys the umask)
    return os.open(segment, _DIRECTORY, dir_fd=parent)
