"""Restart PostgreSQL under running exports, the hard way, and look whether they recover by themselves.

    python benchmarks/restart_postgres.py [--times 20] [--rows 100000] [--seed 1]

A constant table is exported again and again, each time for another partition, in turn by Dagster with its retries and
by runs that are started again as a retry policy would. In the middle of each export the server of the source, of the
ledger, or both are stopped with `pg_ctl -m immediate` and started again. Every partition must be published with the
rows of the table, every file listed by a manifest that the ledger knows, and staging empty. Exits with 1 otherwise, or
if fewer than half of the exports were disturbed.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from export_pipelines_tests.restarts import rounds


def main() -> int:
    """Run all rounds and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        seen = rounds(Path(directory), times=options.times, rows=options.rows, seed=options.seed)
    print("\n".join(seen.wrong[:20]))
    print(
        f"faults_injected={seen.faults} exports={options.times} disturbed={seen.disturbed} "
        f"artifacts={seen.artifacts} violations={len(seen.wrong)}"
    )
    return 1 if seen.wrong or seen.disturbed < options.times / 2 else 0


if __name__ == "__main__":
    raise SystemExit(main())
