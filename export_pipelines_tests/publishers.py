"""Processes that publish one big export, what kills them, and what they leave."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from export_pipelines.project import Project
from export_pipelines_tests.projects import environment, project

PUBLISH = """
import sys, uuid
import export_pipelines.export, export_pipelines.sources.sqlite
import export_pipelines.formats.csv, export_pipelines.formats.jsonl, export_pipelines.formats.parquet
from export_pipelines.errors import ExportError
from export_pipelines.project import Project
made = Project.load()
print("ready", flush=True)
try:
    made.run(made.request("big", "2026-01-05", run_id=uuid.uuid4().hex))
except ExportError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@dataclass
class Left:
    """The files outside staging: all of them, those of a manifest, and what is wrong with them (I1, I2)."""

    files: set[str]
    listed: set[str]
    violations: list[str] = field(default_factory=list)


def big_project(root: Path, *, rows: int, batch_rows: int = 5000, **entry: object) -> Project:
    """A project whose export `big` has that many rows."""
    with sqlite3.connect(root / "school.db") as connection:
        connection.execute("create table numbers (id integer, name text, amount decimal(12,2))")
        values = ((n, f"name of {n}", n / 100) for n in range(rows))
        connection.executemany("insert into numbers values (?, ?, ?)", values)
    connection.close()
    datasets = {"numbers": {"table": "numbers"}}
    connections = {"school": {"url": f"sqlite:///{root}/school.db", "batch_rows": batch_rows}}
    return project(root, {"big": {"datasets": datasets, "formats": ["csv", "jsonl"], **entry}}, connections=connections)


def publishing(root: Path) -> subprocess.Popen[str]:
    """A process that has loaded everything and is about to publish."""
    process = subprocess.Popen(
        [sys.executable, "-c", PUBLISH],
        env=os.environ | environment(root),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def killed(process: subprocess.Popen[str], moments: random.Random, seconds: float) -> bool:
    """Whether SIGKILL, at a random moment within `seconds`, came before the process ended."""
    try:
        process.wait(timeout=moments.random() * seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait() == -signal.SIGKILL
    return False


def left(root: Path) -> Left:
    """What a reader who knows nothing but manifests finds below the store's root; staging is left out."""
    out = root / "out"
    files = {p for p in out.rglob("*") if not p.is_dir() and ".staging" not in p.parts}
    manifests = {p for p in files if p.name.endswith("metadata.json")}
    listed = set(manifests)
    wrong = []
    for manifest in manifests:
        for entry in json.loads(manifest.read_bytes())["files"]:
            path = manifest.parent / entry["name"]
            listed.add(path)
            data = path.read_bytes() if path.is_file() else None
            if data is None or (len(data), hashlib.sha256(data).hexdigest()) != (entry["bytes"], entry["sha256"]):
                wrong.append(f"{path}: not what {manifest.name} says")
    cut = [p for p in files - listed if p.suffix == ".csv" and not p.read_bytes().endswith(b"\n")]
    wrong += [f"{path}: visible with partial content" for path in cut]
    names = [{p.relative_to(out).as_posix() for p in paths} for paths in (files, listed)]
    return Left(*names, violations=wrong)
