"""Archives: packed, read again, unpacked, and taken for what they are by other programs."""

from __future__ import annotations

import hashlib
import os
import random
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from export_pipelines.errors import (
    DamagedArtifactError,
    UnsafePathError,
)
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.retention.archive_plan import SCOPE
from export_pipelines.retention.archive_read import reread
from export_pipelines.retention.archive_write import pack
from export_pipelines.spec.base import NAME_PATTERN
from export_pipelines.spec.naming import check_path
from export_pipelines.spec.retention import ArchiveFormat
from export_pipelines.storage.archive_index import archive_path, is_index, open_index, parse_index
from export_pipelines.storage.base import Store
from export_pipelines.storage.local import LocalStore
from export_pipelines_tests.archived import CREATED, CSV, FILES, FORMATS, everything, plan_for, publish, unpacked


@contextmanager
def as_tar(format: str, path: Path) -> Iterator[tarfile.TarFile]:
    """The archive as others read it."""
    with pa.CompressedInputStream(str(path), {"tar.gz": "gzip", "tar.zst": "zstd"}[format]) as stream:
        data = stream.read()
    with tarfile.open(fileobj=pa.BufferReader(data), mode="r:") as archive:
        yield archive


def test_an_artifact_comes_back_as_it_was(originals: LocalStore, target: Store, format: ArchiveFormat) -> None:
    row = publish(originals, FILES)
    before = everything(originals)
    plan = plan_for([row], format, what=row.manifest.partition)
    index = pack(originals, [row], target, archive=plan)
    assert sorted(target.walk()) == sorted([plan.index_path, plan.file_path])
    assert reread(target, plan.index_path) == open_index(target, plan.index_path) == index
    assert [artifact.manifest for artifact in index.artifacts] == [row.manifest]
    assert unpacked(target, plan.index_path, row, originals) == {**FILES, "manifest": row.manifest.to_json()}
    assert everything(originals) == before


def test_a_month_goes_into_one_archive_in_order(
    originals: LocalStore, vault: LocalStore, format: ArchiveFormat, tmp_path: Path
) -> None:
    rows = [publish(originals, {"students.csv": CSV + bytes([day]), "a.json": b"{}"}, day=day) for day in range(1, 41)]
    shuffled = random.Random(5).sample(rows, len(rows))
    plan = plan_for(rows, format)
    index = pack(originals, shuffled, vault, archive=plan)
    assert reread(vault, plan.index_path) == index
    expected = [row.path_of(name) for row in rows for name in ("a.json", "metadata.json", "students.csv")]
    assert [member.path for member in index.members()] == expected
    for row in (rows[0], rows[17], rows[39]):
        found = unpacked(vault, plan.index_path, row, originals)
        assert found["students.csv"] == CSV + bytes([row.manifest.window.start.timetuple().tm_yday])
        assert found["manifest"] == row.manifest.to_json()
    path = vault.root / plan.file_path
    if format == "zip":
        with zipfile.ZipFile(path) as archive:
            assert (archive.namelist(), archive.testzip()) == (expected, None)
    else:
        with as_tar(format, path) as members:
            assert members.getnames() == expected


@pytest.mark.parametrize("directory", ["", "flat", "a" * 150 + "/" + "b" * 150 + "/{partition}"])
def test_other_layouts(originals: LocalStore, vault: LocalStore, format: ArchiveFormat, directory: str) -> None:
    files = {"c" * 120 + ".csv": b"1\n", "d.csv": b"2\n"}
    row = publish(originals, files, directory=directory)
    plan = plan_for([row], format)
    assert pack(originals, [row], vault, archive=plan) == reread(vault, plan.index_path)
    assert unpacked(vault, plan.index_path, row, originals) == {**files, "manifest": row.manifest.to_json()}


def test_members_are_plain_files_without_owner(originals: LocalStore, vault: LocalStore) -> None:
    row = publish(originals, FILES)
    for format in FORMATS[1:]:
        plan = plan_for([row], format)
        pack(originals, [row], vault, archive=plan)
        with as_tar(format, vault.root / plan.file_path) as archive:
            told = {(m.mode, m.uid, m.gid, m.uname, m.gname, m.mtime, m.type) for m in archive.getmembers()}
        assert told == {(0o600, 0, 0, "", "", int(CREATED.timestamp()), tarfile.REGTYPE)}
    plan = plan_for([row], "zip")
    pack(originals, [row], vault, archive=plan)
    with zipfile.ZipFile(vault.root / plan.file_path) as archive:
        told = {(m.external_attr >> 16, m.date_time, m.create_system) for m in archive.infolist()}
        stored = {m.filename.rpartition("/")[2] for m in archive.infolist() if m.compress_type == zipfile.ZIP_STORED}
    assert told == {(0o100600, (2026, 1, 6, 1, 2, 2), 3)}  # zips count in steps of two seconds
    assert stored == {"students.parquet", "grades.csv.gz"}


