"""What damages an archive, or keeps one from being made: found, told, and nothing is left."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from export_pipelines.errors import (
    DamagedArtifactError,
    LeaseLostError,
    StorageError,
    StorageUnavailableError,
    UnsafePathError,
)
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.retention.archive_plan import SCOPE
from export_pipelines.retention.archive_read import reread, unpack
from export_pipelines.retention.archive_write import DamagedSourceError, pack
from export_pipelines.spec.retention import ArchiveFormat
from export_pipelines.storage.base import Store
from export_pipelines.storage.local import LocalStore
from export_pipelines.storage.s3 import S3Store
from export_pipelines_tests.archived import CSV, FILES, everything, plan_for, publish, unpacked
from export_pipelines_tests.full_disks import NAMESPACE, why_not
from export_pipelines_tests.s3_servers import Action, S3Server, s3_proxy


def test_every_flipped_byte_is_found(originals: LocalStore, vault: LocalStore, format: ArchiveFormat) -> None:
    rows = [publish(originals, {"a.csv": CSV[:3000], "b.parquet": os.urandom(500)}, day=day) for day in (1, 2)]
    plan = plan_for(rows, format)
    pack(originals, rows, vault, archive=plan)
    chance = random.Random(1)
    for path in (plan.file_path, plan.index_path):
        file = vault.root / path
        good = file.read_bytes()
        places = {
            0,
            len(good) - 1,
            *range(0, len(good), max(1, len(good) // 60)),
            *(len(good) - n for n in range(2, 90)),
        }
        for place in places:
            bad = bytearray(good)
            bad[place] ^= chance.choice([1, 0x20, 0x80, 0xFF])
            file.write_bytes(bad)
            with pytest.raises((DamagedArtifactError, UnsafePathError)):
                reread(vault, plan.index_path)
        file.write_bytes(good)
    reread(vault, plan.index_path)


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.999, "but one", "and more"])
def test_truncated_and_longer_files_are_found(
    originals: LocalStore, target: Store, format: ArchiveFormat, keep: float | str, moto: S3Server
) -> None:
    row = publish(originals, FILES)
    plan = plan_for([row], format)
    pack(originals, [row], target, archive=plan)
    for path in (plan.file_path, plan.index_path):
        with target.open(path) as file:
            good = file.read()
        length = len(good) - 1 if keep == "but one" else int(len(good) * keep) if isinstance(keep, float) else None
        overwrite(target, moto, path, good + b"\n" if length is None else good[:length])
        with pytest.raises(DamagedArtifactError):
            reread(target, plan.index_path)
        with pytest.raises(DamagedArtifactError):
            unpacked(target, plan.index_path, row, originals)
        overwrite(target, moto, path, good)
    reread(target, plan.index_path)


def overwrite(target: Store, moto: S3Server, path: str, data: bytes) -> None:
    if isinstance(target, LocalStore):
        (target.root / path).write_bytes(data)
    else:
        bucket, _, key = target.uri(path).removeprefix("s3://").partition("/")
        moto.client.put_object(Bucket=bucket, Key=key, Body=data)


def test_a_missing_archive_and_a_missing_index(originals: LocalStore, vault: LocalStore, format: ArchiveFormat) -> None:
    row = publish(originals, FILES)
    plan = plan_for([row], format)
    pack(originals, [row], vault, archive=plan)
    other = plan.index_path.replace("students_2026", "grades_2026")
    (vault.root / plan.index_path).rename(vault.root / other)
    with pytest.raises(DamagedArtifactError, match=r"belongs to students_2026"):
        reread(vault, other)
    with pytest.raises(StorageError, match="there is no archive index"):
        reread(vault, plan.index_path)
    (vault.root / other).rename(vault.root / plan.index_path)
    (vault.root / plan.file_path).unlink()
    with pytest.raises(DamagedArtifactError, match="it is missing"):
        reread(vault, plan.index_path)
    os.mkfifo(vault.root / plan.file_path)
    with pytest.raises(DamagedArtifactError, match="it is missing"):
        reread(vault, plan.index_path)


def test_an_artifact_that_is_not_in_the_archive(originals: LocalStore, vault: LocalStore) -> None:
    row, other = publish(originals, FILES, day=1), publish(originals, FILES, day=2)
    plan = plan_for([row], "zip")
    pack(originals, [row], vault, archive=plan)
    with pytest.raises(DamagedArtifactError, match=other.manifest.artifact_id):
        unpacked(vault, plan.index_path, other, originals)


def _file(root: Path, row: ArtifactRow) -> Path:
    return root / row.path_of("students.csv")


def _link(path: Path) -> None:
    copy = path.with_name("elsewhere")
    path.rename(copy)
    path.symlink_to(copy)


def _manifest(path: Path, change: Callable[[bytes], bytes]) -> None:
    manifest = path.with_name("metadata.json")
    manifest.write_bytes(change(manifest.read_bytes()))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bit": (lambda path: path.write_bytes(CSV[:-1] + b"\r"), "has SHA-256 [0-9a-f]{64}, the manifest another one"),
    "shorter": (lambda path: path.write_bytes(CSV[:-1]), "has 228,898 bytes, the manifest says 228,899"),
    "longer": (lambda path: path.write_bytes(CSV + b"x"), "more than 228,899 bytes"),
    "empty": (lambda path: path.write_bytes(b""), "has 0 bytes"),
    "missing": (Path.unlink, "there is no file"),
    "a link": (_link, "there is no file"),
    "manifest missing": (lambda path: path.with_name("metadata.json").unlink(), "there is no file"),
    "manifest of another run": (
        lambda path: _manifest(path, lambda data: data.replace(b'"seconds": 0.1', b'"seconds": 9.1')),
        "is not the one in the ledger",
    ),
    "manifest cut": (lambda path: _manifest(path, lambda data: data[:-9]), "cannot be read"),
    "manifest with a hostile name": (
        lambda path: _manifest(path, lambda data: data.replace(b'"students.csv"', b'"../students.csv"')),
        "holds a slash",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_source_is_told_and_leaves_nothing(
    originals: LocalStore, target: Store, format: ArchiveFormat, damage: str
) -> None:
    rows = [publish(originals, FILES | {"z.csv": b"1"}, day=day) for day in (1, 2, 3)]
    spoil, message = DAMAGES[damage]
    spoil(_file(originals.root, rows[1]))
    before = everything(originals)
    with pytest.raises(DamagedSourceError, match=message) as caught:
        pack(originals, rows, target, archive=plan_for(rows, format))
    assert caught.value.artifact_id == rows[1].manifest.artifact_id
    assert "partition 2026-01-02" in str(caught.value)
    assert list(target.walk()) == []
    assert target.sweep(SCOPE) == []
    assert everything(originals) == before


def test_the_ledger_knows_another_manifest(originals: LocalStore, vault: LocalStore) -> None:
    row = publish(originals, FILES)
    other = replace(row, manifest=row.manifest.model_copy(update={"seconds": 7.0}))
    with pytest.raises(DamagedSourceError, match="is not the one in the ledger"):
        pack(originals, [other], vault, archive=plan_for([other], "zip"))


def test_two_artifacts_with_one_file(originals: LocalStore, vault: LocalStore) -> None:
    row = publish(originals, FILES)
    with pytest.raises(DamagedSourceError, match="belongs to another artifact as well"):
        pack(originals, [row, row], vault, archive=plan_for([row], "zip"))


def test_artifacts_of_another_store_are_refused(originals: LocalStore, vault: LocalStore) -> None:
    row = publish(originals, FILES)
    for rows in ([], [replace(row, store="lake")]):
        with pytest.raises(ValueError, match="are needed"):
            pack(originals, rows, vault, archive=plan_for([row], "zip"))


def test_a_source_that_cannot_be_read_is_not_damaged(
    originals: LocalStore, vault: LocalStore, moto: S3Server, tmp_path: Path, format: ArchiveFormat
) -> None:
    with s3_proxy(moto) as proxy:
        lake = S3Store("lake", proxy.server.spec(moto.new_bucket()), proxy.server.settings(tmp_path / "state"))
        row = publish(lake, {"a.csv": CSV})
        proxy.rule = lambda request: Action(cut_answer_at=9_000) if request.line.startswith("GET") else None
        with pytest.raises(StorageUnavailableError):
            pack(lake, [row], vault, archive=plan_for([row], format))
    assert everything(vault) == {}


def test_an_archive_that_cannot_be_read_is_not_damaged(
    originals: LocalStore, moto: S3Server, tmp_path: Path, format: ArchiveFormat
) -> None:
    row = publish(originals, FILES)
    plan = plan_for([row], format)
    with s3_proxy(moto) as proxy:
        lake = S3Store("vault", proxy.server.spec(moto.new_bucket()), proxy.server.settings(tmp_path / "state"))
        pack(originals, [row], lake, archive=plan)
        proxy.rule = lambda request: (
            Action(cut_answer_at=20_000) if request.line.startswith("GET") and plan.file_name in request.line else None
        )
        with pytest.raises(StorageUnavailableError):
            reread(lake, plan.index_path)
        with pytest.raises(StorageUnavailableError):
            unpacked(lake, plan.index_path, row, originals)


def test_who_was_overtaken_does_not_publish(originals: LocalStore, target: Store, format: ArchiveFormat) -> None:
    @contextmanager
    def overtaken() -> Iterator[None]:
        raise LeaseLostError("overtaken")
        yield

    row = publish(originals, FILES)
    with pytest.raises(LeaseLostError):
        pack(originals, [row], target, archive=plan_for([row], format), fence=overtaken())
    assert list(target.walk()) == []


FULL_DISK = """
import os, subprocess, sys
from pathlib import Path
from export_pipelines.errors import StorageError
from export_pipelines.retention.archive_read import unpack
from export_pipelines.retention.archive_write import pack
from export_pipelines.storage.local import LocalStore
from export_pipelines_tests.archived import plan_for, publish
root = Path(sys.argv[1])
(root / "small").mkdir()
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(root / "small")], check=True)
originals, small, vault = (LocalStore(name, root / name) for name in ("originals", "small", "vault"))
row = publish(originals, {"a.csv": os.urandom(3_000_000)})
plan = plan_for([row], sys.argv[2])
try:
    pack(originals, [row], small, archive=plan)
except StorageError as error:
    print("No space left on device" in str(error), list(small.root.rglob("*")))
pack(originals, [row], vault, archive=plan)
try:
    unpack(vault, plan.index_path, row.manifest.artifact_id, small.stage("x/y", "1"))
except StorageError as error:
    print("No space left on device" in str(error))
"""


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "a disk can be mounted")
def test_a_full_disk_is_told(tmp_path: Path, format: ArchiveFormat) -> None:
    command = [*NAMESPACE, sys.executable, "-c", FULL_DISK, str(tmp_path), format]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True []\nTrue\n", "")


def test_a_file_that_cannot_be_written_is_told(originals: LocalStore, vault: LocalStore, format: ArchiveFormat) -> None:
    row = publish(originals, FILES)
    plan = plan_for([row], format)
    pack(originals, [row], vault, archive=plan)
    staging = originals.stage("students/restored", "1")
    (staging.path / "students.csv").write_bytes(b"taken")
    with pytest.raises(StorageError, match="name is taken"):
        unpack(vault, plan.index_path, row.manifest.artifact_id, staging)
