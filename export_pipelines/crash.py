"""Crash on purpose, to test what is left: `EXPORT_CRASH_AT=<point>:<signal>`, inert unless it is set.

A process sends itself the signal when it passes the point for the first time. `KILL` ends it there, `TERM` and `INT`
ask it to end, `STOP` suspends it until somebody sends it CONT.
"""

from __future__ import annotations

import os
import signal
from functools import cache

from export_pipelines.errors import ConfigurationError

VARIABLE = "EXPORT_CRASH_AT"
POINTS = (
    "lease_taken",
    "query_open",
    "half_rows",
    "file_closed",
    "fsynced",
    "moved",
    "manifest_written",
    "ledger_committed",
    "materialized",
    "lease_released",
    "plan_made",
    "archive_written",
    "archive_verified",
    "manifest_deleted",
    "source_deleted",
    "deletion_recorded",
)
"""In the order in which a run, and then retention, passes them. A new one is a line here and a call of `passing`."""

SIGNALS = {name: signal.Signals[f"SIG{name}"] for name in ("KILL", "TERM", "INT", "STOP")}


def passing(point: str) -> None:
    """Send this process its signal if it is to crash here. Raises ConfigurationError if the variable is wrong."""
    armed = _armed()
    if armed and armed.get(point):
        # To this thread: a signal to the process may reach another one, and this one would go on for a moment.
        signal.raise_signal(armed.pop(point))


@cache
def _armed() -> dict[str, signal.Signals]:
    """Point -> signal, at most one; read once."""
    text = os.environ.get(VARIABLE, "")
    if not text:
        return {}
    point, _, name = text.partition(":")
    if point not in POINTS or name not in SIGNALS:
        known = f"<point>:<signal> with a point of {', '.join(POINTS)} and a signal of {', '.join(SIGNALS)}"
        raise ConfigurationError(f"environment variable {VARIABLE} is {text!r}", hint=f"Write {known}, or unset it")
    return {point: SIGNALS[name]}
