"""What a person waits for: the code location and commands with 1,000 exports, plans over 100,000 artifacts."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.speed.many import fill_ledger, write_exports
from benchmarks.speed.race import Result
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.settings import load_settings

EXPORTS = 1000
ARTIFACTS = 100_000
_LIST = "exports list, 1,000 exports"
_LOCATION = "code location with 1,000 exports"
_ASKED = {
    "planning retention, 100,000 artifacts": ["prune", "--dry-run", "--json"],
    "exports artifacts, 100,000 artifacts": ["artifacts"],
    "exports stats, 100,000 artifacts": ["stats"],
}
_WITHOUT_DAGSTER = """
import sys
from export_pipelines.cli.main import main
sys.argv = ["exports", "list"]
try:
    main()
except SystemExit as end:
    code = end.code or 0
print("dagster" in sys.modules, code, file=sys.stderr)
"""


def commands(only: str, *, rounds: int, scale: float) -> Iterator[Result]:
    """Seconds that each takes; the code location's are those beyond `import dagster`."""
    with tempfile.TemporaryDirectory(prefix="many-") as directory:
        # An installed package has bytecode; a test environment may forbid to write it, and compile each time.
        environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **write_exports(Path(directory), EXPORTS)}
        if only in _LOCATION:
            yield _location(environ, rounds)
        if only in _LIST:
            yield _list(environ, rounds)
        asked = {name: arguments for name, arguments in _ASKED.items() if only in name}
        if asked:
            fill_ledger(Ledger(load_settings(environ).ledger_url), int(ARTIFACTS * scale))
        for name, arguments in asked.items():
            seconds = [
                _seconds([sys.executable, "-m", "export_pipelines.cli.main", *arguments], environ)
                for _ in range(rounds)
            ]
            yield _at_most(name, seconds, 2.0)


def _location(environ: dict[str, str], rounds: int) -> Result:
    load = "from export_pipelines.definitions import defs; len(defs().get_repository_def().get_all_jobs())"
    differences = []
    for _ in range(rounds):
        alone = _seconds([sys.executable, "-c", "import dagster"], environ)
        differences.append(_seconds([sys.executable, "-c", load], environ) - alone)
    return _at_most(_LOCATION, differences, 3.0, against="import dagster")


def _list(environ: dict[str, str], rounds: int) -> Result:
    checked = subprocess.run(
        [sys.executable, "-c", _WITHOUT_DAGSTER], env=environ, check=True, capture_output=True, text=True
    )
    clean = checked.stderr.split()[-2:] == ["False", "0"]
    seconds = [_seconds([sys.executable, "-m", "export_pipelines.cli.main", "list"], environ) for _ in range(rounds)]
    found = _at_most(_LIST, seconds, 0.7)
    return Result(**{**found.__dict__, "passed": found.passed and clean, "note": "no dagster" if clean else "dagster!"})


def _at_most(name: str, seconds: Sequence[float], most: float, *, against: str = "–") -> Result:
    value = statistics.median(seconds)
    spread = (min(seconds), max(seconds))
    return Result(name, against, value, f"≤ {most:g} s", value <= most, spread)


def _seconds(command: Sequence[str], environ: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began
