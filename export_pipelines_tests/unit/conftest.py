"""Stores that archives are made from and put into."""

from __future__ import annotations

from pathlib import Path

import pytest

from export_pipelines.spec.retention import ArchiveFormat
from export_pipelines.storage.base import Store
from export_pipelines.storage.local import LocalStore
from export_pipelines.storage.s3 import S3Store
from export_pipelines_tests.archived import FORMATS
from export_pipelines_tests.s3_servers import S3Server

IDS = [f.replace(".", "_") for f in FORMATS]


@pytest.fixture
def originals(tmp_path: Path) -> LocalStore:
    return LocalStore("local", tmp_path / "originals")


@pytest.fixture
def vault(tmp_path: Path) -> LocalStore:
    return LocalStore("vault", tmp_path / "vault")


@pytest.fixture(params=["disk", "s3"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "disk":
        return LocalStore("vault", tmp_path / "vault")
    server: S3Server = request.getfixturevalue("moto")
    return S3Store("vault", server.spec(server.new_bucket()), server.settings(tmp_path / "state"))


@pytest.fixture(params=FORMATS, ids=IDS)
def format(request: pytest.FixtureRequest) -> ArchiveFormat:
    found: ArchiveFormat = request.param
    return found
