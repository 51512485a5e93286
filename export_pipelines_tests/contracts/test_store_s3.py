"""The store contract on two S3 services."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from export_pipelines.storage.base import Store
from export_pipelines.storage.s3 import S3Store
from export_pipelines_tests.contracts.store_contract import StoreContract
from export_pipelines_tests.contracts.store_publishing import Site, Steps
from export_pipelines_tests.s3_servers import S3Server

_PREFIX = "prod/"


class S3Steps:
    """Every request that changes something, and some places within the bodies of parts."""

    def __init__(self) -> None:
        self.blocks = 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event != "http.client.send":
            return event in ("os.rmdir", "os.remove")
        head = bytes(arguments[1][:5])
        if head.startswith((b"PUT ", b"POST ", b"DELET")):
            return True
        if head.startswith((b"GET ", b"HEAD ")):
            return False
        self.blocks += 1
        return self.blocks % 200 == 0


@dataclass(frozen=True)
class S3Site(Site):
    """A bucket, and the directory of this machine's staging."""

    server: S3Server
    bucket: str
    state: Path

    def connect(self) -> Store:
        return self.factory()

    def raw_listing(self) -> list[str]:
        found = [name.removeprefix(_PREFIX) for name in self.server.listing(self.bucket)]
        staging = self.state / "staging"
        return sorted([*found, *(f"staged {path.relative_to(staging)}" for path in staging.rglob("*"))])

    def empty_directories(self) -> list[str]:
        return []

    def raw_read(self, path: str) -> bytes:
        answer = self.server.client.get_object(Bucket=self.bucket, Key=_PREFIX + path)
        data: bytes = answer["Body"].read()
        return data

    @property
    def factory(self) -> Callable[[], Store]:
        return partial(S3Store, "lake", self.server.spec(self.bucket), self.server.settings(self.state))

    @property
    def steps(self) -> Steps:
        return S3Steps()


class TestS3OnMoto(StoreContract):
    layouts = (True,)  # a bucket has no directories

    @pytest.fixture
    def site(self, moto: S3Server, tmp_path: Path) -> Site:
        return S3Site(moto, moto.new_bucket(), tmp_path)


class TestS3OnRclone(StoreContract):
    layouts = (True,)
    test_of_two_racing_writers_one_wins_whole = None  # rclone ignores If-None-Match: only the lease keeps them apart

    @pytest.fixture
    def site(self, rclone: S3Server, tmp_path: Path) -> Site:
        return S3Site(rclone, rclone.new_bucket(), tmp_path)
