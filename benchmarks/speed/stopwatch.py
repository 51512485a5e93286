"""What a piece of work costs: seconds, CPU seconds of this process, its children and a server, and peak memory.

Needs the standard library only: the peers run in an environment of their own.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")


def job() -> dict[str, Any]:
    """What this side is to do, as the harness says on the command line."""
    found: dict[str, Any] = json.loads(sys.argv[1])
    return found


@contextmanager
def measured(what: dict[str, Any], *, rows: int | None = None) -> Iterator[dict[str, Any]]:
    """Print the cost of the block, with what the block puts into the dictionary. `rows` is the job's, if not given."""
    more: dict[str, Any] = {}
    postmaster = what.get("postmaster")
    resting = set(_children(postmaster))
    began, cpu, served = time.perf_counter(), own_cpu(), server_cpu(postmaster)
    yield more
    seconds, cpu = time.perf_counter() - began, own_cpu() - cpu
    deadline = time.monotonic() + 20
    while open_ := set(_children(postmaster)) - resting:  # the server counts a process when it has ended
        if time.monotonic() > deadline:
            raise SystemExit(f"connections are still open: processes {open_}")
        time.sleep(0.01)
    served = server_cpu(postmaster) - served
    found = {"rows": rows or what["rows"], "seconds": seconds, "cpu": cpu + served, "peak_mb": peak_mb()}
    sys.stdout.write(json.dumps({**found, **more}) + "\n")


def server_cpu(postmaster: int | None) -> float:
    """CPU seconds of a PostgreSQL server so far: its processes, and those that have ended."""
    if postmaster is None:
        return 0.0
    live = [postmaster, *(int(child) for child in _children(postmaster))]
    return sum(_stat(pid, (13, 14)) for pid in live) + _stat(postmaster, (15, 16))


def peak_mb() -> float:
    """The most memory that this process has had, in megabytes (10^6 bytes); of a child, if that had more."""
    own = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(int(own[1]) if own else 0, children) * 1024 / 1e6


def own_cpu() -> float:
    """CPU seconds of this process so far, and of its children that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _children(pid: int | None) -> list[str]:
    if pid is None:
        return []
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _stat(pid: int, fields: tuple[int, ...]) -> float:
    """The sum of these fields of /proc/PID/stat, in seconds; 0 if the process has ended."""
    try:
        values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(values[field - 2]) for field in fields) / _TICKS
