"""Which requests S3Store makes, in which order, and what they say."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from export_pipelines.errors import ExportError, StorageError, StorageUnavailableError
from export_pipelines.storage.s3 import S3Store
from export_pipelines_tests.contracts.s3_faults import LARGE, failure, when
from export_pipelines_tests.contracts.store_publishing import MANIFEST, SMALL, Job
from export_pipelines_tests.s3_servers import (
    ACCESS_KEY,
    SECRET_KEY,
    Action,
    Proxy,
    Request,
    S3Server,
    s3_proxy,
)

JOURNAL = (
    b'{"run": "students/2026-01-01/run-9", "manifest": "a/m.json",'
    b' "files": [{"path": "a/data.csv", "multipart": true}]}'
)


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

    def test_every_upload_carries_its_digests(self, store: S3Store, proxy: Proxy) -> None:
        seen: dict[str, set[str]] = {}

        def rule(request: Request) -> None:
            seen[request.line] = set(request.headers)

        proxy.rule = rule
        Job("a", LARGE).publish(store)
        uploads = [names for line, names in seen.items() if re.match(r"PUT .*(first\.csv|partNumber|json)", line)]
        assert len(uploads) == 5
        assert all(names >= {"content-md5", "x-amz-checksum-sha256"} for names in uploads)

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

    def test_without_prefix_keys_begin_at_the_root(self, s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
        store = S3Store("lake", s3_server.spec(bucket, prefix=""), s3_server.settings(tmp_path))
        job = Job("a")
        job.publish(store)
        assert s3_server.listing(bucket) == sorted(job.contents)
        assert store.uri("a/students.csv") == f"s3://{bucket}/a/students.csv"

    def test_other_prefixes_are_not_seen(self, s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
        s3_server.client.put_object(Bucket=bucket, Key="production/a.csv", Body=b"")
        store = S3Store("lake", s3_server.spec(bucket), s3_server.settings(tmp_path))
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
