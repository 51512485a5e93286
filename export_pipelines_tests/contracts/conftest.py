"""Services that several contract tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from export_pipelines.storage.s3 import S3Store
from export_pipelines_tests.s3_servers import Proxy, S3Server, moto_s3, rclone_s3, s3_proxy


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """S3 that obeys If-None-Match and checks no digests and no signatures."""
    with moto_s3(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """S3 that checks signatures and MD5 and ignores If-None-Match."""
    with rclone_s3(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(params=["moto", "rclone"])
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    """One service, then the other."""
    found: S3Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    """A new bucket there."""
    return s3_server.new_bucket()


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[Proxy]:
    """A proxy in front of the service."""
    with s3_proxy(s3_server) as proxy:
        yield proxy


@pytest.fixture
def store(proxy: Proxy, bucket: str, tmp_path: Path) -> S3Store:
    """A store that reaches the bucket through the proxy."""
    return S3Store("lake", proxy.server.spec(bucket), proxy.server.settings(tmp_path))
