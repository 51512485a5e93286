"""The whole story on S3: publish, verify, rebuild, and what a killed run leaves."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from export_pipelines.errors import StorageUnavailableError
from export_pipelines.ledger import artifacts, runs
from export_pipelines.project import Project
from export_pipelines.rebuild import rebuild
from export_pipelines.verify import verify
from export_pipelines_tests.projects import environment, write_project
from export_pipelines_tests.s3_servers import ACCESS_KEY, SECRET_KEY, S3Server

DAY = "2026-01-05"
PUBLISH_AND_DIE = """
import os, signal, sys
from export_pipelines.project import Project
made = Project.load()
def die(event, args):
    if event == "http.client.send" and isinstance(args[1], bytes):
        line = args[1].partition(b"\\r\\n")[0]
        if line.startswith(b"PUT ") and b"students.jsonl" in line:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(die)
made.run(made.request("students", "2026-01-05", run_id="deadbeefdeadbeef"))
"""


def lake_environment(root: Path) -> dict[str, str]:
    return environment(root, S3_KEY=ACCESS_KEY, S3_SECRET=SECRET_KEY)


def lake_project(root: Path, server: S3Server, bucket: str, **entry: object) -> Project:
    secrets = {"access_key_id": "${env:S3_KEY}", "secret_access_key": "${env:S3_SECRET}"}
    lake = {**server.spec(bucket, prefix="prod").model_dump(exclude_defaults=True), **secrets, "type": "s3"}
    students = {"store": "lake", "formats": ["csv", "jsonl"], **entry}
    settings = write_project(root, {"students": students}, environ=lake_environment(root), stores={"lake": lake})
    made = Project.load(settings)
    made.specs.require_valid()
    return made


@pytest.mark.parametrize("layout", ["artifact", "flat"])
def test_publish_verify_and_rebuild(tmp_path: Path, s3_server: S3Server, bucket: str, layout: str) -> None:
    made = lake_project(tmp_path, s3_server, bucket, layout=layout)
    artifact = made.run(made.request("students", DAY, run_id="0123456789abcdef"))
    store = made.store("lake")
    assert len(list(store.walk())) == 3
    assert all(name.startswith("prod/") for name in s3_server.listing(bucket))
    assert store.uri(artifact.row.manifest_path).startswith(f"s3://{bucket}/prod/")
    assert verify(store, made.ledger).problems == []
    (tmp_path / "state" / "ledger.db").unlink()
    again = Project.load(made.settings)
    assert rebuild(again.store("lake"), again.ledger) == (1, [])
    assert artifacts.find(again.ledger) == [artifact.row]


def test_a_changed_object_is_found(tmp_path: Path, s3_server: S3Server, bucket: str) -> None:
    made = lake_project(tmp_path, s3_server, bucket)
    made.run(made.request("students", DAY, run_id="0123456789abcdef"))
    store = made.store("lake")
    path = next(path for path in store.walk() if path.endswith(".csv"))
    with store.open(path) as file:
        data = bytearray(file.read())
    data[5] ^= 1
    s3_server.client.put_object(Bucket=bucket, Key=f"prod/{path}", Body=bytes(data))
    assert [(found.kind, found.path) for found in verify(store, made.ledger).problems] == [("damaged", path)]


def test_a_killed_run_is_cleaned_by_the_next(tmp_path: Path, s3_server: S3Server, bucket: str) -> None:
    made = lake_project(tmp_path, s3_server, bucket)
    killed = subprocess.run([sys.executable, "-c", PUBLISH_AND_DIE], env=os.environ | lake_environment(tmp_path))
    assert killed.returncode == -signal.SIGKILL
    left = s3_server.listing(bucket)
    assert left
    assert not [name for name in left if name.endswith("metadata.json")]
    made.run(made.request("students", DAY, run_id="0123456789abcdef"))
    names = s3_server.listing(bucket)
    assert len(names) == 3
    assert not [name for name in names if "deadbeef" in name]
    assert verify(made.store("lake"), made.ledger).problems == []
    assert [row.state for row in runs.recent(made.ledger)] == ["published", "died"]


def test_a_store_that_is_down_publishes_nothing(tmp_path: Path, s3_server: S3Server, bucket: str) -> None:
    made = lake_project(tmp_path, s3_server, bucket)
    spec = made.specs.stores["lake"].model_copy(update={"endpoint_url": "http://127.0.0.1:1", "timeout_seconds": 1})
    broken = Project(
        made.settings, made.specs.__class__(**{**vars(made.specs), "stores": {**made.specs.stores, "lake": spec}})
    )
    with pytest.raises(StorageUnavailableError, match="no connection"):
        broken.run(broken.request("students", DAY, run_id="0123456789abcdef"))
    assert s3_server.listing(bucket) == []
    assert artifacts.find(made.ledger) == []
