"""Fixtures that several test modules use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from export_pipelines_tests.s3_servers import S3Server, moto_s3, rclone_s3
from export_pipelines_tests.servers import PostgresServer, postgres_server

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=2_000, deadline=None)
settings.load_profile("repeatable")  # `make fuzz` looks for new counterexamples; a red build is the fault of a change


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL server for all tests of this process."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres_database(postgres: PostgresServer) -> Iterator[str]:
    """The name of a new, empty PostgreSQL database."""
    with postgres.database() as name:
        yield name


@pytest.fixture
def postgres_url(postgres: PostgresServer, postgres_database: str) -> str:
    """The URL of that database."""
    return postgres.url(postgres_database)


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
