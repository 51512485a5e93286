"""What every store must do when it removes artifacts and tells what runs have left staged."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from export_pipelines.errors import UnsafePathError
from export_pipelines.storage.base import Leftover, Removal, Store
from export_pipelines_tests.contracts.store_publishing import Job, Removing, Site, count_steps, kill_at_step

HOSTILE = ["", "..", "../x", "a/../../b", "/abs", "a//b", "a/", ".staging/x", ".hidden", "a\\b", "con.csv", "a\0b", "ä"]
_CLOCKS = timedelta(seconds=2)  # services round their times


def artifacts(*, days: int) -> list[Job]:
    """For each day one artifact in a directory of its own, two in a shared one, and two in the root."""
    jobs = []
    for day in range(days):
        jobs.append(Job(f"2026/{day}/students/run", run=f"own-{day}"))
        for place, name in (("", "a"), ("", "b"), (f"2026/{day}", "c"), (f"2026/{day}", "d")):
            files = {f"{day}{name}.csv": b"x", f"{day}{name}.json": b""}
            run, manifest_name = f"{name}-{day}", f"{day}{name}.metadata.json"
            jobs.append(Job(place, files, run=run, shared=True, manifest_name=manifest_name))
    return jobs


def contents(jobs: Sequence[Job]) -> dict[str, bytes]:
    """Path -> bytes of all that must be there if these and no others are published."""
    return {path: data for job in jobs for path, data in job.contents.items()}


class RemovalContract:
    """Part of the contract of stores. Subclasses provide the fixture `site`."""

    @pytest.fixture
    def site(self) -> Iterator[Site]:
        """A new, empty place to publish to."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, site: Site) -> Store:
        """A store at the site."""
        return site.connect()

    # --- removing -------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("seed", range(3))
    def test_what_is_removed_is_gone_and_nothing_else(self, site: Site, store: Store, seed: int) -> None:
        jobs, random = artifacts(days=2), Random(seed)
        _publish(store, jobs)
        gone = random.sample(jobs, random.randint(1, len(jobs) - 1))
        kept = [job for job in jobs if job not in gone]
        for _ in ("removed", "removed again"):
            assert site.connect().remove([job.removal for job in gone]) == {}
            assert {path: site.raw_read(path) for path in site.raw_listing()} == contents(kept)
            assert list(store.walk()) == sorted(contents(kept))
            assert site.empty_directories() == []
        assert store.remove([job.removal for job in jobs]) == {}
        assert site.raw_listing() == site.empty_directories() == []

    def test_removing_nothing_does_nothing(self, site: Site, store: Store) -> None:
        job = Job("2026")
        job.publish(store)
        assert store.remove([]) == {}
        assert store.remove([Removal(manifest_path="2025/metadata.json", paths=["2025/none.csv"])]) == {}
        assert site.raw_listing() == sorted(job.contents)

    def test_what_is_staged_and_what_is_not_named_stays(self, site: Site, store: Store) -> None:
        job = Job("2026/students")
        job.publish(store)
        staging, _ = Job("late", run="late").stage(store)
        before = site.raw_listing()
        removal = replace(job.removal, paths=["2026/students/students.csv"])
        assert store.remove([removal]) == {}
        assert sorted({*before} - {*site.raw_listing()}) == ["2026/students/metadata.json", *removal.paths]
        store.discard(staging)

    def test_a_name_that_was_removed_can_be_published_again(self, site: Site, store: Store) -> None:
        for run in ("first", "second"):
            job = Job("2026/students", run=run)
            job.publish(store)
            assert site.raw_listing() == sorted(job.contents)
            assert store.remove([job.removal]) == {}

    def test_a_killed_removal_leaves_no_manifest_without_files_and_is_repeated(self, site: Site, store: Store) -> None:
        own, kept, *shared = artifacts(days=1)
        gone = [own, *shared]
        kept.publish(store)
        work = Removing([job.removal for job in gone])
        _publish(store, gone)
        steps = count_steps(site, work)
        for at in range(1, steps + 1):
            assert site.raw_listing() == sorted(kept.contents)
            assert site.empty_directories() == []
            _publish(store, gone)
            kill_at_step(site, work, at)
            listed = {*site.raw_listing()}
            for job in gone:
                complete = listed >= job.contents.keys()
                assert complete or job.placement.manifest_path not in listed, f"killed before step {at} of {steps}"
            assert store.remove(work.removals) == {}
        assert steps >= 2

    @pytest.mark.parametrize("path", HOSTILE)
    def test_a_hostile_path_is_refused_and_the_rest_is_removed(self, site: Site, store: Store, path: str) -> None:
        jobs = [Job(name, run=name) for name in "abc"]
        _publish(store, jobs)
        among_files = replace(jobs[0].removal, paths=[*jobs[0].removal.paths, path])
        as_manifest = replace(jobs[1].removal, manifest_path=path)
        failed = store.remove([among_files, as_manifest, jobs[2].removal])
        assert {key: type(error) for key, error in failed.items()} == {
            "a/metadata.json": UnsafePathError,
            path: UnsafePathError,
        }
        assert site.raw_listing() == sorted(contents(jobs[:2]))

    # --- telling what is staged -----------------------------------------------------------------------------------

    def test_each_scope_with_something_staged_is_told_until_it_is_swept(self, site: Site, store: Store) -> None:
        assert store.leftovers() == []
        Job("done", run="done").publish(store)
        assert store.leftovers() == []
        began = datetime.now(UTC)
        for scope, run in (("b/2026-01-02", "1"), ("b/2026-01-02", "2"), ("b/2026-01-01", "1"), ("a/2026-01-03", "1")):
            Job("late", scope=scope, run=run).stage(store)
        found = site.connect().leftovers()
        assert [leftover.scope for leftover in found] == ["a/2026-01-03", "b/2026-01-01", "b/2026-01-02"]
        for leftover in found:
            assert leftover.modified_at.tzinfo is UTC
            assert began - _CLOCKS < leftover.modified_at < datetime.now(UTC) + _CLOCKS
        while left := store.leftovers():
            assert left == found
            store.sweep(found.pop(0).scope)
        assert found == []

    def test_the_newest_change_of_a_scope_counts(self, store: Store) -> None:
        for run in ("1", "2", "3"):
            staging, _ = Job("late", run=run).stage(store)
            if run == "2":
                newest = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
                os.utime(staging.path / "students.csv", (0, newest.timestamp()))
        assert store.leftovers() == [Leftover(scope="students/2026-01-01", modified_at=newest)]

    def test_what_a_killed_publisher_left_is_told(self, site: Site, store: Store) -> None:
        steps = count_steps(site, Job("dead", {"0.csv": b"x"}, shared=True, run="counted", manifest_name="0.json"))
        outcomes = set()
        for at in range(1, steps + 1):
            job = Job("dead", {f"{at}.csv": b"x"}, shared=True, run=f"dead-{at}", manifest_name=f"{at}.json")
            kill_at_step(site, job, at)
            told, swept = [leftover.scope for leftover in store.leftovers()], store.sweep(job.scope)
            assert told in ([], [job.scope])
            assert told or not swept, f"killed before step {at} of {steps}: {swept} was not told"
            assert store.leftovers() == []
            outcomes.add(bool(swept))
        assert True in outcomes


def _publish(store: Store, jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.publish(store)
