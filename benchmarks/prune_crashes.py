"""End passes of retention by signals at every point, flip bits in archives, and look for what was lost.

    python benchmarks/prune_crashes.py [--flips 40]

Each case prepares a store with artifacts that are to go, ends a pass at the point, checks that every artifact is in the
store or in an archive with equal bytes, and prunes again: then everything is as if nobody had disturbed it. Three
formats of archives, one for each artifact or each month, and none; both layouts. Exits with 1 if a check fails.
"""

from __future__ import annotations

import argparse
import time
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from export_pipelines_tests.forks import EXPORTS, forks
from export_pipelines_tests.prunes import OF_PRUNING, Store, flipped, violations

WAYS: list[dict[str, Any] | bool] = [
    False,
    *(
        {"store": "vault", "format": f, "per": p}
        for f, p in product(("zip", "tar.gz", "tar.zst"), ("artifact", "month"))
    ),
]
LAYOUTS = ("artifact", "flat")
ENDING = ("KILL", "TERM", "INT")


def main() -> int:
    """Run all cases and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=40)
    options = parser.parse_args()
    injected, wrong, began = 0, [], time.monotonic()
    with TemporaryDirectory() as directory, forks(EXPORTS, Path(directory)) as child:
        for way, layout, point, signal in product(WAYS, LAYOUTS, OF_PRUNING, ENDING):
            if way is False and point.startswith("archive"):
                continue  # nothing is archived
            with TemporaryDirectory() as place:
                store = Store.at(Path(place), way, layout=layout)
                found = list(violations(store, child, f"{point}:{signal}", must_archive=way is not False))
            injected += not any("as if nothing" in text for text in found)
            wrong += [f"{point}:{signal} {way} {layout}: {text}" for text in found]
    for number, way in product(range(options.flips), WAYS[1:]):
        with TemporaryDirectory() as place:
            found = list(flipped(Store.at(Path(place), way), number / max(options.flips - 1, 1)))
        injected += 1
        wrong += [f"flip {number} {way}: {text}" for text in found]
    print("\n".join(wrong[:40]))
    print(f"faults_injected={injected} violations={len(wrong)} seconds={time.monotonic() - began:.0f}")
    return 1 if wrong or not injected else 0


if __name__ == "__main__":
    raise SystemExit(main())
