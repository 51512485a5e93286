"""Services that several contract tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from export_pipelines.storage.s3 import S3Store
from export_pipelines_tests.s3_servers import Proxy, S3Server, s3_proxy


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[Proxy]:
    """A proxy in front of the service."""
    with s3_proxy(s3_server) as proxy:
        yield proxy


@pytest.fixture
def store(proxy: Proxy, bucket: str, tmp_path: Path) -> S3Store:
    """A store that reaches the bucket through the proxy."""
    return S3Store("lake", proxy.server.spec(bucket), proxy.server.settings(tmp_path))


@pytest.fixture
def keyless(rclone: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """A store whose spec has no credentials, where the environment has none either."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    spec = rclone.spec("b").model_copy(update={"access_key_id": None, "secret_access_key": None})
    return S3Store("lake", spec, rclone.settings(tmp_path))
