"""Deleting artifacts from a bucket: all manifests first, then the data files of those whose manifest is gone.

Up to 1000 objects go with one request. Its successful answer may still report errors of single objects, and what it
reports in no way counts as not deleted. Services that lack the request are asked to delete one object at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from export_pipelines.chunks import chunks
from export_pipelines.crash import passing
from export_pipelines.errors import ConfigurationError, ExportError, StorageUnavailableError
from export_pipelines.storage.base import Removal, check_removals
from export_pipelines.storage.s3_bucket import Bucket
from export_pipelines.storage.s3_errors import AGAIN, code_of, refused, status_of

_BATCH = 1000
_LACKING = {"NotImplemented", "MethodNotAllowed"}


def remove(bucket: Bucket, removals: Sequence[Removal]) -> dict[str, ExportError]:
    """Delete artifacts as `Store.remove` says; returns manifest path -> error of each that is not wholly removed."""
    sound, failed = check_removals(removals)
    failed |= _delete(bucket, [removal.manifest_path for removal in sound])
    freed = [removal for removal in sound if removal.manifest_path not in failed]
    if not freed:
        return failed
    passing("manifest_deleted")
    owners = {path: removal.manifest_path for removal in freed for path in removal.paths}
    for path, error in _delete(bucket, list(owners)).items():
        failed.setdefault(owners[path], error)
    if any(removal.manifest_path not in failed for removal in freed):
        passing("source_deleted")
    return failed


def _delete(bucket: Bucket, paths: Sequence[str]) -> dict[str, ExportError]:
    """Delete objects; returns path -> error of each that may still be there. Raises ConfigurationError."""
    failed: dict[str, ExportError] = {}
    for batch in chunks(paths, _BATCH):
        answer = _ask(bucket, batch) if bucket.deletes_many else None
        failed |= _one_by_one(bucket, batch) if answer is None else answer
    return failed


def _ask(bucket: Bucket, paths: Sequence[str]) -> dict[str, ExportError] | None:
    """Delete many objects by one request; None if the service does not know it."""
    others = f" and {len(paths) - 1} others" if len(paths) > 1 else ""
    try:
        with bucket.doing("deleting", f"{paths[0]}{others}"):
            try:
                answer = bucket.client.delete_objects(
                    Bucket=bucket.name,
                    Delete={"Objects": [{"Key": bucket.key(path)} for path in paths]},
                    ChecksumAlgorithm="SHA256",
                )
            except ClientError as error:
                if code_of(error) not in _LACKING and status_of(error) not in (405, 501):
                    raise
                bucket.deletes_many = False
                return None
    except ConfigurationError:
        raise
    except ExportError as error:
        return dict.fromkeys(paths, error)
    return _errors_within(bucket, paths, answer)


def _errors_within(bucket: Bucket, paths: Sequence[str], answer: Mapping[str, Any]) -> dict[str, ExportError]:
    """What a successful answer says, or fails to say, about objects that are not gone."""
    codes = {found.get("Key"): str(found.get("Code", "")) for found in answer.get("Errors", [])}
    gone = {found.get("Key") for found in answer.get("Deleted", [])}
    failed: dict[str, ExportError] = {}
    for path in paths:
        key, doing = bucket.key(path), bucket.told("deleting", path)
        if key in codes and codes[key] != "NoSuchKey":
            failed[path] = refused(doing, "DeleteObjects", codes[key], 200)
        elif key not in codes and key not in gone:
            failed[path] = StorageUnavailableError(f"{doing}: the service does not say that it did", hint=AGAIN)
    return failed


def _one_by_one(bucket: Bucket, paths: Sequence[str]) -> dict[str, ExportError]:
    failed: dict[str, ExportError] = {}
    for path in paths:
        try:
            bucket.delete(path)
        except ConfigurationError:
            raise
        except ExportError as error:
            failed[path] = error
    return failed
