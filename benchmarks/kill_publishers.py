"""Kill a publisher at random moments and look at what is left.

    python benchmarks/kill_publishers.py [--kills 50] [--rows 500000] [--seed 1] [--layout artifact|flat]

Each round starts a process that publishes the same partition, kills it with SIGKILL at a random moment of its run, and
checks from outside that every file with a final name is listed by a manifest with equal size and SHA-256. At the end
one run publishes; then nothing may be left but complete artifacts. Exits with 1 if a check fails or too few runs were
killed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

PUBLISH = """
import sys, uuid
from export_pipelines.project import Project
import export_pipelines.formats.csv, export_pipelines.formats.parquet, export_pipelines.sources.sqlite
made = Project.load()
print("ready", flush=True)
made.run(made.request("big", "2026-01-05", run_id=uuid.uuid4().hex))
"""


def prepare(root: Path, rows: int, layout: str) -> None:
    """A database with one table, and the spec of an export of it."""
    with sqlite3.connect(root / "big.db") as connection:
        connection.execute("create table numbers (id integer, name text, amount decimal(12,2), day date)")
        values = ((n, f"näme {n}", n / 100, f"2026-01-{n % 28 + 1:02}") for n in range(rows))
        connection.executemany("insert into numbers values (?, ?, ?, ?)", values)
    connection.close()
    export = {
        "source": "big",
        "datasets": {"numbers": {"table": "numbers"}},
        "formats": ["csv", "parquet"],
        "layout": layout,
    }
    (root / "specs").mkdir()
    document = {"connections": {"big": {"url": f"sqlite:///{root}/big.db"}}, "exports": {"big": export}}
    (root / "specs" / "big.yaml").write_text(yaml.safe_dump(document))


def start(root: Path) -> subprocess.Popen[str]:
    """A process that is about to publish."""
    variables = {
        "EXPORT_SPECS": f"{root}/specs",
        "EXPORT_STORAGE_PATH": f"{root}/out",
        "EXPORT_STATE_PATH": f"{root}/state",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", PUBLISH], env=os.environ | variables, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    if process.stdout.readline() != "ready\n":
        raise SystemExit("the publisher did not start")
    return process


def violations(root: Path) -> list[str]:
    """What is wrong with the files that have a final name."""
    found = []
    out = root / "out"
    files = {p for p in out.rglob("*") if p.is_file() and ".staging" not in p.parts}
    manifests = {p for p in files if p.name.endswith("metadata.json")}
    listed = set(manifests)
    for manifest in manifests:
        for entry in json.loads(manifest.read_bytes())["files"]:
            path = manifest.parent / entry["name"]
            listed.add(path)
            data = path.read_bytes() if path.is_file() else b""
            if len(data) != entry["bytes"] or hashlib.sha256(data).hexdigest() != entry["sha256"]:
                found.append(f"{path}: not what {manifest.name} says")
    complete_lines = {p: p.read_bytes().endswith(b"\n") for p in files - listed if p.suffix == ".csv"}
    found += [f"{path}: visible with partial content" for path, complete in complete_lines.items() if not complete]
    return found


def main() -> int:
    """Run all rounds and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--layout", choices=["artifact", "flat"], default="artifact")
    options = parser.parse_args()
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        prepare(root, options.rows, options.layout)
        process = start(root)
        began = time.monotonic()
        process.wait()
        seconds = time.monotonic() - began
        print(f"one undisturbed run of {options.rows:,} rows takes {seconds:.2f} s")
        killed, tries, wrong = 0, 0, []
        while killed < options.kills and tries < 3 * options.kills:
            tries += 1
            process = start(root)
            try:
                process.wait(timeout=moments.random() * seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                killed += process.wait() == -signal.SIGKILL
            wrong += [f"after kill {killed}: {text}" for text in violations(root)]
        last = start(root).wait()
        leftovers = [str(p) for p in (root / "out").rglob("*") if ".staging" in p.parts]
        artifacts = len(list((root / "out").rglob("*metadata.json")))
        wrong += violations(root) + [f"left over: {path}" for path in leftovers]
        print(f"faults_injected={killed} runs={tries + 2} artifacts={artifacts}", end=" ")
        print(f"violations={len(wrong)} last_exit={last}")
        print("\n".join(wrong[:20]))
        return 1 if wrong or killed < options.kills or last else 0


if __name__ == "__main__":
    raise SystemExit(main())
