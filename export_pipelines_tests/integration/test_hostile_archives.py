"""Archives made by an enemy, with an index that agrees: refused, nothing is written outside, and nothing explodes."""

from __future__ import annotations

import os
import re
import stat
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from export_pipelines.errors import DamagedArtifactError
from export_pipelines.retention.archive_read import reread, unpack
from export_pipelines.storage.base import Staging
from export_pipelines.storage.local import LocalStore
from export_pipelines_tests.archived import forge
from export_pipelines_tests.hostile_tars import (
    BOMBS,
    BOTH,
    CSV,
    DATA,
    END,
    FIRST,
    GIGABYTE,
    MANIFEST,
    OUTSIDE,
    SECOND,
    TARS,
    after,
    block,
    bomb,
    gzipped,
    record,
    zstd,
)
from export_pipelines_tests.hostile_zips import ZIPS, one, zipped

COMPRESSED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "gzip, then anything": ("tar.gz", lambda: gzipped(after(b"")) + b"owned"),
    "gzip, then another": ("tar.gz", lambda: gzipped(after(b"")) + gzipped(SECOND)),
    "gzip, then zeros": ("tar.gz", lambda: gzipped(after(b"")) + bytes(512)),
    "gzip, cut": ("tar.gz", lambda: gzipped(after(b""))[:-9]),
    "gzip, without checksum": ("tar.gz", lambda: gzipped(after(b""))[:-8] + bytes(8)),
    "gzip, a zip in truth": ("tar.gz", lambda: zipped(*BOTH)),
    "zstd, then anything": ("tar.zst", lambda: zstd(after(b"")) + b"owned"),
    "zstd, then another": ("tar.zst", lambda: zstd(after(b"")) + zstd(SECOND)),
    "zstd, cut": ("tar.zst", lambda: zstd(after(b""))[:-9]),
    "zstd, a gzip in truth": ("tar.zst", lambda: gzipped(after(b""))),
    "zstd, a window of 2 GB": ("tar.zst", lambda: b"\x28\xb5\x2f\xfd\x00\xa8" + zstd(after(b""))[6:]),
    "zip, a tar in truth": ("zip", lambda: after(b"")),
}


def file_of(document: dict[str, Any], **fields: Any) -> None:
    """Change the entry of the artifact's file in the manifest in the index."""
    document["artifacts"][0]["manifest"]["files"][0].update(fields)


INDEXES: dict[str, Callable[[dict[str, Any]], object]] = {
    **{
        f"file named {name!r}": lambda document, name=name: file_of(document, name=name)
        for name in ("../x", OUTSIDE, "a/b", "..", ".placement", "con", "a\\b", "a\0b", "studеnts.csv", "x" * 201, "")
    },
    **{
        f"manifest at {path!r}": lambda document, path=path: document["artifacts"][0].update(manifest_path=path)
        for path in ("../metadata.json", "/metadata.json", "a//metadata.json", "metadata.json", "C:\\metadata.json")
    },
    **{
        f"archive named {name!r}": lambda document, name=name: document["file"].update(name=name)
        for name in (
            "../x.zip",
            OUTSIDE,
            "students_2026-01-05_01234567.tar.gz",
            "../2026/students_2026-01-05_01234567.zip",
        )
    },
    **{
        f"{key} {value!r:.20}": lambda document, key=key, value=value: document.update({key: value})
        for key, value in (
            ("archive_id", "../../x"),
            ("archive_id", "0" * 32 + "\n"),
            ("archive_id", None),
            ("created_at", "2026-01-05T00:00:00"),
            ("created_at", "now"),
            ("export", "../students"),
            ("export", "students/2026"),
            ("export", "grades"),
            ("format", "rar"),
            ("format", "tar.gz"),
            ("version", 2),
            ("version", "1"),
            ("artifacts", []),
            ("artifacts", {}),
            ("file", None),
        )
    },
    "artifact id with a path": lambda document: document["artifacts"][0]["manifest"].update(artifact_id="../../x"),
    "store with a path": lambda document: document["artifacts"][0].update(store="../local"),
    "two equal artifacts": lambda document: document["artifacts"].append(document["artifacts"][0]),
    "two equal files": lambda document: document["artifacts"][0]["manifest"]["files"].append(
        document["artifacts"][0]["manifest"]["files"][0]
    ),
    "a file named as the manifest": lambda document: file_of(document, name="metadata.json"),
    "negative length": lambda document: file_of(document, bytes=-1),
    "length of 1 EB": lambda document: file_of(document, bytes=10**18),
    "huge length": lambda document: file_of(document, bytes=10**4_000),
    "no hash": lambda document: file_of(document, sha256=""),
    "other hash": lambda document: file_of(document, sha256="0" * 64),
    "other rows": lambda document: file_of(document, rows=7),
    "other run": lambda document: document["artifacts"][0]["manifest"].update(run_id="7"),
    "manifest of 1 TB": lambda document: document["artifacts"][0].update(manifest_bytes=10**12),
    "manifest of other length": lambda document: document["artifacts"][0].update(manifest_bytes=7),
    "manifest with another hash": lambda document: document["artifacts"][0].update(manifest_sha256="0" * 64),
    "archive of another length": lambda document: document["file"].update(bytes=7),
    "archive with another hash": lambda document: document["file"].update(sha256="0" * 64),
    "archive with no hash": lambda document: document["file"].update(sha256=""),
    "swollen with numbers": lambda document: document["artifacts"][0]["manifest"].update(files=[1] * 500_000),
    "swollen with artifacts": lambda document: document.update(artifacts=[{}] * 500_000),
    "nested deeply": lambda document: document.update(artifacts=eval("[" * 90 + "]" * 90)),
}


