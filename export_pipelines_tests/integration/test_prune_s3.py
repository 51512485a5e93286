"""Retention where files and archives are in buckets, and the ledger in PostgreSQL."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from export_pipelines.errors import SpecError
from export_pipelines.ledger import artifacts, deletions, pins
from export_pipelines.project import Project
from export_pipelines.retention.passes import Order, Pass
from export_pipelines.retention.prune import prune
from export_pipelines.retention.report import Outcome
from export_pipelines.retention.restore import restore
from export_pipelines.verify import verify
from export_pipelines_tests.integration.test_s3 import lake_environment
from export_pipelines_tests.projects import environment, write_project
from export_pipelines_tests.s3_servers import S3Server

POLICY = {"keep_days": 20, "max_delete_percent": 60}


def publish(made: Project, days: int = 6) -> None:
    """One artifact a day, the older half of them older than the policy."""
    newest = datetime.now(UTC) - timedelta(days=21 - days // 2)
    for ago in reversed(range(days)):
        partition = f"{newest - timedelta(days=ago):%Y-%m-%d}"
        made.run(made.request("students", partition, run_id=uuid.uuid4().hex))


def pass_of(made: Project) -> Outcome:
    return prune(Pass(made, Order(by="test", now=datetime.now(UTC))))


def contents(server: S3Server, bucket: str) -> dict[str, bytes]:
    keys = server.listing(bucket)
    return {key: server.client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


@pytest.mark.parametrize("to", ["lake", "archive"])
def test_a_bucket_is_pruned_and_an_artifact_comes_back(
    tmp_path: Path, s3_server: S3Server, bucket: str, to: str
) -> None:
    """Archived in the same bucket, or in a directory."""
    made = Project.load(
        write_settings(tmp_path, s3_server, bucket, {**POLICY, "archive": {"store": to, "per": "month"}})
    )
    publish(made)
    before = contents(s3_server, bucket)
    outcome = pass_of(made)
    assert (len(outcome.deleted), outcome.archived, outcome.errors) == (3, 3, [])
    left = contents(s3_server, bucket)
    own = {key: data for key, data in left.items() if ".archive.json" not in key and not key.endswith(".zip")}
    assert own.items() <= before.items()
    assert len(own) == 9
    assert [found for name in made.specs.stores for found in verify(made.store(name), made.ledger).problems] == []
    row = restore(made, outcome.deleted[0].artifact_id, by="me", now=datetime.now(UTC))
    back = {key: data for key, data in contents(s3_server, bucket).items() if row.directory in key}
    assert back == {key: data for key, data in before.items() if row.directory in key}
    assert len(back) == 3
    assert pass_of(made).deleted == []
    assert not [key for key in s3_server.listing(bucket) if ".staging" in key]


def write_settings(root: Path, server: S3Server, bucket: str, policy: dict[str, Any]) -> Any:
    secrets = {"access_key_id": "${env:S3_KEY}", "secret_access_key": "${env:S3_SECRET}"}
    lake = {**server.spec(bucket, prefix="prod").model_dump(exclude_defaults=True), **secrets, "type": "s3"}
    environ = {**lake_environment(root), "EXPORT_ARCHIVE_PATH": str(root / "old")}
    students = {"store": "lake", "formats": ["csv", "jsonl"], "retention": policy}
    return write_project(root, {"students": students}, environ=environ, stores={"lake": lake})


@pytest.fixture
def made(tmp_path: Path, postgres_url: str) -> Project:
    """A project with six artifacts, three of them too old, and a ledger in PostgreSQL."""
    environ = environment(tmp_path, EXPORT_LEDGER_URL=postgres_url)
    policy = {**POLICY, "archive": False}
    loaded = Project.load(write_project(tmp_path, {"students": {"retention": policy}}, environ=environ))
    publish(loaded)
    return loaded


def test_a_ledger_in_postgres_records_it(made: Project) -> None:
    outcome = pass_of(made)
    assert (len(outcome.deleted), outcome.errors) == (3, [])
    gone = {row.manifest.artifact_id for row in artifacts.find(made.ledger, deleted=True)}
    assert gone == {row.artifact_id for row in outcome.deleted}
    assert verify(made.store("local"), made.ledger).problems == []


def test_of_a_pin_and_a_decision_at_the_same_moment_one_sees_the_other(made: Project) -> None:
    """Whichever transaction is first, an artifact is never both pinned and deleted."""
    for _ in range(10):
        ids = [row.manifest.artifact_id for row in artifacts.find(made.ledger)]
        start, refused = threading.Barrier(2), []

        def pin_all(ids: list[str] = ids, start: threading.Barrier = start, refused: list[str] = refused) -> None:
            start.wait()
            for artifact_id in ids:
                try:
                    pins.pin(made.ledger, artifact_id, by="me", why="race", at=datetime.now(UTC))
                except SpecError:
                    refused.append(artifact_id)

        thread = threading.Thread(target=pin_all)
        thread.start()
        start.wait()
        outcome = pass_of(made)
        thread.join()
        with made.ledger.read() as connection:
            pinned = pins.pinned(connection)
        assert not pinned & {row.artifact_id for row in outcome.deleted}
        assert {row.artifact_id for row in outcome.deleted} == set(refused)
        assert deletions.underway(made.ledger) == []
        for artifact_id in pinned:
            pins.end(made.ledger, artifact_id, "pin", by="me", why="again", at=datetime.now(UTC))
        publish(made)
