"""Removing from a local disk: while others publish, around what somebody planted, and in which order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export_pipelines.errors import ExportError, StorageError, StorageUnavailableError, UnsafePathError
from export_pipelines.storage.base import Removal
from export_pipelines.storage.local import LocalStore
from export_pipelines_tests.contracts.store_publishing import SMALL, Job
from export_pipelines_tests.contracts.store_removal import contents
from export_pipelines_tests.syscalls import why_not

OTHERS = "what belongs to others"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the store is; beside it is a directory that is none of its business."""
    (tmp_path / "outside").mkdir()
    for name in (*SMALL, "metadata.json"):
        (tmp_path / "outside" / name).write_text(OTHERS)
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> Iterator[LocalStore]:
    """A store, during whose use nothing beside it changes."""
    yield LocalStore("local", root)
    assert {path.name: path.read_text() for path in root.with_name("outside").iterdir()} == dict.fromkeys(
        (*SMALL, "metadata.json"), OTHERS
    )


def listing(root: Path) -> list[str]:
    """Every file, link and directory."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


class TestRaces:
    @pytest.mark.parametrize("shared", [True, False], ids=["link", "rename"])
    def test_publishing_survives_that_a_removal_prunes_its_directory(self, root: Path, shared: bool) -> None:
        """One goes in while the other empties the directory that both share, several levels deep."""
        rounds, ends, entered = 400, time.monotonic() + 4, []
        published: SimpleQueue[Removal | None] = SimpleQueue()

        @contextmanager
        def fence(number: int) -> Iterator[None]:
            entered.append(number)
            yield

        def publish() -> None:
            store = LocalStore("local", root)
            try:
                for number in range(rounds):
                    if time.monotonic() > ends:
                        break
                    directory = "a/b" if shared else f"a/b/{number}"
                    job = Job(directory, {f"{number}.csv": b"x"}, "s/p", f"{number}", shared, f"{number}.json")
                    job.publish(store, fence=fence(number))
                    published.put(job.removal)
            finally:
                published.put(None)

        def remove() -> list[dict[str, ExportError]]:
            store = LocalStore("local", root)
            return [failed for removal in iter(published.get, None) if (failed := store.remove([removal]))]

        with ThreadPoolExecutor(2) as pool:
            publishing, removing = pool.submit(publish), pool.submit(remove)
            publishing.result()
            assert removing.result() == []
        assert entered == list(range(len(entered)))
        assert entered
        assert listing(root) == []

    def test_a_directory_that_is_pruned_inside_the_fence_is_made_again(self, root: Path, store: LocalStore) -> None:
        entered = []

        @contextmanager
        def fence() -> Iterator[None]:
            entered.append("fence")
            (root / "a" / "b").rmdir()
            (root / "a").rmdir()
            yield

        job = Job("a/b/run")
        job.publish(store, fence=fence())
        assert entered == ["fence"]
        assert sorted(store.walk()) == sorted(job.contents)

    def test_one_artifact_removed_twice_at_the_same_time_is_gone(self, root: Path) -> None:
        for number in range(50):
            job = Job(f"a/{number}/b", run=f"run-{number}")
            job.publish(LocalStore("local", root))
            start = threading.Barrier(3)

            def remove(job: Job = job, start: threading.Barrier = start) -> dict[str, ExportError]:
                store = LocalStore("local", root)
                start.wait()
                return store.remove([job.removal])

            with ThreadPoolExecutor(3) as pool:
                assert [future.result() for future in [pool.submit(remove) for _ in range(3)]] == [{}, {}, {}]
            assert listing(root) == []


def _link(path: Path, outside: Path) -> None:
    path.symlink_to(outside / path.name)


def _dangle(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "none")


def _directory(path: Path, outside: Path) -> None:
    path.mkdir()


def _fifo(path: Path, outside: Path) -> None:
    os.mkfifo(path)


class TestPlanted:
    """Somebody with write permission replaced something."""

    @pytest.fixture
    def outside(self, root: Path) -> Path:
        """The directory beside the store."""
        return root.with_name("outside")

    @pytest.mark.parametrize("plant", [_link, _dangle, _directory, _fifo])
    def test_in_place_of_a_data_file_it_is_left_alone(
        self, root: Path, store: LocalStore, outside: Path, plant: Callable[[Path, Path], None]
    ) -> None:
        jobs = [Job("2026/a", run="a"), Job("2026/b", run="b")]
        for job in jobs:
            job.publish(store)
        planted = root / "2026" / "a" / "students.csv"
        planted.unlink()
        plant(planted, outside)
        failed = store.remove([job.removal for job in jobs])
        assert [(path, type(error)) for path, error in failed.items()] == [("2026/a/metadata.json", UnsafePathError)]
        assert str(planted) in str(failed["2026/a/metadata.json"])
        assert listing(root) == ["2026", "2026/a", "2026/a/students.csv"]

    @pytest.mark.parametrize("plant", [_link, _dangle, _directory, _fifo])
    def test_in_place_of_the_manifest_it_protects_the_files(
        self, root: Path, store: LocalStore, outside: Path, plant: Callable[[Path, Path], None]
    ) -> None:
        job = Job("a")
        job.publish(store)
        (root / "a" / "metadata.json").unlink()
        plant(root / "a" / "metadata.json", outside)
        before = listing(root)
        failed = store.remove([job.removal])
        assert [type(error) for error in failed.values()] == [UnsafePathError]
        assert listing(root) == before

    @pytest.mark.parametrize("directory", ["2026", "2026/a"])
    @pytest.mark.parametrize("target", ["outside", "elsewhere", "none"])
    def test_a_link_in_place_of_a_directory_is_not_followed(
        self, root: Path, store: LocalStore, outside: Path, directory: str, target: str
    ) -> None:
        job = Job("2026/a")
        job.publish(store)
        elsewhere = root.with_name("elsewhere")
        (root / directory).rename(elsewhere)
        (root / directory).symlink_to(root.with_name(target))
        before = listing(elsewhere)
        failed = store.remove([job.removal])
        assert [type(error) for error in failed.values()] == [UnsafePathError]
        assert listing(elsewhere) == before
        assert (root / directory).is_symlink()

    def test_a_link_above_an_artifact_that_is_gone_is_not_pruned_over(self, root: Path, store: LocalStore) -> None:
        Job("keep").publish(store)
        (root.with_name("elsewhere") / "a").mkdir(parents=True)
        (root / "2026").symlink_to(root.with_name("elsewhere"))
        failed = store.remove([Removal(manifest_path="2026/a/metadata.json", paths=[])])
        assert [type(error) for error in failed.values()] == [UnsafePathError]
        assert root.with_name("elsewhere").joinpath("a").is_dir()

    def test_what_nobody_knows_keeps_its_directory(self, root: Path, store: LocalStore) -> None:
        job = Job("2026/a")
        job.publish(store)
        (root / "2026" / "a" / "notes.txt").write_text("mine")
        assert store.remove([job.removal]) == {}
        assert listing(root) == ["2026", "2026/a", "2026/a/notes.txt"]

    def test_files_in_several_directories_go_too(self, root: Path, store: LocalStore) -> None:
        for name in ("a/metadata.json", "a/x.csv", "b/c/y.csv", "z.csv"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(name)
        assert store.remove([Removal(manifest_path="a/metadata.json", paths=["a/x.csv", "b/c/y.csv", "z.csv"])]) == {}
        assert listing(root) == []
        assert root.is_dir()


class TestOrder:
    @pytest.mark.parametrize("gone", ["", "metadata.json"], ids=["whole", "killed-before"])
    def test_the_manifest_is_durably_gone_before_the_first_file_is(
        self, root: Path, store: LocalStore, gone: str
    ) -> None:
        job = Job("2026/a")
        job.publish(store)
        if gone:
            (root / "2026" / "a" / gone).unlink()
        with _recorded() as calls:
            assert store.remove([job.removal]) == {}
        manifest = [] if gone else ["unlink metadata.json"]
        assert calls[: len(manifest) + 1] == [*manifest, "fsync"]
        files = calls[len(manifest) + 1 :]
        assert sorted(files[:3]) == sorted(f"unlink {name}" for name in SMALL)
        assert files[3:] == ["rmdir a", "rmdir 2026", "fsync"]

    def test_artifacts_of_one_directory_share_the_waiting(self, store: LocalStore) -> None:
        jobs = [
            Job("day", {f"{n}.csv": b""}, run=f"{n}", shared=True, manifest_name=f"{n}.metadata.json") for n in range(9)
        ]
        for job in jobs:
            job.publish(store)
        with _recorded() as calls:
            assert store.remove([job.removal for job in jobs[:8]]) == {}
        assert calls.count("fsync") == 2
        assert sorted(store.walk()) == sorted(jobs[8].contents)

    @pytest.mark.parametrize(
        ("point", "left"), [("manifest_deleted", [f"2026/{name}" for name in sorted(SMALL)]), ("source_deleted", [])]
    )
    def test_the_points_at_which_to_crash(self, root: Path, store: LocalStore, point: str, left: list[str]) -> None:
        job = Job("2026")
        job.publish(store)
        done = subprocess.run(
            [sys.executable, "-c", _removing(root, [job])], env=os.environ | {"EXPORT_CRASH_AT": f"{point}:KILL"}
        )
        assert done.returncode == -signal.SIGKILL
        assert list(store.walk()) == left
        assert store.remove([job.removal]) == {}
        assert listing(root) == []


@contextmanager
def _recorded() -> Iterator[list[str]]:
    """What this thread deletes and waits for, in order."""
    calls: list[str] = []

    def record(frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and function in (os.unlink, os.rmdir, os.fsync):
            name = frame.f_locals.get("name") or frame.f_locals.get("last") or ""
            calls.append(function.__name__ if function is os.fsync else f"{function.__name__} {name}")

    sys.setprofile(record)
    try:
        yield calls
    finally:
        sys.setprofile(None)


class TestFailures:
    def test_a_missing_root_is_no_sign_that_everything_is_gone(self, tmp_path: Path) -> None:
        failed = LocalStore("local", tmp_path / "not-mounted").remove([Job("a").removal, Job("b").removal])
        assert {path: type(error) for path, error in failed.items()} == {
            "a/metadata.json": StorageError,
            "b/metadata.json": StorageError,
        }
        assert "Mount the disk" in str(failed["a/metadata.json"])

    @pytest.mark.skipif(bool(why_not()), reason=why_not() or "strace works")
    @pytest.mark.parametrize(
        ("call", "times", "error", "left"),
        [
            ("unlink,unlinkat", "1", "EACCES", "a"),  # the manifest
            ("unlink,unlinkat", "1", "EIO", "a"),
            ("unlink,unlinkat", "2", "EIO", "one"),  # a data file: the others go
            ("unlink,unlinkat", "1+", "EROFS", "ab"),
            ("fsync", "1", "EIO", "files"),  # of the directory without manifest
            ("fsync", "2", "EIO", ""),  # of what is left of it
        ],
    )
    def test_a_system_call_that_fails_stops_one_artifact(
        self, root: Path, store: LocalStore, call: str, times: str, error: str, left: str
    ) -> None:
        jobs = {name: Job(name, run=name) for name in "ab"}
        for job in jobs.values():
            job.publish(store)
        expected = {
            "a": sorted(jobs["a"].contents),
            "ab": sorted(contents([*jobs.values()])),
            "files": sorted(f"a/{name}" for name in SMALL),
            "one": ["a/students.csv"],
            "": [],
        }[left]
        told = _remove_with(root, list(jobs.values()), call=call, times=times, error=error)
        kind = StorageUnavailableError if error == "EIO" else StorageError
        assert told == [f"{name}/metadata.json {kind.__name__}" for name in (left if left == "ab" else "a")]
        assert list(store.walk()) == expected
        assert store.remove([job.removal for job in jobs.values()]) == {}
        assert listing(root) == []


def _remove_with(root: Path, jobs: list[Job], *, call: str, times: str, error: str) -> list[str]:
    """Remove in a process whose system calls fail; what it wrote."""
    command = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", os.devnull, "-e", f"trace={call}"]
    command += ["-e", f"inject={call}:error={error}:when={times}"]
    for name in ("", "/a", "/b"):
        command += ["-P", f"{root}{name}"]
    done = subprocess.run(
        [*command, sys.executable, "-c", _removing(root, jobs)], capture_output=True, text=True, check=True
    )
    return done.stdout.split("\n")[:-1]


def _removing(root: Path, jobs: list[Job]) -> str:
    """A program that removes, and writes manifest path and type of each error."""
    return (
        "from pathlib import Path; from export_pipelines.storage.base import Removal; "
        "from export_pipelines.storage.local import LocalStore; "
        f"failed = LocalStore('local', Path({str(root)!r})).remove({[job.removal for job in jobs]!r}); "
        "print(*(f'{path} {type(error).__name__}' for path, error in sorted(failed.items())), sep='\\n')"
    )


@given(
    names=st.lists(
        st.tuples(st.lists(st.sampled_from("ab"), max_size=3), st.sampled_from(["own", "shared"]), st.booleans()),
        max_size=8,
    )
)
@settings(max_examples=40)
def test_any_subset_of_artifacts_anywhere_leaves_exactly_the_others(
    tmp_path_factory: pytest.TempPathFactory, names: list[tuple[list[str], str, bool]]
) -> None:
    root = tmp_path_factory.mktemp("any") / "store"
    store, gone, kept = LocalStore("local", root), [], []
    for number, (segments, layout, removed) in enumerate(names):
        shared = layout == "shared"
        directory = "/".join([*segments, *([] if shared else [f"run{number}"])])
        job = Job(directory, {f"{number}.csv": b"x"}, run=f"{number}", shared=shared, manifest_name=f"{number}.json")
        job.publish(store)
        (gone if removed else kept).append(job)
    assert store.remove([job.removal for job in gone]) == {}
    files = set(contents(kept))
    directories = {parent.as_posix() for path in files for parent in Path(path).parents if parent != Path()}
    assert listing(root) == sorted(files | directories) if names else not root.exists()
