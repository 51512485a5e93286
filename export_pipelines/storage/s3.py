"""A bucket of Amazon S3 or of a compatible service as a store.

A run writes its files into a private directory below `EXPORT_STATE_PATH/staging` on this machine. To publish them it
puts a journal, `.staging/{scope}/{run}.json`, that lists every final key; uploads the files to their final keys; checks
what the service then holds; and puts the manifest last. The journal is deleted at the end. A journal that is still
there when nobody publishes tells which objects of a killed run to delete.

Every object carries the run that wrote it as metadata (`run`). Only objects that name the run itself are ever deleted,
and a name that is taken counts as ours only if its object names us (boto3 tried again after a lost answer).

How much the service proves decides how much is checked, and what is missing is logged as a warning:

- `If-None-Match: *` goes with every new object. Whether the service obeys is found out once, with the first journal. If
  it does not, names are looked up just before writing; two writers at the same moment are then not told apart.
- Each request carries SHA256 and MD5, which most services verify. Afterwards, the SHA256 that the service reports, its
  ETag where that is an MD5 (not with `aws:kms`), and the size must equal ours. Any difference is a StorageError.

Directory buckets (S3 Express) are not supported: they list in no order and have no MD5. In a versioned bucket, deleted
leftovers live on as old versions until a lifecycle rule removes them.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pydantic import BaseModel, ConfigDict, ValidationError

from export_pipelines.crash import passing
from export_pipelines.errors import ExportError, StorageError
from export_pipelines.settings import Settings
from export_pipelines.spec.naming import check_path
from export_pipelines.spec.stores import S3StoreSpec
from export_pipelines.storage.base import (
    NO_FENCE,
    Leftover,
    Placement,
    Removal,
    Staging,
    Store,
    is_plain,
    storage_error,
)
from export_pipelines.storage.manifest import FileEntry

if TYPE_CHECKING:
    from export_pipelines.storage.s3_bucket import Bucket

STAGING = ".staging"
_JOURNALED = ".journaled"
_NEVER = datetime.min.replace(tzinfo=UTC)
_log = logging.getLogger(__name__)


class _Placed(BaseModel):
    model_config = ConfigDict(frozen=True)

    path: str
    multipart: bool


class _Journal(BaseModel):
    """What one run is about to put: written before the first object, deleted after the manifest."""

    model_config = ConfigDict(frozen=True)

    run: str
    manifest: str
    files: list[_Placed]


class S3Store(Store):
    """Publishes into a bucket. Creating it connects to nothing and does not import boto3."""

    def __init__(self, name: str, spec: S3StoreSpec, settings: Settings) -> None:
        self.name = name
        self._spec = spec
        self._settings = settings

    @classmethod
    def from_spec(cls, name: str, spec: S3StoreSpec, settings: Settings) -> S3Store:
        """The store of a spec; references in it are resolved when it is used."""
        return cls(name, spec, settings)

    def stage(self, scope: str, run: str) -> Staging:
        """A new directory on this machine, mode 0700. Raises StorageError, StorageUnavailableError."""
        path = self._local / f"{self._local_prefix(scope)}{check_path(run)}"
        with _local_errors(f"creating the staging directory {path}"):
            _make_directories(self._local)
            path.mkdir(mode=0o700)
            path.chmod(0o700)
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
        """See Store: journal, files, checks, manifest. Raises ConfigurationError if there are no credentials."""
        from export_pipelines.storage.s3_upload import Upload, is_multipart

        run = f"{staging.scope}/{staging.run}"
        paths = [check_path(placement.path_of(entry.name)) for entry in files]
        placed = [_Placed(path=p, multipart=is_multipart(self._bucket, e)) for p, e in zip(paths, files, strict=True)]
        journal = _Journal(run=run, manifest=check_path(placement.manifest_path), files=placed)
        with _local_errors(f"publishing {self.uri(journal.manifest)}"):
            (staging.path / _JOURNALED).touch(mode=0o600)
        self._bucket.create_journal(_journal_path(staging), journal.model_dump_json().encode(), run=run)
        self._refuse_taken(*paths, journal.manifest)
        uploads = [Upload(self._bucket, p, entry=e, run=run) for p, e in zip(paths, files, strict=True)]
        for upload, entry in zip(uploads, files, strict=True):
            with _local_errors(f"reading the staged file {entry.name}"):
                upload.send(staging.path / entry.name)
        for upload in uploads:
            upload.verify()
        passing("moved")
        with fence:
            self._refuse_taken(journal.manifest)
            self._bucket.create(journal.manifest, manifest, arguments=self._bucket.arguments(run=run))
            passing("manifest_written")
        self._finish(staging)

    def discard(self, staging: Staging) -> None:
        """See Store. The bucket is asked only if publishing had begun."""
        try:
            if (staging.path / _JOURNALED).exists():
                self._undo(_journal_path(staging))
        finally:
            _delete_directory(staging.path)

    def sweep(self, scope: str) -> list[str]:
        """See Store. Returns the runs whose leftovers were deleted, here or in the bucket."""
        prefix = self._local_prefix(scope)
        below = f"{STAGING}/{scope}/"
        journals = [path for path in self._bucket.paths(below) if "/" not in path.removeprefix(below)]
        for path in journals:
            self._undo(path)
        with _local_errors(f"reading {self._local}"):
            staged = (
                [path for path in self._local.iterdir() if path.name.startswith(prefix)] if self._local.is_dir() else []
            )
        for directory in staged:
            _delete_directory(directory)
        runs = {path.removeprefix(below).removesuffix(".json") for path in journals}
        return sorted(runs | {directory.name.removeprefix(prefix) for directory in staged})

    def leftovers(self) -> list[Leftover]:
        """See Store: journals in the bucket, and what this store's runs on this machine have staged."""
        newest: dict[str, datetime] = {}
        for scope, changed in (*self._journaled(), *self._staged()):
            newest[scope] = max(changed.astimezone(UTC), newest.get(scope, _NEVER))
        return [Leftover(scope=scope, modified_at=newest[scope]) for scope in sorted(newest)]

    def remove(self, removals: Sequence[Removal]) -> dict[str, ExportError]:
        """See Store. Raises ConfigurationError if there are no credentials."""
        from export_pipelines.storage.s3_removal import remove

        return remove(self._bucket, removals)

    def open(self, path: str) -> BinaryIO:
        """See Store. Raises StorageUnavailableError, while reading too, if the connection is lost."""
        return self._bucket.open(check_path(path))

    def size(self, path: str) -> int | None:
        """See Store."""
        found = self._bucket.head(check_path(path))
        return found.bytes if found else None

    def walk(self) -> Iterator[str]:
        """See Store: every object below the prefix except journals, in the service's own order of keys."""
        for path in self._bucket.paths(""):
            if not path.startswith(f"{STAGING}/") and not path.endswith("/"):
                yield path

    def uri(self, path: str) -> str:
        """`s3://bucket/prefix/path`."""
        parts = (self._settings.resolve(self._spec.bucket), self._settings.resolve(self._spec.prefix).strip("/"), path)
        return "s3://" + "/".join(part for part in parts if part)

    @cached_property
    def _bucket(self) -> Bucket:
        from export_pipelines.storage.s3_bucket import Bucket

        return Bucket(self.name, self._spec, self._settings)

    @cached_property
    def _local(self) -> Path:
        return Path(self._settings.get("EXPORT_STATE_PATH")).absolute() / "staging"

    def _local_prefix(self, scope: str) -> str:
        """How a scope's staging directories begin; no other scope's begin so, for no name holds a comma."""
        return f"{self.name},{check_path(scope).replace('/', ',')},"

    def _journaled(self) -> Iterator[tuple[str, datetime]]:
        """Scope of each journal, and when it was written."""
        for path, written in self._bucket.changes(f"{STAGING}/"):
            names = path.removesuffix(".json").split("/")[1:]
            if path.endswith(".json") and len(names) == 3 and all(map(is_plain, names)):
                yield "/".join(names[:2]), written

    def _staged(self) -> Iterator[tuple[str, datetime]]:
        """Scope of each staging directory on this machine, and its newest change. They may go away meanwhile."""
        with _local_errors(f"reading {self._local}"), suppress(FileNotFoundError):
            for directory in self._local.iterdir():
                store, *names = directory.name.split(",")
                if store == self.name and len(names) == 3 and all(map(is_plain, names)) and not directory.is_symlink():
                    with suppress(FileNotFoundError, NotADirectoryError):
                        yield "/".join(names[:2]), _newest_change(directory)

    def _refuse_taken(self, *paths: str) -> None:
        if not self._bucket.conditional:
            for path in paths:
                self._bucket.refuse_taken(path)

    def _finish(self, staging: Staging) -> None:
        """The artifact is published, so what fails from here on is left to the next sweep."""
        try:
            self._bucket.delete(_journal_path(staging))
            _delete_directory(staging.path)
        except ExportError as error:
            _log.warning("store %r: published, but cleaning up after it failed: %s", self.name, error)

    def _undo(self, journal_path: str) -> None:
        """Delete what a journal lists unless its manifest is there, then the journal."""
        journal = self._read_journal(journal_path)
        if journal is None:
            return
        manifest = self._bucket.head(journal.manifest)
        if manifest is None or manifest.run not in ("", journal.run):
            for placed in journal.files:
                if placed.multipart:
                    self._bucket.abort_uploads(placed.path)
                self._delete_own(placed.path, journal.run)
            # A publisher believed dead may have been quicker with its manifest; its files are gone now.
            self._delete_own(journal.manifest, journal.run)
        self._bucket.delete(journal_path)

    def _delete_own(self, path: str, run: str) -> None:
        found = self._bucket.head(path)
        if found and found.run == run:
            self._bucket.delete(path)
        elif found:
            _log.warning("store %r: left %s alone, for it does not belong to %s", self.name, self.uri(path), run)

    def _read_journal(self, path: str) -> _Journal | None:
        if self._bucket.head(path) is None:
            return None
        with self._bucket.open(path) as file:
            data = file.read()
        try:
            journal = _Journal.model_validate_json(data)
        except ValidationError as error:
            raise StorageError(
                f"store {self.name!r}: the journal {self.uri(path)} cannot be read",
                hint="Look at what it lists, delete that and then the journal",
            ) from error
        for listed in (journal.manifest, *(placed.path for placed in journal.files)):
            check_path(listed)
        return journal


def _journal_path(staging: Staging) -> str:
    return f"{STAGING}/{check_path(staging.scope)}/{check_path(staging.run)}.json"


def _make_directories(path: Path) -> None:
    """Create the directory and its parents, mode 0750 whatever the umask."""
    if not path.is_dir():
        _make_directories(path.parent)
        path.mkdir(exist_ok=True)
        path.chmod(0o750)


def _newest_change(directory: Path) -> datetime:
    changes = [path.lstat().st_mtime for path in (directory, *directory.iterdir())]
    return datetime.fromtimestamp(max(changes), UTC)


def _delete_directory(path: Path) -> None:
    with _local_errors(f"deleting the staging directory {path}"):
        if os.path.lexists(path):
            shutil.rmtree(path)


@contextmanager
def _local_errors(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(doing, error) from error
