"""What S3Store does when the service or the network misbehaves, on two services behind a proxy that does."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from export_pipelines.errors import ConfigurationError, ExportError, StorageError, StorageUnavailableError
from export_pipelines.storage.s3 import S3Store
from export_pipelines_tests.contracts.store_publishing import MANIFEST, SMALL, Job, large
from export_pipelines_tests.s3_servers import (
    ACCESS_KEY,
    SECRET_KEY,
    Action,
    Proxy,
    Request,
    S3Server,
    free_port,
    moto_s3,
    rclone_s3,
    s3_proxy,
)

JOURNAL = (
    b'{"run": "students/2026-01-01/run-9", "manifest": "a/m.json",'
    b' "files": [{"path": "a/data.csv", "multipart": true}]}'
)
LARGE = {"first.csv": b"1", "large.bin": large()[: 5 * 2**20 + 70_000]}  # two parts


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with moto_s3(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="module")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone_s3(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(params=["moto", "rclone"])
def server(request: pytest.FixtureRequest) -> S3Server:
    found: S3Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def bucket(server: S3Server) -> str:
    return server.new_bucket()


@pytest.fixture
def proxy(server: S3Server) -> Iterator[Proxy]:
    with s3_proxy(server) as proxy:
        yield proxy


@pytest.fixture
def store(proxy: Proxy, bucket: str, tmp_path: Path) -> S3Store:
    return S3Store("lake", proxy.server.spec(bucket), proxy.server.settings(tmp_path))


def when(pattern: str, action: Action, *, times: int = 1_000_000) -> Callable[[Request], Action | None]:
    """A rule for the first `times` requests whose line matches."""
    left = [times]

    def rule(request: Request) -> Action | None:
        if re.search(pattern, request.line) and left[0]:
            left[0] -= 1
            return action
        return None

    return rule


def failure(expected: type[ExportError], act: Callable[[], object]) -> str:
    """The message of the error that `act` must raise; neither it nor its causes may tell a secret."""
    with pytest.raises(expected) as caught:
        act()
    told = "".join(traceback.format_exception(caught.value))
    assert SECRET_KEY not in str(caught.value)
    assert ACCESS_KEY not in told
    return str(caught.value)


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

    def test_a_missing_bucket_is_told_by_every_use(self, server: S3Server, tmp_path: Path) -> None:
        store = S3Store("lake", server.spec("no-such-bucket"), server.settings(tmp_path))
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

    def test_no_credentials_at_all(self, rclone: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            monkeypatch.setenv(name, str(tmp_path / "none"))
        spec = rclone.spec("b").model_copy(update={"access_key_id": None, "secret_access_key": None})
        store = S3Store("lake", spec, rclone.settings(tmp_path))
        assert "access_key_id" in failure(ConfigurationError, lambda: store.size("a/b"))

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


class TestConditions:
    def test_a_service_that_ignores_if_none_match_is_noticed(
        self, moto: S3Server, rclone: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        for server, warned in ((moto, False), (rclone, True)):
            caplog.clear()
            store = S3Store("lake", server.spec(server.new_bucket()), server.settings(tmp_path))
            Job("a").publish(store)
            Job("b").publish(store)
            assert caplog.text.count("does not obey If-None-Match") == warned

    @pytest.mark.parametrize("files", [SMALL, LARGE], ids=["whole", "parts"])
    def test_a_service_that_refuses_if_none_match_still_overwrites_nothing(
        self, store: S3Store, proxy: Proxy, files: dict[str, bytes]
    ) -> None:
        def rule(request: Request) -> Action | None:
            return Action(answer=(501, "NotImplemented")) if "if-none-match" in request.headers else None

        proxy.rule = rule
        job = Job("a", files)
        job.publish(store)
        failure(StorageError, lambda: Job("a", {"new.csv": b"x"}, run="run-2").publish(store))
        for path, data in job.contents.items():
            assert store.open(path).read() == data
        assert list(store.walk()) == sorted(job.contents)

    def test_every_new_object_is_put_under_the_condition(self, store: S3Store, proxy: Proxy) -> None:
        seen: dict[str, str] = {}

        def rule(request: Request) -> None:
            seen[request.line] = request.headers.get("if-none-match", "")

        proxy.rule = rule
        Job("a", LARGE).publish(store)
        creating = {
            line: value for line, value in seen.items() if re.match(r"PUT (?!.*partNum)|POST .*uploadId=", line)
        }
        assert len(creating) == 4
        assert set(creating.values()) == {"*"}


class TestProtocol:
    def test_the_journal_is_first_the_manifest_last(self, store: S3Store, proxy: Proxy, bucket: str) -> None:
        Job("a", LARGE).publish(store)
        changes = [line.split("?")[0] for line in proxy.lines if not line.startswith(("GET", "HEAD"))]
        journal = f"/{bucket}/prod/.staging/students/2026-01-01/run-1.json"
        assert set(changes[:2]) == {f"PUT {journal}"}
        assert changes[-2:] == [f"PUT /{bucket}/prod/a/metadata.json", f"DELETE {journal}"]
        assert all("/prod/a/" in line for line in changes[2:-1])

    def test_objects_say_what_they_are(self, moto: S3Server, tmp_path: Path) -> None:
        bucket = moto.new_bucket()
        fields = {
            "storage_class": "STANDARD_IA",
            "server_side_encryption": "aws:kms",
            "kms_key_id": "alias/exports",
            "tags": {"team": "fin ance", "a/b": "c=d+e"},
        }
        job = Job("a", LARGE)
        job.publish(S3Store("lake", moto.spec(bucket, **fields), moto.settings(tmp_path)))
        for path in job.contents:
            place = {"Bucket": bucket, "Key": f"prod/{path}"}
            head, is_data = moto.client.head_object(**place), not path.endswith("metadata.json")
            assert head["ContentType"] == ("text/csv" if is_data else "application/json")
            assert head["Metadata"]["run"] == "students/2026-01-01/run-1"
            assert ("sha256" in head["Metadata"]) == is_data
            assert head.get("StorageClass", "STANDARD") == ("STANDARD_IA" if is_data else "STANDARD")
            assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/exports")
            tags = moto.client.get_object_tagging(**place)["TagSet"]
            assert {tag["Key"]: tag["Value"] for tag in tags} == fields["tags"]

    def test_without_prefix_keys_begin_at_the_root(self, server: S3Server, bucket: str, tmp_path: Path) -> None:
        store = S3Store("lake", server.spec(bucket, prefix=""), server.settings(tmp_path))
        job = Job("a")
        job.publish(store)
        assert server.listing(bucket) == sorted(job.contents)
        assert store.uri("a/students.csv") == f"s3://{bucket}/a/students.csv"
        assert store.free_bytes() is None

    def test_other_prefixes_are_not_seen(self, server: S3Server, bucket: str, tmp_path: Path) -> None:
        server.client.put_object(Bucket=bucket, Key="production/a.csv", Body=b"")
        store = S3Store("lake", server.spec(bucket), server.settings(tmp_path))
        assert list(store.walk()) == []

    def test_a_publisher_that_is_swept_away_meanwhile_fails(
        self, store: S3Store, proxy: Proxy, bucket: str, tmp_path: Path
    ) -> None:
        sweeper = S3Store("lake", proxy.server.spec(bucket), proxy.server.settings(tmp_path / "elsewhere"))

        def rule(request: Request) -> None:
            if re.match(r"HEAD .*last\.csv", request.line) and any("PUT" in e and "last.csv" in e for e in proxy.lines):
                proxy.rule = lambda request: None
                sweeper.sweep("students/2026-01-01")

        proxy.rule = rule
        told = failure(StorageError, lambda: Job("slow", {"first.csv": b"1", "last.csv": b"2"}).publish(store))
        assert "vanished" in told
        assert proxy.server.listing(bucket) == []

    def test_a_manifest_that_comes_while_its_files_are_swept_goes_too(
        self, store: S3Store, proxy: Proxy, bucket: str
    ) -> None:
        client, run = proxy.server.client, {"run": "students/2026-01-01/run-9"}
        key = "prod/.staging/students/2026-01-01/run-9.json"
        client.put_object(Bucket=bucket, Key=key, Body=JOURNAL)
        client.put_object(Bucket=bucket, Key="prod/a/data.csv", Body=b"1", Metadata=run)

        def rule(request: Request) -> None:
            if request.line.startswith("DELETE") and "data.csv" in request.line:
                client.put_object(Bucket=bucket, Key="prod/a/m.json", Body=MANIFEST, Metadata=run)

        proxy.rule = rule
        assert store.sweep("students/2026-01-01") == ["run-9"]
        assert proxy.server.listing(bucket) == []

    def test_what_others_put_at_a_journaled_name_is_left_alone(
        self, store: S3Store, proxy: Proxy, bucket: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = proxy.server.client
        client.put_object(Bucket=bucket, Key="prod/.staging/students/2026-01-01/run-9.json", Body=JOURNAL)
        client.put_object(Bucket=bucket, Key="prod/a/data.csv", Body=b"theirs")
        assert store.sweep("students/2026-01-01") == ["run-9"]
        assert proxy.server.listing(bucket) == ["prod/a/data.csv"]
        assert "left s3://" in caplog.text

    @pytest.mark.parametrize("journal", [b"{", b'{"run": "r", "manifest": "../m.json", "files": []}'])
    def test_a_broken_journal_deletes_nothing(self, store: S3Store, proxy: Proxy, bucket: str, journal: bytes) -> None:
        key = "prod/.staging/students/2026-01-01/run-9.json"
        proxy.server.client.put_object(Bucket=bucket, Key=key, Body=journal)
        with pytest.raises(ExportError):
            store.sweep("students/2026-01-01")
        assert proxy.server.listing(bucket) == [key]


def test_boto3_is_imported_only_when_the_store_is_used(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from export_pipelines.settings import Settings
from export_pipelines.spec.stores import S3StoreSpec
from export_pipelines.storage.s3 import S3Store
store = S3Store("lake", S3StoreSpec(bucket="b"), Settings({"EXPORT_STATE_PATH": sys.argv[1]}))
store.discard(store.stage("a/b", "c"))
assert store.uri("x") == "s3://b/x"
assert not [name for name in sys.modules if name.startswith(("boto", "urllib3"))]
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_log_tells_no_secret(rclone: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="export_pipelines")
    with s3_proxy(rclone) as proxy:
        store = S3Store("lake", proxy.server.spec(rclone.new_bucket()), proxy.server.settings(tmp_path))
        Job("a", LARGE).publish(store)
        proxy.rule = when(r"PUT .*first\.csv|DELETE", Action(answer=(503, "SlowDown")))
        failure(StorageUnavailableError, lambda: Job("b", LARGE, run="run-2").publish(store))
    assert caplog.text
    assert SECRET_KEY not in caplog.text
    assert ACCESS_KEY not in caplog.text
