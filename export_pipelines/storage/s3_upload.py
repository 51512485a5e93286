"""Uploading one staged file, whole or in parts, so that damage on the way is noticed."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export_pipelines.errors import ExportError, StorageError
from export_pipelines.storage.manifest import FileEntry
from export_pipelines.storage.s3_bucket import Bucket
from export_pipelines.storage.s3_digest import Expected, Part, split

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

_PARTS_AT_ONCE = 4
_log = logging.getLogger(__name__)


class Upload:
    """One file on its way to its path. `send` it, later `verify` what the service then holds."""

    def __init__(self, bucket: Bucket, path: str, *, entry: FileEntry, run: str) -> None:
        self._bucket = bucket
        self._path = path
        self._entry = entry
        self._run = run
        self._arguments = bucket.arguments(run=run, entry=entry)
        self._expected: Expected
        self._proven = False

    def send(self, staged: Path) -> None:
        """Upload the staged file. Raises OSError if it cannot be read, StorageError, StorageUnavailableError."""
        descriptor = os.open(staged, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            if size != self._entry.bytes:
                raise self._changed(f"{size:,} bytes instead of {self._entry.bytes:,}")
            whole = hashlib.sha256()
            parts = split(descriptor, size, part_bytes=self._bucket.spec.part_bytes, whole=whole)
            if is_multipart(self._bucket, self._entry):
                self._send_parts(parts, whole)
            else:
                self._send_whole(next(parts), whole)
        finally:
            os.close(descriptor)

    def verify(self) -> None:
        """Compare what the service holds with what was sent. Raises StorageError if it differs or is gone."""
        found = self._bucket.head(self._path)
        if found is None or found.run not in ("", self._run):
            raise StorageError(
                f"{self._what}: it vanished from the store while it was published",
                hint="Another run took over this partition, or somebody deleted it: run the export again",
            )
        self._compare(found.report)
        if not self._proven:
            _log.warning("%s: the service reports no SHA256 and no MD5; only the size was compared", self._what)

    def _send_whole(self, part: Part, whole: Any) -> None:
        self._check_unchanged(whole)
        self._expected = Expected.of(self._entry.bytes, [part], multipart=False)
        with part.open() as body:
            report = self._bucket.create(self._path, body, arguments={**self._arguments, **part.arguments()})
        self._compare(report)

    def _send_parts(self, parts: Iterator[Part], whole: Any) -> None:
        with self._open_upload() as upload:
            sent: list[Part] = []
            completed: list[CompletedPartTypeDef] = []
            pending: deque[Future[CompletedPartTypeDef]] = deque()
            with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
                for part in parts:
                    if len(pending) == _PARTS_AT_ONCE:
                        completed.append(pending.popleft().result())
                    sent.append(part)
                    pending.append(pool.submit(self._bucket.upload_part, self._path, upload, part))
                completed.extend(future.result() for future in pending)
            self._check_unchanged(whole)
            self._expected = Expected.of(self._entry.bytes, sent, multipart=True)
            self._bucket.refuse_taken(self._path)  # some services obey If-None-Match for whole objects only
            self._compare(self._bucket.complete_upload(self._path, upload, completed, run=self._run))

    @contextmanager
    def _open_upload(self) -> Iterator[str]:
        """A multipart upload that is aborted unless the block succeeds."""
        upload = self._bucket.open_upload(self._path, arguments=self._arguments)
        succeeded = False
        try:
            yield upload
            succeeded = True
        finally:
            if not succeeded:
                self._abort(upload)

    def _abort(self, upload: str) -> None:
        try:
            self._bucket.abort_upload(self._path, upload)
        except ExportError as error:
            _log.warning("%s: the upload stays open until the next run aborts it: %s", self._what, error)

    def _compare(self, report: Mapping[str, Any]) -> None:
        difference = self._expected.difference(report)
        if difference:
            raise StorageError(
                f"{self._what}: the service holds {difference}",
                hint="The bytes changed on the way: run the export again, and check the network if it happens again",
            )
        self._proven |= self._expected.proven_by(report)

    def _check_unchanged(self, whole: Any) -> None:
        if whole.hexdigest() != self._entry.sha256:
            raise self._changed("its SHA256 differs")

    def _changed(self, how: str) -> StorageError:
        return StorageError(
            f"{self._what}: the staged file changed after it was written: {how}",
            hint="Check the disk below EXPORT_STATE_PATH, then run the export again",
        )

    @property
    def _what(self) -> str:
        return f"store {self._bucket.store!r}: uploading {self._path}"


def is_multipart(bucket: Bucket, entry: FileEntry) -> bool:
    """Whether a file is uploaded in parts."""
    return entry.bytes > bucket.spec.part_bytes
