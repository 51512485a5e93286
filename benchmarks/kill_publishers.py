"""Kill a publisher at random moments and look at what is left.

    python benchmarks/kill_publishers.py [--kills 50] [--rows 500000] [--seed 1] [--layout artifact|flat]

Each round starts a process that publishes the same partition, kills it with SIGKILL at a random moment of its run, and
checks from outside that the files of every manifest have its size and SHA-256, and that no other CSV file is cut. At
the end one run publishes; then every file is listed by a manifest and staging is empty. Exits with 1 if a check fails
or too few runs were killed.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from export_pipelines_tests.publishers import big_project, killed, left, publishing


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
        big_project(root, rows=options.rows, layout=options.layout, formats=["csv", "parquet"])
        process = publishing(root)
        began = time.monotonic()
        process.wait()
        seconds = time.monotonic() - began
        print(f"one undisturbed run of {options.rows:,} rows takes {seconds:.2f} s")
        kills, tries, wrong = 0, 0, []
        while kills < options.kills and tries < 3 * options.kills:
            tries += 1
            kills += killed(publishing(root), moments, seconds)
            wrong += [f"after kill {kills}: {text}" for text in left(root).violations]
        last = publishing(root).wait()
        leftovers = [str(p) for p in (root / "out").rglob("*") if ".staging" in p.parts]
        artifacts = len(list((root / "out").rglob("*metadata.json")))
        found = left(root)
        leftovers += sorted(found.files - found.listed)
        wrong += found.violations + [f"left over: {path}" for path in leftovers]
        print(f"faults_injected={kills} runs={tries + 2} artifacts={artifacts}", end=" ")
        print(f"violations={len(wrong)} last_exit={last}")
        print("\n".join(wrong[:20]))
        return 1 if wrong or kills < options.kills or last else 0


if __name__ == "__main__":
    raise SystemExit(main())
