"""A small disk that fills up while Dagster publishes a big export, again and again, and then has space.

    python -m export_pipelines_tests.full_disks DIRECTORY --disk-mb 64 --export-mb 200 --times 10

mounts a tmpfs and therefore wants a mount namespace of its own: `rounds` runs it in one, and reads the JSON it prints.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
import uuid
from functools import cache
from pathlib import Path
from typing import Any

NAMESPACE = ["unshare", "--map-root-user", "--mount"]
DAY = "2026-01-05"
_ROW_BYTES = 1000


@cache
def why_not() -> str:
    """Why no small disk can be mounted here; "" if one can."""
    if not shutil.which("unshare"):
        return "unshare is not installed"
    mount = "mount -t tmpfs -o size=1m tmpfs /mnt"
    tried = subprocess.run([*NAMESPACE, "sh", "-c", mount], capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"no tmpfs may be mounted: {tried.stderr.strip()}"


def rounds(root: Path, *, disk_mb: int, export_mb: int, times: int) -> dict[str, Any]:
    """What was seen: `seconds` of each failed run, `wrong`, and `faults_injected`."""
    command = [*NAMESPACE, sys.executable, "-m", __name__, str(root)]
    options = ["--disk-mb", str(disk_mb), "--export-mb", str(export_mb), "--times", str(times)]
    done = subprocess.run([*command, *options], stdout=subprocess.PIPE, text=True, check=True)
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


def _fill(root: Path, disk_mb: int, export_mb: int, times: int) -> dict[str, Any]:
    from export_pipelines.ledger import runs
    from export_pipelines.verify import verify
    from export_pipelines_tests.projects import published_files
    from export_pipelines_tests.publishers import left

    out = root / "out"
    out.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={disk_mb}m", "tmpfs", str(out)], check=True)
    made = _project(root, export_mb)
    made.run(made.request("small", DAY, run_id=uuid.uuid4().hex))
    earlier, seconds, wrong, full = published_files(root), [], [], 0
    for number in range(1, times + 1):
        began = time.monotonic()
        told = _materialize(made)
        seconds.append(round(time.monotonic() - began, 1))
        full += "disk is full: free space" in told
        attempts = len([row for row in runs.recent(made.ledger) if row.export == "big"])
        checks = {
            f"the disk is not named: {told}": f"{out}/" in told and "No space left on device" in told,
            f"{attempts} attempts after {number} runs": attempts == number,
            "other files than before": published_files(root) == earlier,
            "staging is not empty": not (out / ".staging").exists(),
        }
        wrong += [f"round {number}: {text}" for text, held in checks.items() if not held]
    subprocess.run(["mount", "-o", f"remount,size={4 * (disk_mb + export_mb)}m", str(out)], check=True)
    wrong += [f"with space again: {told}" for told in [_materialize(made)] if told]
    found = left(root)
    wrong += found.violations + [f"left over: {path}" for path in sorted(found.files - found.listed)]
    wrong += [f"changed: {path}" for path, data in earlier.items() if published_files(root)[path] != data]
    wrong += [str(problem) for problem in verify(made.store("local"), made.ledger).problems]
    wrong += [] if sum(p.stat().st_size for p in out.rglob("*.csv")) > export_mb * 1e6 else ["too small an export"]
    return {"faults_injected": full, "seconds": seconds, "wrong": wrong}


def _project(root: Path, export_mb: int) -> Any:
    from export_pipelines_tests.projects import project

    with sqlite3.connect(root / "school.db") as connection:
        connection.execute("create table numbers (id integer, name text)")
        rows = export_mb * 1_000_000 // (_ROW_BYTES + 6) + 1_000
        names = ((n, f"{n:0{_ROW_BYTES}}") for n in range(rows))
        connection.executemany("insert into numbers values (?, ?)", names)
    connection.close()
    connections = {"school": {"url": f"sqlite:///{root}/school.db", "batch_rows": 1000}}
    big = {"datasets": {"numbers": {"table": "numbers"}}, "retries": {"max_retries": 3, "delay_seconds": 0.1}}
    small = {"datasets": {"numbers": {"sql": "select * from numbers where id < 10"}}}
    return project(root, {"big": big, "small": small}, connections=connections)


def _materialize(made: Any) -> str:
    """Run the big export as Dagster does; what the failed step says, or ""."""
    import dagster as dg

    from export_pipelines.orchestration.assets import export_asset
    from export_pipelines.orchestration.io_managers import io_manager

    result = dg.materialize(
        [export_asset(made, made.export("big"))],
        partition_key=DAY,
        resources={"artifacts_local": io_manager(made, "local")},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    told = [event.step_failure_data.error_display_string for event in result.get_step_failure_events()]
    return "" if result.success else "\n".join(told) or "failed without a word"


def main() -> int:
    """Fill the disk and print what was seen as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    for name in ("--disk-mb", "--export-mb", "--times"):
        parser.add_argument(name, type=int, required=True)
    options = parser.parse_args()
    seen = _fill(options.root, options.disk_mb, options.export_mb, options.times)
    sys.stdout.write(f"{json.dumps(seen)}\n")
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    raise SystemExit(main())