def test_equal_artifacts_make_equal_archives(originals: LocalStore, tmp_path: Path, format: ArchiveFormat) -> None:
    rows = [publish(originals, FILES, day=day) for day in (1, 2)]
    plan = plan_for(rows, format)
    stores = [LocalStore("vault", tmp_path / name) for name in ("one", "two")]
    for store, given in zip(stores, (rows, rows[::-1]), strict=True):
        pack(originals, given, store, archive=plan)
    assert everything(stores[0]) == everything(stores[1])


def test_modes_do_not_depend_on_the_umask(originals: LocalStore, vault: LocalStore, format: ArchiveFormat) -> None:
    row = publish(originals, FILES)
    before = os.umask(0)
    try:
        pack(originals, [row], vault, archive=plan_for([row], format))
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in vault.root.rglob("*") if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in vault.root.rglob("*") if path.is_dir()} == {0o750}


def test_zips_with_64_bit_fields(originals: LocalStore, vault: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    row = publish(originals, FILES)
    plan = plan_for([row], "zip")
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 50_000)
    pack(originals, [row], vault, archive=plan)
    assert b"PK\6\6" in (vault.root / plan.file_path).read_bytes()
    assert unpacked(vault, plan.index_path, row, originals) == {**FILES, "manifest": row.manifest.to_json()}


MEMORY = """
import os, re, sys
from pathlib import Path
from export_pipelines.retention.archive_read import reread, unpack
from export_pipelines.retention.archive_write import pack
from export_pipelines.storage.local import LocalStore
from export_pipelines_tests.archived import plan_for, publish
root, format = Path(sys.argv[1]), sys.argv[2]
originals, vault = LocalStore("local", root / "a"), LocalStore("vault", root / "b")
def peak():
    return int(re.findall(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024
def there_and_back(row):
    plan = plan_for([row], format)
    pack(originals, [row], vault, archive=plan)
    reread(vault, plan.index_path)
    unpack(vault, plan.index_path, row.manifest.artifact_id, originals.stage("x/y", row.manifest.artifact_id))
rows = [publish(originals, {"a.csv": os.urandom(size)}, day=size % 28 + 1) for size in (6_000_000, 40_000_000)]
Path("/proc/self/clear_refs").write_text("5")  # the peak begins with what is used now
there_and_back(rows[0])
before = peak()
there_and_back(rows[1])
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads /proc")
def test_memory_does_not_grow_with_files(tmp_path: Path, format: ArchiveFormat) -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY, str(tmp_path), format], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 4_000_000


def test_the_names_are_known_beforehand(originals: LocalStore) -> None:
    rows = [publish(originals, FILES, day=day) for day in (40, 33)]
    plan = plan_for(rows, "tar.zst", what="2026-02")
    stem = f"students/2026/students_2026-02_{plan.archive_id[:8]}"
    assert (plan.index_path, plan.file_path) == (f"{stem}.archive.json", f"{stem}.tar.zst")
    assert archive_path(plan.index_path, "tar.zst") == plan.file_path
    assert is_index(plan.index_path)
    assert not is_index(plan.file_path)
    hour = plan_for(rows, "zip", what="2026-10-25-02:00+0100")
    assert "students_2026-10-25-0200p0100_" in hour.index_path
    with pytest.raises(UnsafePathError):
        plan_for(rows, "zip", what="../2026")


def test_the_year_is_that_of_the_local_window(originals: LocalStore) -> None:
    row = publish(originals, FILES, day=1)
    start = datetime(2025, 12, 31, 23, tzinfo=UTC)  # midnight in Berlin
    window = row.manifest.window.model_copy(update={"start": start, "end": start + timedelta(days=1)})
    berlin = replace(row, manifest=row.manifest.model_copy(update={"window": window}))
    assert plan_for([berlin], "zip").directory == "students/2026"
    named = replace(berlin, manifest=berlin.manifest.model_copy(update={"partition": "all"}))
    assert plan_for([named], "zip").directory == "students/2025"


def test_no_export_stages_where_archives_do() -> None:
    assert check_path(SCOPE) == SCOPE
    assert not re.match(NAME_PATTERN, SCOPE.partition("/")[0])


def test_an_index_holds_what_a_ledger_needs(originals: LocalStore, vault: LocalStore) -> None:
    row = replace(publish(originals, FILES), good=False)
    plan = plan_for([row], "zip")
    pack(originals, [row], vault, archive=plan)
    found = open_index(vault, plan.index_path).artifacts[0]
    assert ArtifactRow(found.store, found.manifest_path, found.manifest, found.good) == row
    data = row.manifest.to_json()
    assert (found.manifest_bytes, found.manifest_sha256) == (len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("data", [b"", b"{}", b"\n", b'",\n  "sha256": "', b"[" * 100_000])
def test_what_is_no_index(data: bytes) -> None:
    with pytest.raises(DamagedArtifactError, match="archive index there"):
        parse_index(data, where="there")
