"""Make random inventories real artifacts in a store, prune them, and compare what is left with the dry run.

    python benchmarks/prune_inventories.py [--inventories 1000] [--seed 1]

As in `retention_inventories.py`, with archives that are shared by the artifacts of a month, and with the store, the
archives and the ledger looked at afterwards. Exits with 1 if anything is otherwise than the dry run said, or if hardly
anything was deleted.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from export_pipelines_tests.executed import executed


def main() -> int:
    """Prune all inventories and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inventories", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began, deleted, wrong = time.monotonic(), 0, []
    for number in range(options.inventories):
        with TemporaryDirectory() as directory:
            found, gone = executed(Path(directory), random.Random(options.seed * 1_000_000 + number))
        deleted += gone
        wrong += [f"inventory {number}: {text}" for text in found]
    print("\n".join(wrong[:20]))
    print(f"inventories={options.inventories} deleted={deleted} violations={len(wrong)}", end=" ")
    print(f"seconds={time.monotonic() - began:.0f}")
    return 1 if wrong or deleted < options.inventories / 2 else 0


if __name__ == "__main__":
    raise SystemExit(main())
