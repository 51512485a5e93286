"""Artifacts to archive, made without an export, and archives with their indexes, honest or not."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from export_pipelines.ledger.artifacts import ArtifactRow, open_artifact
from export_pipelines.retention.archive_plan import ArchivePlan, plan_archive
from export_pipelines.retention.archive_read import unpack
from export_pipelines.spec.retention import ArchiveFormat
from export_pipelines.storage.base import Placement, Store
from export_pipelines.storage.local import LocalStore
from export_pipelines.storage.manifest import FileEntry, Manifest, WindowUtc

FORMATS: list[ArchiveFormat] = ["zip", "tar.gz", "tar.zst"]
CREATED = datetime(2026, 1, 6, 1, 2, 3, 456789, tzinfo=UTC)

CSV = b"id,name\r\n" + b"".join(b"%d,Zo\xc3\xab\r\n" % number for number in range(20_000))
FILES = {"students.csv": CSV, "empty.csv": b"", "students.parquet": os.urandom(70_000), "grades.csv.gz": b"\x1f\x8b"}


def manifest_of(files: Mapping[str, bytes], *, day: int = 5, export: str = "students") -> Manifest:
    """The manifest of an artifact of a day in January 2026, or later if `day` is above 31."""
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day - 1)
    entries = [
        FileEntry(
            name=name,
            dataset=None,
            format=name.rpartition(".")[2],
            media_type="text/plain",
            rows=1,
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        for name, data in files.items()
    ]
    return Manifest(
        artifact_id=uuid4().hex,
        export=export,
        partition=f"{start:%Y-%m-%d}",
        window=WindowUtc(start=start, end=start + timedelta(days=1)),
        scheduled_at=None,
        run_id=uuid4().hex,
        created_at=CREATED,
        spec_sha256="0" * 64,
        rows={"students": 1},
        seconds=0.1234567,
        files=entries,
        schemas={},
    )


def publish(
    store: Store, files: Mapping[str, bytes], *, day: int = 5, directory: str = "{partition}/students"
) -> ArtifactRow:
    """Publish an artifact; an empty directory is the root, in the flat layout."""
    manifest = manifest_of(files, day=day)
    where = directory.format(partition=manifest.partition)
    name = "metadata.json" if where else f"{manifest.partition}.metadata.json"
    placement = Placement(directory=where, manifest_name=name, shared=not where)
    staging = store.stage(f"students/{manifest.partition}", manifest.run_id)
    for file, data in files.items():
        with staging.create(file) as out:
            out.write(data)
    store.publish(staging, placement, manifest.files, manifest=manifest.to_json())
    return open_artifact(store, placement.manifest_path)


def unpacked(target: Store, index_path: str, row: ArtifactRow, store: Store) -> dict[str, bytes]:
    """What is restored of one artifact: name -> bytes, the manifest under `manifest`."""
    staging = store.stage("students/restored", uuid4().hex)
    manifest = unpack(target, index_path, row.manifest.artifact_id, staging)
    found = {path.name: path.read_bytes() for path in staging.path.iterdir()}
    assert {path.stat().st_mode & 0o777 for path in staging.path.iterdir()} <= {0o600}
    store.discard(staging)
    return {**found, "manifest": manifest}


def everything(store: LocalStore) -> dict[str, bytes]:
    """All files of the store: path -> bytes."""
    return {str(p.relative_to(store.root)): p.read_bytes() for p in sorted(store.root.rglob("*")) if p.is_file()}


def plan_for(rows: list[ArtifactRow], format: ArchiveFormat, what: str = "2026-01") -> ArchivePlan:
    """The plan of an archive of these artifacts."""
    return plan_archive(rows, what=what, format=format, archive_id=uuid4().hex, created_at=CREATED)


def sealed(document: dict[str, Any]) -> bytes:
    """The document as an index with the right hash at its end."""
    head = json.dumps(document, indent=2).removesuffix("\n}") + ',\n  "sha256": "'
    return f'{head}{hashlib.sha256(head.encode()).hexdigest()}"\n}}\n'.encode()


def forge(
    root: Path, *, format: str, archive: bytes, manifest: Manifest, change: Callable[[dict[str, Any]], object] | None
) -> str:
    """Write an archive of one artifact, whatever its bytes are, and an index that agrees; returns the index's path.

    The artifact is where `MEMBERS` of the tests say; `change` changes the index as a dictionary.
    """
    stem, data = "students_2026-01-05_01234567", manifest.to_json()
    document: dict[str, Any] = {
        "version": 1,
        "archive_id": "0123456789abcdef0123456789abcdef",
        "created_at": CREATED.isoformat(),
        "export": "students",
        "format": format,
        "file": {
            "name": f"{stem}.{format}",
            "dataset": None,
            "format": format,
            "media_type": "application/octet-stream",
            "rows": 0,
            "bytes": len(archive),
            "sha256": hashlib.sha256(archive).hexdigest(),
        },
        "artifacts": [
            {
                "store": "local",
                "manifest_path": "2026-01-05/students/metadata.json",
                "manifest": json.loads(data),
                "manifest_sha256": hashlib.sha256(data).hexdigest(),
                "manifest_bytes": len(data),
            }
        ],
    }
    if change:
        change(document)
    directory = root / "students" / "2026"
    directory.mkdir(parents=True)
    (directory / f"{stem}.{format}").write_bytes(archive)
    (directory / f"{stem}.archive.json").write_bytes(sealed(document))
    return f"students/2026/{stem}.archive.json"
