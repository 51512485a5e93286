"""Measure the package against its peers, side by side.

    python -m benchmarks.speed [--quick] [--only TEXT] [--rounds N] [--page docs/performance.md]

Peers live in an environment of their own: `make bench` makes it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.speed import data
from benchmarks.speed.commands import commands
from benchmarks.speed.contests import CONTESTS, GROWTHS, MILLION, SUMS
from benchmarks.speed.page import line, write_page
from benchmarks.speed.race import Result, Track, run_all
from benchmarks.speed.thousand import results as thousand

QUICK = 0.1


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, one round: less than three minutes")
    parser.add_argument("--only", default="", help="rows of the table whose names hold this text")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers"), help="the environment of the peers")
    parser.add_argument("--page", type=Path, help="a Markdown page whose table is replaced")
    options = parser.parse_args()
    scale, rounds = (QUICK, 1) if options.quick else (1.0, options.rounds)
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="speed-") as directory:
        root, rows = Path(directory), int(MILLION * scale)
        (root / "files").mkdir()
        data.write_parquet(root / "files" / "rows.parquet", rows)
        data.write_parquet(root / "files" / "few.parquet", 2000)
        data.write_sqlite(root / "rows.db", rows)
        data.frame(rows).write_csv(root / "rows.csv")
        with data.postgres(rows) as server:
            shared = {"files": root / "files", "parquet": root / "files" / "rows.parquet", "psql": data.PSQL}
            shared |= {"sqlite": root / "rows.db", "csv": root / "rows.csv"}
            paths = {name: str(path) for name, path in shared.items()}
            track = Track(root, options.peers, {**server, **paths}, rounds, scale)
            chosen = [[one for one in kind if options.only in one.name] for kind in (CONTESTS, SUMS, GROWTHS)]
            for result in run_all(track, *chosen):  # type: ignore[arg-type]
                results.append(result)
                print(line(result), flush=True)
    for result in commands(options.only, rounds=rounds, scale=scale):
        results.append(result)
        print(line(result), flush=True)
    for result in () if options.quick else thousand(options.only):
        results.append(result)
        print(line(result), flush=True)
    if options.page:
        write_page(options.page, results, rows=rows, rounds=rounds)
    missed = [result.name for result in results if not result.passed]
    print(f"{len(results)} measured, {len(missed)} missed" + "".join(f"\n  {name}" for name in missed))
    sys.exit(1 if missed and not options.quick else 0)


if __name__ == "__main__":
    main()
