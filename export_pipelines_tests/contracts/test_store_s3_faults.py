"""What S3Store does when the service or the network misbehaves, on two services behind a proxy that does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export_pipelines.errors import ConfigurationError, ExportError, StorageError, StorageUnavailableError
from export_pipelines.storage.s3 import S3Store
from export_pipelines_tests.contracts.s3_faults import LARGE, failure, when
from export_pipelines_tests.contracts.store_publishing import MANIFEST, SMALL, Job
from export_pipelines_tests.s3_servers import (
    ACCESS_KEY,
    SECRET_KEY,
    Action,
    Proxy,
    S3Server,
    free_port,
    s3_proxy,
)


class TestConnectionLoss:
    @pytest.mark.parametrize(
        ("pattern", "cut_at", "files"),
        [(r"^PUT .*students\.csv", 5, SMALL), (r"partNumber=1", 2_000_000, LARGE), (r"^PUT .*metadata", 5, SMALL)],
        ids=["whole", "part", "manifest"],
    )
    def test_an_upload_that_is_cut_again_and_again_leaves_nothing(
        self, store: S3Store, proxy: Proxy, bucket: str, pattern: str, cut_at: int, files: dict[str, bytes]
    ) -> None:
        job, proxy.rule = Job("cut", files), when(pattern, Action(cut_body_at=cut_at))
        staging, entries = job.stage(store)
        told = failure(
            StorageUnavailableError,
            lambda: store.publish(staging, job.placement, entries, manifest=MANIFEST),
        )
        assert f"s3://{bucket}/prod/cut/" in told
        assert store.size("cut/metadata.json") is None
        assert not [name for name in proxy.server.listing(bucket) if name.startswith("upload of")]
        store.discard(staging)
        assert proxy.server.listing(bucket) == []
        assert not staging.path.exists()

    @pytest.mark.parametrize("action", [Action(cut_body_at=0), Action(lose_answer=True)], ids=["cut", "no-answer"])
    @pytest.mark.parametrize(
        "pattern",
        [
            r"^PUT .*/\.staging/",
            r"^PUT .*first\.csv",
            r"POST .*uploads",
            r"partNumber=2",
            r"POST .*uploadId",
            r"metadata",
        ],
        ids=["journal", "whole", "begin", "part", "complete", "manifest"],
    )
    def test_one_loss_is_made_good(
        self, store: S3Store, proxy: Proxy, bucket: str, pattern: str, action: Action
    ) -> None:
        job, proxy.rule = Job("once", LARGE), when(pattern, action, times=1)
        job.publish(store)
        for path, data in job.contents.items():
            assert store.open(path).read() == data
        assert proxy.server.listing(bucket) == [f"prod/{path}" for path in sorted(job.contents)]

    def test_a_download_that_is_cut_is_noticed(self, store: S3Store, proxy: Proxy) -> None:
        Job("read", LARGE).publish(store)
        proxy.rule = when(r"^GET .*large\.bin", Action(cut_answer_at=3_000_000))
        with store.open("read/large.bin") as file:
            assert file.read(1000) == LARGE["large.bin"][:1000]
            failure(StorageUnavailableError, file.read)

    def test_nobody_listens(self, tmp_path: Path) -> None:
        server = S3Server(f"http://127.0.0.1:{free_port()}")
        store = S3Store("lake", server.spec("b"), server.settings(tmp_path))
        staging, _ = Job("x").stage(store)
        for act in (lambda: store.open("x/y"), lambda: list(store.walk()), lambda: store.sweep("a/b")):
            assert "endpoint_url" in failure(StorageUnavailableError, act)
        store.discard(staging)  # nothing was published, so the service need not be asked
        assert not staging.path.exists()

    def test_discard_without_connection_is_made_good_by_sweep(self, store: S3Store, proxy: Proxy, bucket: str) -> None:
        proxy.rule = when(r"metadata\.json|DELETE", Action(answer=(503, "SlowDown")))
        failure(StorageUnavailableError, lambda: Job("gone", LARGE).publish(store))
        assert proxy.server.listing(bucket) != []
        proxy.rule = lambda request: None
        assert store.sweep("students/2026-01-01") == ["run-1"]
        assert proxy.server.listing(bucket) == []

    def test_a_journal_that_cannot_be_deleted_does_not_unpublish(
        self, store: S3Store, proxy: Proxy, bucket: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        proxy.rule = when("DELETE", Action(answer=(503, "SlowDown")))
        job = Job("done")
        job.publish(store)
        assert "published, but cleaning up" in caplog.text
        proxy.rule = lambda request: None
        assert store.sweep("students/2026-01-01") == ["run-1"]
        assert proxy.server.listing(bucket) == [f"prod/{path}" for path in sorted(job.contents)]


class TestDamage:
    @pytest.mark.parametrize("pattern", [r"^PUT .*first\.csv", r"partNumber=2"], ids=["whole", "part"])
    def test_a_flipped_bit_is_noticed(self, store: S3Store, proxy: Proxy, bucket: str, pattern: str) -> None:
        proxy.rule = when(pattern, Action(flip_byte=True))
        told = failure(StorageError, lambda: Job("bad", LARGE).publish(store))
        assert "changed on the way" in told
        assert proxy.server.listing(bucket) == []

    @pytest.mark.parametrize("files", [SMALL, LARGE], ids=["whole", "parts"])
    @pytest.mark.parametrize("damage", [b"x", b""], ids=["other-bytes", "other-size"])
    def test_a_staged_file_that_changed_is_not_published(
        self, store: S3Store, proxy: Proxy, bucket: str, files: dict[str, bytes], damage: bytes
    ) -> None:
        job = Job("bad", files)
        staging, entries = job.stage(store)
        victim = staging.path / max(files, key=lambda name: len(files[name]))
        victim.write_bytes(victim.read_bytes()[:-1] + damage)
        told = failure(StorageError, lambda: store.publish(staging, job.placement, entries, manifest=MANIFEST))
        assert "staged file changed" in told
        store.discard(staging)
        assert proxy.server.listing(bucket) == []


class TestRefusals:
    @pytest.mark.parametrize(
        ("answer", "error", "advice"),
        [
            ((403, "AccessDenied"), StorageError, "s3:PutObject"),
            ((403, "InvalidAccessKeyId"), StorageError, "access_key_id"),
            ((403, "RequestTimeTooSkewed"), StorageError, "clock"),
            ((404, "NoSuchBucket"), StorageError, "Create the bucket"),
            ((400, "InvalidStorageClass"), StorageError, "storage_class"),
            ((400, "KMS.NotFoundException"), StorageError, "kms_key_id"),
            ((400, "AuthorizationHeaderMalformed"), StorageError, "region"),
            ((400, "SomethingNew"), StorageError, "settings"),
            ((400, "RequestTimeout"), StorageUnavailableError, "tried again"),
            ((409, "ConditionalRequestConflict"), StorageUnavailableError, "tried again"),
            ((429, "TooManyRequests"), StorageUnavailableError, "tried again"),
            ((500, "InternalError"), StorageUnavailableError, "tried again"),
            ((503, "SlowDown"), StorageUnavailableError, "tried again"),
        ],
        ids=lambda value: value[1] if isinstance(value, tuple) else "",
    )
    def test_the_answer_decides_what_is_advised(
        self, rclone: S3Server, tmp_path: Path, answer: tuple[int, str], error: type[ExportError], advice: str
    ) -> None:
        with s3_proxy(rclone) as proxy:
            bucket = rclone.new_bucket()
            store = S3Store("lake", proxy.server.spec(bucket), proxy.server.settings(tmp_path))
            proxy.rule = when(r"PUT .*students\.csv", Action(answer=answer))
            told = failure(error, lambda: Job("x").publish(store))
            assert advice in told
            assert answer[1] in told
            assert f"s3://{bucket}/prod/x/students.csv" in told
            assert rclone.listing(bucket) == []

    def test_a_missing_bucket_is_told_by_every_use(self, s3_server: S3Server, tmp_path: Path) -> None:
        store = S3Store("lake", s3_server.spec("no-such-bucket"), s3_server.settings(tmp_path))
        uses: list[Callable[[], Any]] = [
            lambda: store.size("a/b"),
            lambda: store.open("a/b"),
            lambda: list(store.walk()),
            lambda: store.sweep("a/b"),
            lambda: Job("x").publish(store),
        ]
        for use in uses:
            told = failure(StorageError, use)
            assert "NoSuchBucket" in told
            assert "s3://no-such-bucket/prod" in told

    @pytest.mark.parametrize("wrong", [{"secret": "wrong-canary"}, {"access": "nobody"}], ids=["secret", "key"])
    def test_wrong_credentials_are_told_by_every_use(
        self, rclone: S3Server, tmp_path: Path, wrong: dict[str, str]
    ) -> None:
        store = S3Store("lake", rclone.spec(rclone.new_bucket()), rclone.settings(tmp_path, **wrong))
        uses: list[Callable[[], Any]] = [
            lambda: store.size("a/b"),
            lambda: store.open("a/b"),
            lambda: list(store.walk()),
            lambda: store.sweep("a/b"),
            lambda: Job("x").publish(store),
        ]
        for use in uses:
            told = failure(StorageError, use)
            assert "credentials" in told or "access_key_id" in told
            assert "wrong-canary" not in told

    def test_no_credentials_at_all(self, keyless: S3Store) -> None:
        assert "access_key_id" in failure(ConfigurationError, lambda: keyless.size("a/b"))

    @pytest.mark.parametrize(
        "fields",
        [
            {"access_key_id": None},
            {"secret_access_key": "${env:UNSET}"},
            {"endpoint_url": f"http://user:{SECRET_KEY}@127.0.0.1:1"},
            {"endpoint_url": "127.0.0.1:9000"},
        ],
        ids=["half", "unset", "userinfo", "no-scheme"],
    )
    def test_a_wrong_setting_is_told_when_the_store_is_used(
        self, rclone: S3Server, tmp_path: Path, fields: dict[str, str | None]
    ) -> None:
        store = S3Store("lake", rclone.spec("b").model_copy(update=fields), rclone.settings(tmp_path))
        failure(ConfigurationError, lambda: store.size("a/b"))

    def test_the_chain_of_boto3_is_the_default(
        self, rclone: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        spec = rclone.spec(rclone.new_bucket(), region=None)
        spec = spec.model_copy(update={"access_key_id": None, "secret_access_key": None})
        Job("x").publish(S3Store("lake", spec, rclone.settings(tmp_path)))
