"""A client of boto3 for one store. Importing this module imports boto3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3.session
from botocore.config import Config

from export_pipelines.errors import ConfigurationError
from export_pipelines.settings import Settings
from export_pipelines.spec.stores import S3StoreSpec
from export_pipelines.storage.s3_digest import arguments_for

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def connect(store: str, spec: S3StoreSpec, settings: Settings) -> S3Client:
    """A client with the spec's credentials, or those that boto3 finds by itself.

    Raises ConfigurationError if the spec's settings contradict each other.
    """
    config = Config(
        connect_timeout=spec.timeout_seconds,
        read_timeout=spec.timeout_seconds,
        retries={"mode": "standard", "total_max_attempts": 3},
        s3={"addressing_style": "path" if spec.path_style else "auto"},
        request_checksum_calculation="when_required",  # ours are given; more of them many services refuse
        response_checksum_validation="when_required",
    )
    access, secret, endpoint, region = (
        settings.resolve(value) if value else None
        for value in (spec.access_key_id, spec.secret_access_key, spec.endpoint_url, spec.region)
    )
    if bool(access) != bool(secret):
        raise ConfigurationError(
            f"store {store!r}: only one of `access_key_id` and `secret_access_key` is set", hint="Set both or neither"
        )
    if endpoint and (urlsplit(endpoint).scheme not in ("http", "https") or urlsplit(endpoint).username):
        raise ConfigurationError(
            f"store {store!r}: `endpoint_url` is not a plain address", hint="Write it like https://s3.example.org"
        )
    client = boto3.session.Session().client(
        "s3",
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        endpoint_url=endpoint,
        region_name=region,
        config=config,
    )
    client.meta.events.register_last("before-call.s3.DeleteObjects", _add_md5)
    return client


def _add_md5(params: dict[str, Any], **_: object) -> None:
    """Services older than the checksums of today demand the MD5 of what is to be deleted; boto3 no longer sends it."""
    params["headers"]["Content-MD5"] = arguments_for(params["body"])["ContentMD5"]
