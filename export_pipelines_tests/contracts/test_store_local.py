"""The store contract on a local disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from export_pipelines.storage.base import Store
from export_pipelines.storage.local import LocalStore
from export_pipelines_tests.contracts.store_contract import StoreContract
from export_pipelines_tests.contracts.store_publishing import Site, Steps

_CHANGES = {"os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"}


def local_steps(event: str, arguments: tuple[Any, ...]) -> bool:
    """Every change of the directory tree, and every new file."""
    return event in _CHANGES or (event == "open" and isinstance(arguments[2], int) and bool(arguments[2] & os.O_CREAT))


@dataclass(frozen=True)
class LocalSite(Site):
    """A directory."""

    root: Path

    def connect(self) -> Store:
        return LocalStore("local", self.root)

    def raw_listing(self) -> list[str]:
        paths = [path for path in self.root.rglob("*") if path.is_file() or ".staging" in path.parent.parts]
        return sorted(path.relative_to(self.root).as_posix() for path in paths)

    def raw_read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    @property
    def factory(self) -> Callable[[], Store]:
        return partial(LocalStore, "local", self.root)

    @property
    def steps(self) -> Steps:
        return local_steps


class TestLocalStore(StoreContract):
    large_bytes = 3 * 2**20

    @pytest.fixture
    def site(self, tmp_path: Path) -> Site:
        return LocalSite(tmp_path / "store")


def test_runs_that_come_and_go_do_not_disturb_each_other(tmp_path: Path) -> None:
    store = LocalStore("local", tmp_path / "store")

    def come_and_go(number: int) -> None:
        for round_ in range(200):
            store.discard(store.stage(f"export{number}/2026-01-01", f"run-{round_}"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(come_and_go, range(4)))
    assert list((tmp_path / "store").iterdir()) == []
