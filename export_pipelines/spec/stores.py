"""Stores: where artifacts are published."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from export_pipelines.spec.base import SpecModel, Text


class LocalStoreSpec(SpecModel):
    """A directory on a local or mounted disk."""

    type: Literal["local"] = Field("local", description="Selects this kind of store.", examples=["local"])
    root: Text = Field(description="Directory; created with mode 0750.", examples=["${env:EXPORT_STORAGE_PATH}"])


class S3StoreSpec(SpecModel):
    """A bucket of Amazon S3 or a compatible service."""

    type: Literal["s3"] = Field("s3", description="Selects this kind of store.", examples=["s3"])
    bucket: Text = Field(description="Bucket name.", examples=["acme-exports"])
    prefix: str = Field("", description="Key prefix, without slashes at its ends.", examples=["prod"])
    region: str | None = Field(None, description="Region.", examples=["eu-central-1"])
    endpoint_url: str | None = Field(
        None, description="Endpoint of a compatible service.", examples=["https://s3.example.org"]
    )
    access_key_id: str | None = Field(
        None, description="Key reference; the default is boto3's own credential chain.", examples=["${env:S3_KEY}"]
    )
    secret_access_key: str | None = Field(None, description="Secret reference.", examples=["${env:S3_SECRET}"])
    server_side_encryption: Literal["AES256", "aws:kms"] | None = Field(
        None, description="Encryption at rest.", examples=["aws:kms"]
    )
    kms_key_id: str | None = Field(None, description="KMS key for `aws:kms`.", examples=["alias/exports"])
    storage_class: str | None = Field(None, description="Storage class of data files.", examples=["STANDARD_IA"])
    tags: dict[str, str] = Field(
        default_factory=dict, description="Object tags.", examples=[{"team": "finance"}], max_length=10
    )
    part_bytes: int = Field(
        16 * 1024 * 1024,
        ge=5 * 1024 * 1024,
        le=5 * 1024**3,
        description="Bytes per part of a multipart upload; smaller files go in one request.",
        examples=[8_388_608],
    )
    path_style: bool = Field(False, description="Put the bucket in the path instead of the host name.", examples=[True])
    timeout_seconds: float = Field(60, gt=0, description="Connect and read timeout of a request.", examples=[30])


StoreSpec = Annotated[LocalStoreSpec | S3StoreSpec, Field(discriminator="type")]
"""One store, told apart by `type`."""