def snapshot(root: Path) -> dict[str, tuple[Any, ...]]:
    """Everything below `root`, links not followed."""
    found = {}
    for path in sorted(root.rglob("*")):
        told = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(told.st_mode) and told.st_size < 10_000 else b""
        found[str(path)] = (told.st_mode, told.st_ino, told.st_nlink, told.st_mtime_ns, told.st_size, content)
    return found


@contextmanager
def bounded() -> Iterator[None]:
    """At most 10 seconds, and 100 MB more of memory than now, at any time."""
    clear, began = Path("/proc/self/clear_refs"), time.monotonic()
    if clear.exists():
        clear.write_text("5")
    now = resident("VmRSS")
    yield
    assert time.monotonic() - began < 10
    if clear.exists():
        assert resident("VmHWM") - now < 100_000_000


def resident(what: str) -> int:
    try:
        return int(re.findall(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024
    except OSError:
        return 0


class Site:
    """A store with a forged archive, one to restore into, and a directory that must not change."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.vault = LocalStore("vault", root / "vault")
        self.originals = LocalStore("local", root / "originals")
        (root / "canary").mkdir()
        (root / "canary" / "treasure").write_bytes(b"mine")

    def staging(self) -> Staging:
        return self.originals.stage("students/2026-01-05", "7_restore")

    def refuses(self, index_path: str) -> None:
        """Neither way of reading takes the archive, and what is staged is harmless."""
        with bounded(), pytest.raises(DamagedArtifactError) as told:
            reread(self.vault, index_path)
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e]", str(told.value))
        staging = self.staging()
        before = snapshot(self.root)
        with bounded(), pytest.raises(DamagedArtifactError):
            unpack(self.vault, index_path, MANIFEST.artifact_id, staging)
        staged = list(staging.path.iterdir())
        assert [path.name for path in staged] in ([], ["students.csv"])
        assert all(path.is_file() and not path.is_symlink() and path.lstat().st_nlink == 1 for path in staged)
        assert all(path.stat().st_size <= len(DATA) for path in staged)
        self.originals.discard(staging)
        after = {
            path: told for path, told in snapshot(self.root).items() if not path.startswith(str(self.originals.root))
        }
        assert after == {path: told for path, told in before.items() if not path.startswith(str(self.originals.root))}
        assert list(self.originals.walk()) == []
        assert not os.path.lexists(OUTSIDE)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def plant(site: Site, format: str, archive: bytes, change: Callable[[dict[str, Any]], object] | None = None) -> str:
    return forge(site.vault.root, format=format, archive=archive, manifest=MANIFEST, change=change)


HONEST_ARCHIVES = {
    "zip": lambda: zipped(*BOTH),
    "zip, stored": lambda: one(compress_type=zipfile.ZIP_STORED),
    "zip, other order": lambda: zipped(*BOTH[::-1]),
    "tar.gz": lambda: gzipped(after(b"")),
    "tar.zst": lambda: zstd(after(b"")),
    "tar.zst, in two frames": lambda: zstd(after(b"")[:700]) + zstd(after(b"")[700:]),
    "tar.gz, long name": lambda: gzipped(
        record(
            FIRST + block("././@LongLink", CSV.encode() + b"\0", type=tarfile.GNUTYPE_LONGNAME) + block("x", DATA) + END
        )
    ),
}


@pytest.mark.parametrize("case", HONEST_ARCHIVES)
def test_honest_archives_made_the_same_way_are_taken(site: Site, case: str) -> None:
    path = plant(site, case.partition(",")[0], HONEST_ARCHIVES[case]())
    assert reread(site.vault, path).artifacts[0].manifest == MANIFEST
    staging = site.staging()
    assert unpack(site.vault, path, MANIFEST.artifact_id, staging) == MANIFEST.to_json()
    assert (staging.path / "students.csv").read_bytes() == DATA


@pytest.mark.parametrize("case", TARS)
@pytest.mark.parametrize("format", ["tar.gz", "tar.zst"], ids=["gz", "zst"])
def test_hostile_tars(site: Site, case: str, format: str) -> None:
    data = TARS[case]()
    site.refuses(plant(site, format, gzipped(data) if format == "tar.gz" else zstd(data)))


@pytest.mark.parametrize("case", BOMBS)
@pytest.mark.parametrize("format", ["tar.gz", "tar.zst"], ids=["gz", "zst"])
def test_a_gigabyte_of_zeros(site: Site, case: str, format: str) -> None:
    site.refuses(plant(site, format, bomb(format, *BOMBS[case])))


@pytest.mark.parametrize("case", COMPRESSED)
def test_hostile_compression(site: Site, case: str) -> None:
    format, build = COMPRESSED[case]
    site.refuses(plant(site, format, build()))


@pytest.mark.parametrize("case", ZIPS)
def test_hostile_zips(site: Site, case: str) -> None:
    site.refuses(plant(site, "zip", ZIPS[case]()))


@pytest.mark.parametrize("case", INDEXES)
def test_hostile_indexes(site: Site, case: str) -> None:
    site.refuses(plant(site, "zip", zipped(*BOTH), INDEXES[case]))


def test_a_link_in_place_of_the_archive(site: Site) -> None:
    path = plant(site, "zip", zipped(*BOTH))
    archive = site.vault.root / path.replace(".archive.json", ".zip")
    archive.rename(site.root / "elsewhere.zip")
    archive.symlink_to(site.root / "elsewhere.zip")
    site.refuses(path)


def test_an_index_of_1_gb(site: Site) -> None:
    path = plant(site, "zip", zipped(*BOTH))
    os.truncate(site.vault.root / path, GIGABYTE)
    site.refuses(path)
