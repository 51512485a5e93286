"""What every store must do. A store without a subclass of this contract does not merge."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import ClassVar

import pytest

from export_pipelines.errors import ExportError, LeaseLostError, StorageError, UnsafePathError
from export_pipelines.storage.base import Placement, Store
from export_pipelines_tests.contracts.store_publishing import (
    MANIFEST,
    SMALL,
    Job,
    Site,
    count_steps,
    entry,
    kill_at_step,
    large,
)
from export_pipelines_tests.contracts.store_removal import HOSTILE, RemovalContract


class StoreContract(RemovalContract):
    """Subclass as `TestXyz` and provide the fixture `site`."""

    large_bytes: ClassVar[int] = 12 * 2**20  # enough to be published in several pieces, if the store knows such
    layouts: ClassVar[tuple[bool, ...]] = (True, False)  # values of Placement.shared that publish differently

    # --- publishing and reading ----------------------------------------------------------------------------------

    def test_what_is_published_reads_back_equal_and_nothing_else_is_left(self, site: Site, store: Store) -> None:
        job = Job("2026/students")
        staging = job.publish(store)
        reader = site.connect()
        for path, data in job.contents.items():
            with reader.open(path) as file:
                assert file.read() == data
            assert reader.size(path) == len(data) == len(site.raw_read(path))
            assert reader.uri(path).endswith(f"/{path}")
        assert site.raw_listing() == list(reader.walk()) == sorted(job.contents)
        assert not staging.path.exists()

    def test_a_large_file_is_read_in_pieces(self, store: Store) -> None:
        data = large(self.large_bytes)
        Job("big", {"big.bin": data}).publish(store)
        with store.open("big/big.bin") as file:
            assert file.read(7) == data[:7]
            assert file.read(2**20) == data[7 : 7 + 2**20]
            rest = b"".join(iter(lambda: file.read(65536), b""))
        assert rest == data[7 + 2**20 :]

    def test_a_file_is_read_by_lines(self, store: Store) -> None:
        Job("lines").publish(store)
        with store.open("lines/students.csv") as file:
            assert list(file) == [b"id,name\n", b"1,Ann\n"]

    def test_artifacts_of_a_shared_directory_live_side_by_side(self, site: Site, store: Store) -> None:
        jobs = [
            Job("", {f"{name}.csv": name.encode()}, run=name, shared=True, manifest_name=f"{name}.json")
            for name in "ab"
        ] + [Job("a", {"c.csv": b"c"}, shared=True, manifest_name="c.json", run="c")]
        for job in jobs:
            job.publish(store)
        expected = {path: data for job in jobs for path, data in job.contents.items()}
        assert site.raw_listing() == list(store.walk()) == sorted(expected)
        assert {path: site.raw_read(path) for path in expected} == expected

    def test_walk_is_ascending_and_shows_no_staging(self, store: Store) -> None:
        for number, directory in enumerate(["b/x", "a-b/x", "a/x", "a.b", "Z", "a=1/y"]):
            Job(directory, run=f"run-{number}").publish(store)
        Job("staged").stage(store)
        paths = list(store.walk())
        assert paths == sorted(paths)
        assert len(paths) == 6 * (len(SMALL) + 1)

    def test_what_does_not_exist_has_no_size_and_cannot_be_opened(self, store: Store) -> None:
        assert list(store.walk()) == []
        assert store.size("2026/none.csv") is None
        with pytest.raises(StorageError, match=r"2026/none\.csv"):
            store.open("2026/none.csv").read()

    # --- names that are taken -------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("files", "manifest_name"),
        [(SMALL, "metadata.json"), ({"other.csv": b"x"}, "metadata.json"), ({"students.csv": b"y"}, "other.json")],
        ids=["all", "manifest", "one-file"],
    )
    @pytest.mark.parametrize("shared", [True, False])
    def test_a_taken_name_is_refused_and_the_loser_leaves_nothing(
        self, site: Site, store: Store, files: dict[str, bytes], manifest_name: str, shared: bool
    ) -> None:
        winner = Job("2026", shared=shared)
        winner.publish(store)
        with pytest.raises(StorageError):
            Job("2026", files, run="run-2", shared=shared, manifest_name=manifest_name).publish(site.connect())
        assert {path: site.raw_read(path) for path in site.raw_listing()} == winner.contents

    @pytest.mark.parametrize("shared", [True, False])
    def test_of_two_racing_writers_one_wins_whole(self, site: Site, shared: bool) -> None:
        for attempt in ("a", "b", "c"):
            start = Barrier(2)
            jobs = [
                Job(attempt, {n: d + run.encode() for n, d in SMALL.items()}, run=attempt + run, shared=shared)
                for run in ("1", "2")
            ]
            with ThreadPoolExecutor() as pool:
                won = list(pool.map(lambda job: _try(job, site.connect(), start), jobs))  # noqa: B023
            assert sorted(won) == [False, True]
            there = {path: site.raw_read(path) for path in site.raw_listing() if path.startswith(f"{attempt}/")}
            assert there == jobs[won.index(True)].contents
        assert all(path[1] == "/" for path in site.raw_listing())

    # --- the fence ------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("shared", [True, False])
    def test_the_manifest_appears_inside_the_fence(self, site: Site, store: Store, shared: bool) -> None:
        job, seen = Job("fenced", shared=shared), []

        @contextmanager
        def fence() -> Iterator[None]:
            seen.append(store.size("fenced/metadata.json"))
            yield
            seen.append(store.size("fenced/metadata.json"))

        job.publish(store, fence=fence())
        assert seen == [None, len(MANIFEST)]

    @pytest.mark.parametrize("shared", [True, False])
    def test_a_publisher_that_was_overtaken_leaves_nothing(self, site: Site, store: Store, shared: bool) -> None:
        @contextmanager
        def fence() -> Iterator[None]:
            raise LeaseLostError("another run took over")
            yield

        with pytest.raises(LeaseLostError):
            Job("fenced", shared=shared).publish(store, fence=fence())
        assert site.raw_listing() == []

    # --- discarding and sweeping ----------------------------------------------------------------------------------

    def test_discard_leaves_nothing_and_may_be_repeated(self, site: Site, store: Store) -> None:
        staging, _ = Job("2026").stage(store)
        assert site.raw_listing()
        store.discard(staging)
        assert site.raw_listing() == []
        store.discard(staging)

    def test_discard_after_publishing_deletes_nothing(self, site: Site, store: Store) -> None:
        job = Job("2026")
        store.discard(job.publish(store))
        assert site.raw_listing() == sorted(job.contents)

    def test_a_missing_staged_file_publishes_nothing(self, site: Site, store: Store) -> None:
        staging, entries = Job("2026").stage(store)
        with pytest.raises(ExportError, match=r"ghost\.csv|2026"):
            store.publish(staging, Job("2026").placement, [*entries, entry("ghost.csv", b"boo")], manifest=MANIFEST)
        store.discard(staging)
        assert site.raw_listing() == []

    def test_sweep_touches_only_its_own_scope(self, site: Site, store: Store) -> None:
        published = Job("2026")
        published.publish(store)
        for scope in ("students/2026-01-1", "students/2026-01-10", "students2/2026-01-1", "x/students"):
            Job("late", scope=scope).stage(store)
        everything = site.raw_listing()
        assert store.sweep("students/2026-01-01") == []
        assert site.raw_listing() == everything
        assert site.connect().sweep("students/2026-01-1") == ["run-1"]
        gone = [path for path in everything if path not in site.raw_listing()]
        assert gone
        assert all("2026-01-10" not in path and "students2" not in path for path in gone)
        assert set(published.contents) <= set(site.raw_listing())

    def test_a_killed_publisher_is_swept_away_unless_its_manifest_is_there(self, site: Site) -> None:
        store = site.connect()
        neighbour = Job("dead", {"other.csv": b"3"}, run="good", shared=True, manifest_name="other.json")
        neighbour.publish(store)
        Job("later", scope="students/2026-01-02").stage(store)
        for shared in self.layouts:
            self._kill_at_every_step(site, store, shared)
        assert {path: site.raw_read(path) for path in neighbour.contents} == neighbour.contents

    def _kill_at_every_step(self, site: Site, store: Store, shared: bool) -> None:
        files, name = (
            {"small.csv": b"1", "large.bin": large(self.large_bytes), "last.csv": b"2"},
            "shared" if shared else "own",
        )
        counted = Job(f"counted-{name}", files, run=name, shared=shared)
        before = set(site.raw_listing())
        steps = count_steps(site, counted)
        expected = {*before, *counted.contents}
        assert set(site.raw_listing()) == expected
        outcomes = set()
        for at in range(1, steps + 1):
            job = Job(
                "dead" if shared else f"dead-{at}",
                {f"{at}-{name}": data for name, data in files.items()},
                run=f"{name}-{at}",
                shared=shared,
                manifest_name=f"{at}.json",
            )
            kill_at_step(site, job, at)
            complete = store.size(job.placement.manifest_path) is not None
            if complete:
                assert {path: site.raw_read(path) for path in job.contents} == job.contents
                expected |= set(job.contents)
            outcomes.add(complete)
            store.sweep(job.scope)
            assert set(site.raw_listing()) == expected, f"killed before step {at} of {steps}"
            assert store.sweep(job.scope) == []
        assert outcomes == {True, False}

    # --- paths and permissions ------------------------------------------------------------------------------------

    @pytest.mark.parametrize("path", HOSTILE)
    def test_a_hostile_path_is_refused(self, site: Site, store: Store, path: str) -> None:
        for use in (store.open, store.size):
            with pytest.raises(UnsafePathError):
                use(path)
        for scope, run in ((path, "run"), ("students/2026", path)):
            with pytest.raises(UnsafePathError):
                store.stage(scope, run)
        with pytest.raises(UnsafePathError):
            store.sweep(path)
        assert site.raw_listing() == []

    @pytest.mark.parametrize("path", HOSTILE)
    @pytest.mark.parametrize("shared", [True, False])
    def test_nothing_is_published_to_a_hostile_path(self, site: Site, store: Store, path: str, shared: bool) -> None:
        staging, entries = Job("x").stage(store)
        places = [Placement(directory="x", manifest_name=path, shared=shared)]
        places += [Placement(directory=path, manifest_name="m.json", shared=shared)] if path else []
        for placement in places:
            with pytest.raises(UnsafePathError):
                store.publish(staging, placement, entries, manifest=MANIFEST)
        with pytest.raises(UnsafePathError):
            store.publish(staging, Job("x", shared=shared).placement, [entry(path, b"")], manifest=MANIFEST)
        store.discard(staging)
        assert site.raw_listing() == []

    @pytest.mark.parametrize("mask", [0o000, 0o077])
    def test_staging_is_private_whatever_the_umask(self, store: Store, mask: int) -> None:
        before = os.umask(mask)
        try:
            staging, _ = Job("x").stage(store)
        finally:
            os.umask(before)
        assert stat.S_IMODE(staging.path.stat().st_mode) in (0o700, 0o750)
        assert stat.S_IMODE((staging.path / "students.csv").stat().st_mode) == 0o600
        store.discard(staging)

    def test_one_run_is_staged_once(self, store: Store) -> None:
        staging, _ = Job("x").stage(store)
        with pytest.raises(StorageError):
            store.stage("students/2026-01-01", "run-1")
        store.discard(staging)


def _try(job: Job, store: Store, start: Barrier) -> bool:
    start.wait()
    try:
        job.publish(store)
    except StorageError:
        return False
    return True
