"""Removing from a bucket: which requests, what their answers say, and every way in which they fail."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from export_pipelines.errors import ConfigurationError, ExportError, StorageError, StorageUnavailableError
from export_pipelines.storage.base import Leftover, Removal
from export_pipelines.storage.s3 import S3Store
from export_pipelines_tests.contracts.s3_faults import failure, when
from export_pipelines_tests.contracts.s3_matrix import ALWAYS, FAULTS, Case
from export_pipelines_tests.contracts.store_publishing import Job
from export_pipelines_tests.contracts.store_removal import contents
from export_pipelines_tests.s3_servers import SECRET_KEY, Action, Proxy, Request, S3Server, free_port, s3_proxy

MANY = r"^POST [^ ]*[?&]delete"
JOBS = [Job(name, run=name) for name in "abc"]
REMOVALS = [job.removal for job in JOBS]


def listed(proxy: Proxy, bucket: str) -> list[str]:
    """Paths of all objects below the prefix."""
    return [key.removeprefix("prod/") for key in proxy.server.listing(bucket)]


@pytest.fixture
def published(store: S3Store, proxy: Proxy) -> list[Job]:
    """Three artifacts; the proxy has forgotten the requests of publishing."""
    for job in JOBS:
        job.publish(store)
    proxy.lines.clear()
    return JOBS


class TestRequests:
    def test_manifests_go_first_and_together(
        self, store: S3Store, proxy: Proxy, bucket: str, published: list[Job]
    ) -> None:
        seen: list[list[str]] = []
        proxy.rule = lambda request: seen.append(listed(proxy, bucket))
        assert store.remove(REMOVALS) == {}
        assert [line.split("=")[0] for line in proxy.lines] == [f"POST /{bucket}?delete"] * 2
        assert seen[1] == sorted(path for path in contents(published) if not path.endswith("metadata.json"))
        assert listed(proxy, bucket) == []

    def test_a_request_names_a_thousand_objects_at_most(self, store: S3Store, proxy: Proxy, bucket: str) -> None:
        job = Job("many")
        job.publish(store)
        proxy.lines.clear()
        absent = [f"many/{number}.csv" for number in range(2_000)]
        removal = Removal(manifest_path=job.placement.manifest_path, paths=[*absent, *job.removal.paths])
        assert store.remove([removal]) == {}
        assert len([line for line in proxy.lines if re.match(MANY, line)]) == len(proxy.lines) == 1 + 3
        assert listed(proxy, bucket) == []

    def test_the_request_carries_its_digests(self, store: S3Store, proxy: Proxy, published: list[Job]) -> None:
        seen: list[dict[str, str]] = []
        proxy.rule = lambda request: seen.append(request.headers)
        assert store.remove(REMOVALS) == {}
        assert len(seen) == 2
        assert all(headers.keys() >= {"content-md5", "x-amz-checksum-sha256"} for headers in seen)

    @pytest.mark.parametrize("answer", [(501, "NotImplemented"), (405, "MethodNotAllowed"), (400, "NotImplemented")])
    def test_a_service_without_the_request_is_asked_object_by_object(
        self, store: S3Store, proxy: Proxy, bucket: str, published: list[Job], answer: tuple[int, str]
    ) -> None:
        proxy.rule = when(MANY, Action(answer=answer))
        assert store.remove(REMOVALS[:2]) == {}
        assert listed(proxy, bucket) == sorted(published[2].contents)
        proxy.lines.clear()
        assert store.remove(REMOVALS[2:]) == {}
        assert proxy.lines[0] == f"DELETE /{bucket}/prod/c/metadata.json"
        assert all(line.startswith("DELETE") for line in proxy.lines)
        assert listed(proxy, bucket) == []

    def test_object_by_object_a_manifest_that_stays_protects_its_files(
        self, store: S3Store, proxy: Proxy, bucket: str, published: list[Job]
    ) -> None:
        def rule(request: Request) -> Action | None:
            if re.match(MANY, request.line):
                return Action(answer=(501, "NotImplemented"))
            return Action(answer=(403, "AccessDenied")) if "/a/metadata.json" in request.line else None

        proxy.rule = rule
        failed = store.remove(REMOVALS)
        assert [(path, type(error)) for path, error in failed.items()] == [("a/metadata.json", StorageError)]
        assert "s3:DeleteObject" in str(failed["a/metadata.json"])
        assert listed(proxy, bucket) == sorted(published[0].contents)

    def test_a_service_that_complains_about_absent_objects_is_understood(self, store: S3Store, proxy: Proxy) -> None:
        proxy.rule = when(MANY, Action(answer=(501, "NotImplemented")))
        assert store.remove(REMOVALS[:1]) == {}
        proxy.rule = when("^DELETE", Action(answer=(404, "NoSuchKey")))
        assert store.remove(REMOVALS[:1]) == {}
        proxy.rule = when("^DELETE", Action(answer=(404, "NoSuchBucket")))
        assert [type(error) for error in store.remove(REMOVALS[:1]).values()] == [StorageError]


class TestAnswers:
    """A successful answer that says that not everything succeeded."""

    @pytest.mark.parametrize(
        "expected",
        [
            ("AccessDenied", StorageError, "s3:DeleteObject"),
            ("InternalError", StorageUnavailableError, "tried again"),
            ("SlowDown", StorageUnavailableError, "tried again"),
            ("", StorageError, "an error"),
        ],
        ids=lambda expected: expected[0],
    )
    @pytest.mark.parametrize("victim", ["b/metadata.json", "b/students.parquet"], ids=["manifest", "data"])
    def test_an_error_of_one_object_is_that_of_its_artifact(
        self,
        store: S3Store,
        proxy: Proxy,
        bucket: str,
        published: list[Job],
        victim: str,
        expected: tuple[str, type[ExportError], str],
    ) -> None:
        code, kind, advice = expected
        proxy.rule = answering(proxy, bucket, errors={victim: code})
        failed = store.remove(REMOVALS)
        assert [(path, type(error)) for path, error in failed.items()] == [("b/metadata.json", kind)]
        told = str(failed["b/metadata.json"])
        assert f"s3://{bucket}/prod/{victim}" in told
        assert advice in told
        assert SECRET_KEY not in told
        assert listed(proxy, bucket) == (sorted(published[1].contents) if victim.endswith("json") else [victim])
        proxy.rule = lambda request: None
        assert store.remove(REMOVALS) == {}
        assert listed(proxy, bucket) == []

    def test_an_error_about_an_absent_object_is_none(
        self, store: S3Store, proxy: Proxy, bucket: str, published: list[Job]
    ) -> None:
        proxy.rule = answering(proxy, bucket, errors={"a/students.csv": "NoSuchKey"})
        assert store.remove(REMOVALS) == {}

    def test_what_is_not_mentioned_is_not_believed(
        self, store: S3Store, proxy: Proxy, bucket: str, published: list[Job]
    ) -> None:
        proxy.rule = answering(proxy, bucket, silent={"b/metadata.json", "c/students.csv"})
        failed = store.remove(REMOVALS)
        assert {path: type(error) for path, error in failed.items()} == {
            "b/metadata.json": StorageUnavailableError,
            "c/metadata.json": StorageUnavailableError,
        }
        assert listed(proxy, bucket) == sorted([*published[1].contents, "c/students.csv"])

    @pytest.mark.parametrize("body", [b"", b"<html>sorry", b"<DeleteResult/>", f"no XML but {SECRET_KEY}".encode()])
    def test_an_answer_that_says_nothing_deletes_nothing(
        self, store: S3Store, proxy: Proxy, bucket: str, published: list[Job], body: bytes
    ) -> None:
        proxy.rule = when(MANY, Action(reply=body))
        failed = store.remove(REMOVALS)
        assert {path: type(error) for path, error in failed.items()} == {
            removal.manifest_path: StorageUnavailableError for removal in REMOVALS
        }
        for error in failed.values():

            def act(error: ExportError = error) -> None:
                raise error

            assert "s3://" in failure(StorageUnavailableError, act)
        assert listed(proxy, bucket) == sorted(contents(published))


def answering(
    proxy: Proxy, bucket: str, *, errors: dict[str, str] | None = None, silent: set[str] | None = None
) -> Callable[[Request], Action | None]:
    """Deletes all but some objects, and answers with errors about these or says nothing about them.

    The first request is that for the manifests, the second that for the data files.
    """
    refused, ignored = errors or {}, silent or set()

    def rule(request: Request) -> Action:
        there = listed(proxy, bucket)
        paths = [path for path in there if path.endswith("metadata.json")]
        if len(proxy.lines) > 1:
            paths = [p for job in JOBS if job.placement.manifest_path not in there for p in job.removal.paths]
        told = ""
        for path in paths:
            if path in refused:
                told += (
                    f"<Error><Key>prod/{path}</Key><Code>{refused[path]}</Code><Message>{SECRET_KEY}</Message></Error>"
                )
            elif path not in ignored:
                proxy.server.client.delete_object(Bucket=bucket, Key=f"prod/{path}")
                told += f"<Deleted><Key>prod/{path}</Key></Deleted>"
        return Action(reply=f"<DeleteResult>{told}</DeleteResult>".encode())

    return rule


CASES = [Case(*case) for case in itertools.product(("manifests", "data"), FAULTS, (1, ALWAYS))]


class TestFaults:
    def test_whatever_fails_no_manifest_is_left_without_files_and_a_repetition_succeeds(
        self, tmp_path: Path, s3_server: S3Server
    ) -> None:
        with ThreadPoolExecutor(len(CASES)) as pool:
            results = list(pool.map(lambda case: _wrong(case, s3_server, tmp_path / str(case)), CASES))
        assert {str(case): wrong for case, wrong in zip(CASES, results, strict=True) if wrong} == {}

    def test_nobody_listens(self, tmp_path: Path) -> None:
        server = S3Server(f"http://127.0.0.1:{free_port()}")
        store = S3Store("lake", server.spec("b"), server.settings(tmp_path))
        assert [type(error) for error in store.remove(REMOVALS).values()] == [StorageUnavailableError] * 3
        failure(StorageUnavailableError, store.leftovers)

    def test_a_missing_bucket_is_no_sign_that_everything_is_gone(self, s3_server: S3Server, tmp_path: Path) -> None:
        store = S3Store("lake", s3_server.spec("no-such-bucket"), s3_server.settings(tmp_path))
        failed = store.remove(REMOVALS)
        assert [type(error) for error in failed.values()] == [StorageError] * 3
        assert all("NoSuchBucket" in str(error) for error in failed.values())
        failure(StorageError, store.leftovers)

    def test_no_credentials_concern_the_whole_call(self, keyless: S3Store) -> None:
        assert "access_key_id" in failure(ConfigurationError, lambda: keyless.remove(REMOVALS))


def _wrong(case: Case, server: S3Server, state: Path) -> list[str]:
    """Remove two of three artifacts through a proxy that misbehaves, look at what is left, and remove them again."""
    bucket = server.new_bucket()
    with s3_proxy(server) as proxy:
        store = S3Store("lake", proxy.server.spec(bucket, timeout_seconds=1), proxy.server.settings(state))
        for job in JOBS:
            job.publish(store)
        kept, gone = {*JOBS[2].contents}, JOBS[:2]
        left = iter([None] * (case.place == "data") + [FAULTS[case.fault]] * min(case.times, 10))
        proxy.rule = lambda request: next(left, None)
        failed = store.remove([job.removal for job in gone])
        there = {*listed(proxy, bucket)}
        wrong = _wrong_left(gone, failed, there - kept)
        wrong += [] if there >= kept else ["deleted what it was not asked to"]
        wrong += _wrong_ending(case, failed)
        proxy.rule = lambda request: None
        again = store.remove([job.removal for job in gone])
        wrong += [] if not again and {*listed(proxy, bucket)} == kept else [f"the next removal: {again}"]
    return wrong


def _wrong_left(gone: Sequence[Job], failed: dict[str, ExportError], there: set[str]) -> list[str]:
    wrong = []
    for job in gone:
        manifest, left = job.placement.manifest_path, there & job.contents.keys()
        if manifest in left and left != job.contents.keys():
            wrong.append(f"{manifest} without its files")
        if manifest not in failed and left:
            wrong.append(f"said to be removed: {sorted(left)}")
    return wrong


def _wrong_ending(case: Case, failed: dict[str, ExportError]) -> list[str]:
    passing = case.fault not in ("403", "412")
    if passing and case.times == 1:
        return [f"not made good: {failed}"] if failed else []
    kind = StorageUnavailableError if passing else StorageError
    if [type(error) for error in failed.values()] != [kind, kind]:
        return [f"told: {failed}"]
    return []


class TestLeftovers:
    def test_journals_are_told_wherever_they_were_written(self, store: S3Store, proxy: Proxy, bucket: str) -> None:
        client, began = proxy.server.client, datetime.now(UTC).replace(microsecond=0)
        for name in ("b/p/1.json", "b/p/2.json", "a/p/1.json"):
            client.put_object(Bucket=bucket, Key=f"prod/.staging/{name}", Body=b"{}")
        found = store.leftovers()
        assert [leftover.scope for leftover in found] == ["a/p", "b/p"]
        for leftover in found:
            assert leftover.modified_at.tzinfo is UTC
            assert began <= leftover.modified_at <= datetime.now(UTC)

    def test_other_shapes_are_not_told(self, store: S3Store, proxy: Proxy, bucket: str, tmp_path: Path) -> None:
        for name in ("x.json", "a/x.json", "a/p/d/x.json", "a/p/x.txt", "a/p/.json", "a/.p/x.json"):
            proxy.server.client.put_object(Bucket=bucket, Key=f"prod/.staging/{name}", Body=b"{}")
        staging = tmp_path / "staging"
        for name in ("other,a,p,run", "lake,a,p", "lake,a,p,run,more", "lake,.a,p,run", "lake", "elsewhere"):
            (staging / name).mkdir(parents=True)
        (staging / "lake,f,p,run").write_text("")
        (staging / "lake,l,p,run").symlink_to(staging / "elsewhere")
        assert store.leftovers() == []

    def test_the_newest_of_bucket_and_machine_counts(
        self, store: S3Store, proxy: Proxy, bucket: str, tmp_path: Path
    ) -> None:
        proxy.server.client.put_object(Bucket=bucket, Key="prod/.staging/a/p/x.json", Body=b"{}")
        (journaled,) = store.leftovers()
        staging, _ = Job("late", scope="a/p", run="y").stage(store)
        (both,) = store.leftovers()
        newest = max(path.stat().st_mtime for path in (staging.path, *staging.path.iterdir()))
        expected = max(journaled.modified_at, datetime.fromtimestamp(newest, UTC))
        assert both == Leftover(scope="a/p", modified_at=expected)
