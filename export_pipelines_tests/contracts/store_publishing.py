"""Publishing and removing made-up artifacts, also in a process that is killed on the way."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Protocol

from export_pipelines.storage.base import NO_FENCE, Placement, Removal, Staging, Store
from export_pipelines.storage.manifest import FileEntry

SMALL = {"students.csv": b"id,name\n1,Ann\n", "students.parquet": b"PAR1" * 100, "none.csv": b""}
MANIFEST = b'{"version": 1}\n'

Steps = Callable[[str, tuple[Any, ...]], bool]
"""Tells from an audit event of Python and its arguments whether this is a step at which to be killed."""


class Work(Protocol):
    """What another process does to a store, and may be killed at."""

    def prepare(self, store: Store) -> Callable[[], object]:
        """Do what comes before; return what is to be killed."""
        ...


class Site(ABC):
    """A place to publish to, seen from outside the store."""

    @abstractmethod
    def connect(self) -> Store:
        """A new store object, as another process has it."""

    @abstractmethod
    def raw_listing(self) -> list[str]:
        """Everything that exists: published files, staged files and directories, journals, open uploads."""

    @abstractmethod
    def raw_read(self, path: str) -> bytes:
        """The bytes of a published file, read without the store."""

    @abstractmethod
    def empty_directories(self) -> list[str]:
        """Directories that hold nothing, where the service knows such."""

    @property
    @abstractmethod
    def factory(self) -> Callable[[], Store]:
        """`connect`, as something that can be sent to another process."""

    @property
    @abstractmethod
    def steps(self) -> Steps:
        """Steps of work at which a process may die, to be sent to another process too."""


@dataclass(frozen=True)
class Job:
    """One artifact to publish."""

    directory: str
    files: Mapping[str, bytes] = field(default_factory=lambda: SMALL)
    scope: str = "students/2026-01-01"
    run: str = "run-1"
    shared: bool = False
    manifest_name: str = "metadata.json"

    @property
    def placement(self) -> Placement:
        """Where the artifact goes."""
        return Placement(directory=self.directory, manifest_name=self.manifest_name, shared=self.shared)

    @property
    def contents(self) -> dict[str, bytes]:
        """Path -> bytes of all that must be there once it is published."""
        named = {self.placement.path_of(name): data for name, data in self.files.items()}
        return {**named, self.placement.manifest_path: MANIFEST}

    @property
    def removal(self) -> Removal:
        """What deletes the artifact."""
        paths = [self.placement.path_of(name) for name in self.files]
        return Removal(manifest_path=self.placement.manifest_path, paths=paths)

    def prepare(self, store: Store) -> Callable[[], object]:
        """Stage; what is returned publishes."""
        staging, entries = self.stage(store)
        return partial(store.publish, staging, self.placement, entries, manifest=MANIFEST)

    def stage(self, store: Store) -> tuple[Staging, list[FileEntry]]:
        """Write the files into a staging of the store."""
        staging = store.stage(self.scope, self.run)
        for name, data in self.files.items():
            with staging.create(name) as file:
                file.write(data)
        return staging, [entry(name, data) for name, data in self.files.items()]

    def publish(self, store: Store, *, fence: AbstractContextManager[object] = NO_FENCE) -> Staging:
        """Stage and publish; a failure discards the staging, as every caller must."""
        staging, entries = self.stage(store)
        try:
            store.publish(staging, self.placement, entries, manifest=MANIFEST, fence=fence)
        except BaseException:
            store.discard(staging)
            raise
        return staging


@dataclass(frozen=True)
class Removing:
    """Artifacts to delete in one go."""

    removals: Sequence[Removal]

    def prepare(self, store: Store) -> Callable[[], object]:
        """What is returned deletes."""
        return partial(store.remove, self.removals)


def entry(name: str, data: bytes) -> FileEntry:
    """What the manifest says about a file."""
    sha256 = hashlib.sha256(data).hexdigest()
    return FileEntry(
        name=name, dataset="students", format="csv", media_type="text/csv", rows=1, bytes=len(data), sha256=sha256
    )


def large(size: int) -> bytes:
    """So many bytes, no two stretches of 32 KiB equal."""
    return b"".join(hashlib.sha256(b"%d" % i).digest() * 1024 for i in range(size // 32768 + 1))[:size]


def count_steps(site: Site, work: Work) -> int:
    """Do the work in another process; return how many steps it took."""
    context = _context()
    ours, theirs = context.Pipe()
    process = context.Process(target=_do, args=(site.factory, work, site.steps, 0, theirs))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert ours.poll()
    steps = ours.recv()
    assert isinstance(steps, int)
    return steps


def kill_at_step(site: Site, work: Work, at: int) -> None:
    """Do the work in another process that dies by SIGKILL just before its step number `at`, counted from 1."""
    context = _context()
    process = context.Process(target=_do, args=(site.factory, work, site.steps, at, None))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL, process.exitcode


def _context() -> multiprocessing.context.ForkServerContext:
    """Processes forked from a clean one that has imported what takes long."""
    context = multiprocessing.get_context("forkserver")
    modules = [f"export_pipelines.storage.{name}" for name in ("s3_upload", "s3_removal")]
    context.set_forkserver_preload(["pytest", __name__, *modules])
    return context


def _do(factory: Callable[[], Store], work: Work, steps: Steps, die_at: int, results: Connection | None) -> None:
    act = work.prepare(factory())
    seen = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if steps(event, arguments):
            seen += 1
            if seen == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    act()
    if results:
        results.send(seen)
