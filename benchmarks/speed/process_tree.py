"""The CPU seconds of a process and of all that it has started, by what /proc tells."""

from __future__ import annotations

import os
from pathlib import Path


def cpu_seconds(root: int) -> float:
    """User and system time of the process, of those below it, and of those that they have waited for."""
    stats = _stats()
    wanted = {root}
    while more := {pid for pid, fields in stats.items() if int(fields[1]) in wanted} - wanted:
        wanted |= more
    ticks = sum(int(ticks) for pid in wanted & stats.keys() for ticks in stats[pid][11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def child(of: int, words: str) -> int:
    """The process that this one has started whose command line holds these words."""
    for pid, fields in _stats().items():
        if int(fields[1]) == of and words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "):
            return pid
    raise LookupError(f"process {of} has no child {words!r}")


def _stats() -> dict[int, list[str]]:
    """Process -> the fields of its `stat` that follow its name."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            found[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
    return found
