"""Who holds a lease, precisely enough to see from the same machine that it died."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path


def holder_of_this_process() -> str:
    """`host/machine/pid/start`: the host's name, its boot and process namespace, the process and when it began."""
    pid = os.getpid()
    return f"{socket.gethostname()}/{_machine()}/{pid}/{_started(pid)}"


def is_dead(holder: str) -> bool:
    """Whether the holder is certainly gone. False whenever it may run on another machine or container."""
    parts = holder.split("/")
    if len(parts) != 4 or not parts[2].isdigit() or not _machine() or parts[1] != _machine():
        return False
    return _started(int(parts[2])) != parts[3]


@cache
def _machine() -> str:
    """This boot of this machine and this process namespace, or "" where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When the process began, in clock ticks since boot; "" if it is gone, a zombie, or the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
