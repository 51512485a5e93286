"""Retention passes that end by a signal at a chosen point, what they leave, and what the next pass makes of it (I10).

The oracle knows the artifacts by their bytes before the pass. It reads stores and archives with nothing of the package.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from export_pipelines.crash import POINTS, VARIABLE
from export_pipelines.ledger import artifacts, deletions
from export_pipelines.project import Project
from export_pipelines.retention.passes import Order, Pass
from export_pipelines.retention.prune import prune
from export_pipelines.retention.report import Outcome
from export_pipelines.verify import verify
from export_pipelines_tests.forks import Ended, Forks
from export_pipelines_tests.projects import environment, project

OF_PRUNING = tuple(POINTS[POINTS.index("plan_made") :])
KEPT_DAYS = 20

Files = dict[str, bytes]


@dataclass(frozen=True)
class Store:
    """A project with daily artifacts of which some are too old, and all its files as they were at first."""

    root: Path
    made: Project
    before: Files
    old: frozenset[str]
    """Ids of those that the policy does not keep."""

    @classmethod
    def at(cls, root: Path, archive: dict[str, Any] | bool, *, layout: str = "artifact", percent: int = 60) -> Store:
        """A new project with one artifact a day of eight days; the older half of them is to go."""
        days = 8
        root.mkdir(exist_ok=True, parents=True)
        newest = datetime.now(UTC) - timedelta(days=KEPT_DAYS - days // 2 + 1)
        entry = {
            "layout": layout,
            "retention": {"keep_days": KEPT_DAYS, "archive": archive, "max_delete_percent": percent},
            "formats": ["csv", "jsonl"],
        }
        stores = {"vault": {"type": "local", "root": str(root / "vault")}}
        made = project(root, {"students": entry}, stores=stores)
        ids = []
        for ago in reversed(range(days)):  # what was published last stays
            partition = f"{newest - timedelta(days=ago):%Y-%m-%d}"
            run = made.run(made.request("students", partition, run_id=uuid.uuid4().hex))
            ids.append(run.manifest.artifact_id)
        return cls(root, made, files(root / "out"), frozenset(ids[: days // 2]))

    def prune(self, **order: Any) -> Outcome:
        """One undisturbed pass in this process."""
        return prune(Pass(self.made, Order(by="test", now=datetime.now(UTC), **order)))


def files(directory: Path) -> Files:
    """Every file below the directory: path -> bytes."""
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def manifests(found: Files) -> dict[str, dict[str, Any]]:
    """Path -> content of every manifest outside of staging."""
    names = [path for path in found if path.endswith("metadata.json") and not path.startswith(".staging")]
    return {path: json.loads(found[path]) for path in names}


def archived(vault: Path) -> list[Files]:
    """The members of every archive that has an index."""
    found = files(vault) if vault.exists() else {}
    stems = [path.removesuffix(".archive.json") for path in found if path.endswith(".archive.json")]
    return [
        members(path, data)
        for path, data in found.items()
        if any(path.startswith(stem + ".") for stem in stems)
        if not path.endswith(".json")
    ]


def members(name: str, data: bytes) -> Files:
    """The members of one archive."""
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {info.filename: archive.read(info) for info in archive.infolist()}
    if name.endswith(".zst"):
        data = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz" if name.endswith(".gz") else "r:") as tar:
        return {info.name: reader.read() for info in tar if (reader := tar.extractfile(info))}


def exports_prune(forks: Forks, root: Path, at: str) -> Ended:
    """`exports prune`, ended at that point."""
    return forks.run(["prune", "--json"], environment(root, **{VARIABLE: at}))


def unsafe(store: Store, *, must_archive: bool) -> Iterator[str]:
    """What is wrong at any moment: bytes that are nowhere, and artifacts that can be seen and are not whole."""
    now, copies = files(store.root / "out"), archived(store.root / "vault")
    for path, manifest in manifests(store.before).items():
        directory = path.rpartition("/")[0]
        own = [path, *(f"{directory}/{file['name']}".lstrip("/") for file in manifest["files"])]
        live = all(now.get(name) == store.before[name] for name in own)
        copied = any(all(copy.get(name) == store.before[name] for name in own) for copy in copies)
        gone = manifest["artifact_id"] in store.old
        if path in now and not live:
            yield f"{path} is visible and its files are not whole"
        if not live and not gone:
            yield f"{path} is kept by the policy and was touched"
        if not live and must_archive and not copied:
            yield f"{path} is neither in the store nor in an archive"
    listed = {hashlib.sha256(data).hexdigest() for data in store.before.values()}
    for copy in copies:
        yield from (
            f"{name} in an archive differs"
            for name, data in copy.items()
            if hashlib.sha256(data).hexdigest() not in listed
        )


def unfinished(store: Store) -> Iterator[str]:
    """What is wrong after a pass that nobody disturbed."""
    now = files(store.root / "out")
    gone = {path for path, manifest in manifests(store.before).items() if manifest["artifact_id"] in store.old}
    expected = {path for path, manifest in manifests(store.before).items() if path not in gone}
    if set(manifests(now)) != expected:
        yield f"manifests left: {sorted(manifests(now))}"
    kept = {path: data for path, data in store.before.items() if path in now}
    if now != kept:
        yield f"left over: {sorted(now.keys() - kept.keys())}"
    if len(now) != 3 * len(expected):
        yield f"{len(now)} files are left of {len(expected)} artifacts"
    for directory in (store.root / "out", store.root / "vault"):
        if (directory / ".staging").exists():
            yield f"staging is left in {directory.name}"
        yield from (f"empty: {p}" for p in directory.rglob("*") if p.is_dir() and not any(p.iterdir()))
    for name in store.made.specs.stores:
        yield from (str(found) for found in verify(store.made.store(name), store.made.ledger).problems)
    if left := deletions.underway(store.made.ledger):
        yield f"deletions underway: {left}"
    recorded = {row.manifest.artifact_id for row in artifacts.find(store.made.ledger, deleted=True)}
    if recorded != store.old:
        yield f"the ledger has {sorted(recorded)} as deleted"


def violations(store: Store, forks: Forks, at: str, *, must_archive: bool) -> Iterator[str]:
    """End a pass at that point, look at what is left, prune again, look again: what should be otherwise."""
    ended = exports_prune(forks, store.root, at)
    point, _, name = at.partition(":")
    if ended.code == 0 and (must_archive or not point.startswith("archive")):
        yield f"ended as if nothing had happened: {ended.stderr[-500:]}"
    if name == "KILL" and ended.code not in (0, -signal.SIGKILL):
        yield f"ended with {ended.code}, not by the signal: {ended.stderr[-500:]}"
    if ended.code == -signal.SIGALRM:
        yield "hung"
    yield from unsafe(store, must_archive=must_archive)
    outcome = store.prune()
    yield from outcome.errors
    yield from unsafe(store, must_archive=must_archive)
    yield from unfinished(store)
    copies = archived(store.root / "vault")
    if sum(len(copy) for copy in copies) != (3 * len(store.old) if must_archive else 0):
        yield f"archived: {[sorted(copy) for copy in copies]}"


def flipped(store: Store, share: float) -> Iterator[str]:
    """Flip a bit of the first archive after it was written and before it is read again; what should be otherwise."""
    words = [sys.executable, "-m", "export_pipelines.cli.main", "prune", "--json"]
    environ = os.environ | environment(store.root, **{VARIABLE: "archive_written:STOP"})
    with subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        (path,) = (p for p in (store.root / "vault").rglob("students_*") if not p.name.endswith(".json"))
        data = bytearray(path.read_bytes())
        data[int(share * (len(data) - 1))] ^= 1
        path.write_bytes(data)
        process.send_signal(signal.SIGCONT)
        stdout, stderr = process.communicate()
    yield from unsafe(store, must_archive=True)
    if process.returncode != 1 or path.name not in str(json.loads(stdout)["errors"]):
        yield f"the damage at {share:.2f} was not told: {process.returncode} {stdout[-300:]} {stderr[-300:]}"
    if path.exists():
        yield "the damaged archive is still there"
    store.prune()
    yield from unsafe(store, must_archive=True)
    yield from unfinished(store)
