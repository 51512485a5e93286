"""The store contract on a local disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from export_pipelines.errors import UnsafePathError
from export_pipelines.storage.base import Leftover, Store
from export_pipelines.storage.local import LocalStore
from export_pipelines_tests.contracts.store_contract import StoreContract
from export_pipelines_tests.contracts.store_publishing import Job, Site, Steps

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

    def empty_directories(self) -> list[str]:
        paths = [path for path in self.root.rglob("*") if path.is_dir() and not any(path.iterdir())]
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


class TestLeftovers:
    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalStore:
        return LocalStore("local", tmp_path / "store")

    @pytest.fixture
    def outside(self, tmp_path: Path) -> Path:
        """A directory that could be taken for a scope."""
        (tmp_path / "outside" / "p" / "run").mkdir(parents=True)
        return tmp_path / "outside"

    def test_other_shapes_are_not_told(self, store: LocalStore, outside: Path) -> None:
        staging = store.root / ".staging"
        for name in ("stray", "x/stray", "x/only-stray/stray", "x/mixed/stray"):
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            (staging / name).write_text("")
        for name in (".hidden/p/run", "x/.hidden/run", "con/p/run", "x/hidden-run/.run", "x/mixed/run", "x/empty", "y"):
            (staging / name).mkdir(parents=True)
        (staging / "x" / "linked").symlink_to(staging / "x" / "mixed")
        (staging / "x" / "linked-run").mkdir()
        (staging / "x" / "linked-run" / "run").symlink_to(outside)
        assert [leftover.scope for leftover in store.leftovers()] == ["x/empty", "x/mixed"]
        for leftover in store.leftovers():
            store.sweep(leftover.scope)
        assert store.leftovers() == []

    def test_what_lies_deeper_counts_for_its_scope(self, store: LocalStore) -> None:
        deep = store.root / ".staging" / "x" / "p" / "run" / "deep" / "er"
        deep.mkdir(parents=True)
        (deep / "file").write_text("")
        os.utime(deep / "file", (0, 4_000_000_000))
        newest = datetime.fromtimestamp(4_000_000_000, UTC)
        assert store.leftovers() == [Leftover(scope="x/p", modified_at=newest)]

    def test_a_link_in_place_of_the_staging_is_not_followed(self, store: LocalStore, outside: Path) -> None:
        store.root.mkdir()
        (store.root / ".staging").symlink_to(outside)
        with pytest.raises(UnsafePathError, match="symbolic link"):
            store.leftovers()

    def test_runs_that_come_and_go_do_not_disturb(self, store: LocalStore) -> None:
        ended = threading.Event()

        def come_and_go(number: int) -> None:
            for round_ in range(200):
                Job("x", scope=f"e{number}/p", run=f"{round_}").stage(store)
                store.sweep(f"e{number}/p")

        def look() -> set[str]:
            seen: set[str] = set()
            while not ended.is_set():
                seen |= {leftover.scope for leftover in store.leftovers()}
            return seen

        with ThreadPoolExecutor(3) as pool:
            looking = pool.submit(look)
            try:
                list(pool.map(come_and_go, range(2)))
            finally:
                ended.set()
            assert looking.result() <= {"e0/p", "e1/p"}
        assert store.leftovers() == []
