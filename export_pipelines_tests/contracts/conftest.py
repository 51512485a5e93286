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
