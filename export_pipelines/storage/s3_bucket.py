"""One bucket, and what a store asks of it. Importing this module imports boto3."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote, urlencode

from botocore.exceptions import ClientError

from export_pipelines.errors import StorageError
from export_pipelines.settings import Settings
from export_pipelines.spec.stores import S3StoreSpec
from export_pipelines.storage.manifest import FileEntry
from export_pipelines.storage.s3_client import connect
from export_pipelines.storage.s3_digest import Part, arguments_for
from export_pipelines.storage.s3_errors import TAKEN, code_of, reporting, status_of

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """An object that exists: its bytes, the `run` that wrote it ("" if unknown), and all that HEAD reports."""

    bytes: int
    run: str
    report: Mapping[str, Any]


class Bucket:
    """Objects by path, which is the key without the store's prefix. Every error is one of ours.

    `conditional` tells whether the service obeys `If-None-Match: *`; None until the first journal was written.
    `deletes_many` is False once the service refused the request that deletes many objects.
    """

    def __init__(self, store: str, spec: S3StoreSpec, settings: Settings) -> None:
        self.store = store
        self.spec = spec
        self.conditional: bool | None = None
        self.deletes_many = True
        self._sends_condition = True
        self.name = settings.resolve(spec.bucket)
        self._prefix = settings.resolve(spec.prefix).strip("/")
        with self.doing("connecting to"):
            self.client = connect(store, spec, settings)

    def key(self, path: str) -> str:
        """The key of a path."""
        return f"{self._prefix}/{path}" if self._prefix else path

    def doing(self, doing: str, path: str = "") -> AbstractContextManager[None]:
        """Reports errors as ours; they say what was being done with which object."""
        return reporting(self.told(doing, path))

    def told(self, doing: str, path: str) -> str:
        """How an error begins: store, action and object."""
        return f"store {self.store!r}: {doing} {self._uri(path)}"

    def create(self, path: str, body: bytes | BinaryIO, *, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put a new object in one request; returns the service's answer. Raises StorageError if the name is taken.

        `arguments` hold the digests of a file's body; those of bytes are added.
        """
        if isinstance(body, bytes):
            arguments = {**arguments, **arguments_for(body)}

        def put(**condition: str) -> Mapping[str, Any]:
            if not isinstance(body, bytes):
                body.seek(0)
            return self.client.put_object(Bucket=self.name, Key=self.key(path), Body=body, **{**arguments, **condition})

        return self._create(path, put, run=arguments["Metadata"]["run"])

    def create_journal(self, path: str, body: bytes, *, run: str) -> None:
        """Put a new object, and the first time find out whether the service obeys `If-None-Match`."""
        arguments = self.arguments(run=run)
        self.create(path, body, arguments=arguments)
        if self.conditional is None:
            self.conditional = self._obeys_condition(path, body, {**arguments, **arguments_for(body)})
            if not self.conditional:
                _log.warning(
                    "store %r: the service does not obey If-None-Match; names are checked just before writing, so two "
                    "writers of one name at the same moment are not told apart",
                    self.store,
                )

    def open_upload(self, path: str, *, arguments: Mapping[str, Any]) -> str:
        """Begin a multipart upload; returns its id."""
        with self.doing("beginning to upload", path):
            answer = self.client.create_multipart_upload(
                Bucket=self.name, Key=self.key(path), ChecksumAlgorithm="SHA256", **arguments
            )
        if answer["ResponseMetadata"].get("RetryAttempts"):  # an earlier attempt may have begun one as well
            self.abort_uploads(path, keep=answer["UploadId"])
        return answer["UploadId"]

    def complete_upload(
        self, path: str, upload: str, parts: list[CompletedPartTypeDef], *, run: str
    ) -> Mapping[str, Any]:
        """Make the parts a new object; returns the service's answer. Raises StorageError if the name is taken."""

        def complete(**condition: str) -> Mapping[str, Any]:
            return self.client.complete_multipart_upload(
                Bucket=self.name,
                Key=self.key(path),
                UploadId=upload,
                MultipartUpload={"Parts": parts},
                **condition,  # type: ignore[arg-type]
            )

        return self._create(path, complete, run=run)

    def upload_part(self, path: str, upload: str, part: Part) -> CompletedPartTypeDef:
        """Send one part; returns what `complete_upload` needs."""
        arguments: dict[str, Any] = {"PartNumber": part.number, **part.arguments()}
        with self.doing(f"uploading part {part.number} of", path), part.open() as body:
            answer = self.client.upload_part(
                Bucket=self.name, Key=self.key(path), UploadId=upload, Body=body, **arguments
            )
        return {"PartNumber": part.number, "ETag": answer["ETag"], "ChecksumSHA256": arguments["ChecksumSHA256"]}

    def abort_uploads(self, path: str, *, keep: str = "") -> None:
        """Abort every open multipart upload of the path but the one to `keep`."""
        pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.name, Prefix=self.key(path))
        with self.doing("looking for open uploads of", path):
            try:
                uploads = [u["UploadId"] for p in pages for u in p.get("Uploads", []) if u.get("Key") == self.key(path)]
            except ClientError as error:
                if code_of(error) != "NoSuchUpload":  # rclone's answer for a bucket without uploads
                    raise
                return
        for upload in uploads:
            if upload != keep:
                self.abort_upload(path, upload)

    def abort_upload(self, path: str, upload: str) -> None:
        """Abort one multipart upload; nothing happens if it is gone."""
        with self.doing("aborting an upload of", path):
            try:
                self.client.abort_multipart_upload(Bucket=self.name, Key=self.key(path), UploadId=upload)
            except ClientError as error:
                if code_of(error) != "NoSuchUpload":
                    raise

    def head(self, path: str) -> Found | None:
        """What exists at the path, or None. Raises StorageError if the bucket does not exist."""
        with self.doing("looking at", path):
            try:
                report = self.client.head_object(Bucket=self.name, Key=self.key(path), ChecksumMode="ENABLED")
            except ClientError as error:
                if status_of(error) != 404:
                    raise
                self._check_bucket()
                return None
        metadata = {name.lower(): value for name, value in report["Metadata"].items()}
        return Found(report["ContentLength"], metadata.get("run", ""), report)

    def open(self, path: str) -> BinaryIO:
        """The object to read. Raises StorageError if it does not exist."""
        doing = self.doing
        with doing("reading", path):
            body = self.client.get_object(Bucket=self.name, Key=self.key(path))["Body"]
        return io.BufferedReader(_Download(body, lambda: doing("reading", path)), buffer_size=1024 * 1024)

    def paths(self, below: str) -> Iterator[str]:
        """Paths that begin with `below`, ascending."""
        yield from (path for path, _ in self.changes(below))

    def changes(self, below: str) -> Iterator[tuple[str, datetime]]:
        """Paths that begin with `below`, ascending, and when each object was written."""
        cut = len(self.key(""))
        with self.doing("listing", below):
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=self.key(below)):
                yield from ((found["Key"][cut:], found["LastModified"]) for found in page.get("Contents", []))

    def delete(self, path: str) -> None:
        """Delete an object; nothing happens if there is none."""
        with self.doing("deleting", path):
            try:
                self.client.delete_object(Bucket=self.name, Key=self.key(path))
            except ClientError as error:
                if code_of(error) != "NoSuchKey":  # S3 says nothing about it, some services do
                    raise

    def refuse_taken(self, path: str) -> None:
        """Raises StorageError if there is an object at the path."""
        if self.head(path):
            raise StorageError(f"store {self.store!r}: writing {self._uri(path)}: it exists", hint=TAKEN)

    def arguments(self, *, run: str, entry: FileEntry | None = None) -> dict[str, Any]:
        """The metadata, type, encryption, tags and, for the data file of `entry`, storage class of a new object."""
        given: dict[str, Any] = {"ContentType": "application/json", "Metadata": {"run": run}}
        if entry:
            given |= {"ContentType": entry.media_type, "Metadata": {"run": run, "sha256": entry.sha256}}
        if entry and self.spec.storage_class:
            given["StorageClass"] = self.spec.storage_class
        if self.spec.server_side_encryption:
            given["ServerSideEncryption"] = self.spec.server_side_encryption
        if self.spec.kms_key_id:
            given["SSEKMSKeyId"] = self.spec.kms_key_id
        if self.spec.tags:
            given["Tagging"] = urlencode(self.spec.tags, quote_via=quote)
        return given

    def _create(self, path: str, request: Callable[..., Mapping[str, Any]], *, run: str) -> Mapping[str, Any]:
        with self.doing("writing", path):
            try:
                return self._conditionally(request)
            except ClientError as error:
                # The answer to an earlier attempt was lost and boto3 tried again: the object is already there.
                if status_of(error) == 412 or code_of(error) == "NoSuchUpload":
                    found = self.head(path)
                    if found and found.run == run:
                        return {}
                raise

    def _conditionally(self, request: Callable[..., Mapping[str, Any]]) -> Mapping[str, Any]:
        if self._sends_condition:
            try:
                return request(IfNoneMatch="*")
            except ClientError as error:
                if status_of(error) != 501 and code_of(error) != "NotImplemented":
                    raise
                self._sends_condition = False
        return request()

    def _obeys_condition(self, path: str, body: bytes, arguments: Mapping[str, Any]) -> bool:
        """Whether putting `path` once more is refused."""
        if not self._sends_condition:
            return False
        with self.doing("writing", path):
            try:
                self.client.put_object(Bucket=self.name, Key=self.key(path), Body=body, IfNoneMatch="*", **arguments)
            except ClientError as error:
                if status_of(error) != 412:
                    raise
                return True
        return False

    def _check_bucket(self) -> None:
        """HEAD of an object answers 404 for a missing bucket too, without a word of explanation."""
        try:
            self.client.head_bucket(Bucket=self.name)
        except ClientError as error:
            if status_of(error) == 404:
                error.response["Error"]["Code"] = "NoSuchBucket"
            raise

    def _uri(self, path: str) -> str:
        return f"s3://{self.name}/{self.key(path)}"


class _Download(io.RawIOBase):
    """The body of an answer, with our errors."""

    def __init__(self, body: Any, reporting: Callable[[], AbstractContextManager[None]]) -> None:
        self._body = body
        self._reporting = reporting

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._reporting():
            data = self._body.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._body.close()
        super().close()
