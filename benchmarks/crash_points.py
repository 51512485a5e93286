"""End runs by SIGKILL, SIGTERM and SIGINT at every point of publishing, and look at what is left.

    python benchmarks/crash_points.py [--rounds 1] [--only dagster|exports]

Each case publishes a small export once, runs it again as a process that sends itself the signal at the point, checks
from outside that nothing half done is visible and that earlier files are as they were, and runs it a last time: then
the newest artifact is whole, nothing is left over, and the ledger tells of every attempt what came of it. Both layouts;
`exports run` and `dagster asset materialize`. Exits with 1 if a check fails.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from itertools import product
from pathlib import Path

from export_pipelines_tests.crashes import (
    ENDING,
    LAYOUTS,
    OF_COMMANDS,
    OF_PUBLISHING,
    Crash,
    Scene,
    exports_run,
    materialize,
    violations,
)
from export_pipelines_tests.forks import DAGSTER, EXPORTS, forks

_COMMANDS = {"exports": (EXPORTS, exports_run, OF_COMMANDS), "dagster": (DAGSTER, materialize, OF_PUBLISHING)}


def main() -> int:
    """Run all cases and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=_COMMANDS)
    options = parser.parse_args()
    injected, wrong, began = 0, [], time.monotonic()
    for name in [options.only] if options.only else _COMMANDS:
        command, run, points = _COMMANDS[name]
        with tempfile.TemporaryDirectory() as directory, forks(command, Path(directory)) as child:
            scenes = {layout: Scene.at(Path(directory) / layout, layout) for layout in LAYOUTS}
            for _, layout, point, signal in product(range(options.rounds), LAYOUTS, points, ENDING):
                crash, scene = Crash(point, signal, layout), scenes[layout]
                found = list(violations(scene, crash, partial(run, child, scene)))
                injected += not any("as if nothing" in text for text in found)
                wrong += [f"{name} {crash}: {text}" for text in found]
    print("\n".join(wrong[:40]))
    print(f"faults_injected={injected} violations={len(wrong)} seconds={time.monotonic() - began:.0f}")
    return 1 if wrong or not injected else 0


if __name__ == "__main__":
    raise SystemExit(main())
