"""Fill a small disk with an export that is too big for it, again and again, and give it space in the end.

    python benchmarks/full_disk.py [--disk-mb 64] [--export-mb 200] [--times 10]

Dagster runs the export each time. It must fail within a minute, name the full disk, try only once, leave the artifact
that was there and nothing else; with space again it must succeed. Needs `unshare` and the right to mount a tmpfs in a
namespace of its own. Exits with 1 if a check fails.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from export_pipelines_tests.full_disks import rounds, why_not


def main() -> int:
    """Run all rounds and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--disk-mb", type=int, default=64)
    parser.add_argument("--export-mb", type=int, default=200)
    parser.add_argument("--times", type=int, default=10)
    options = parser.parse_args()
    if reason := why_not():
        print(f"faults_injected=0: {reason}")
        return 1
    with tempfile.TemporaryDirectory() as directory:
        seen = rounds(Path(directory), disk_mb=options.disk_mb, export_mb=options.export_mb, times=options.times)
    slowest = max(seen["seconds"])
    print("\n".join(seen["wrong"][:20]))
    print(f"faults_injected={seen['faults_injected']} slowest_seconds={slowest} violations={len(seen['wrong'])}")
    return 1 if seen["wrong"] or slowest > 60 or seen["faults_injected"] < options.times else 0


if __name__ == "__main__":
    raise SystemExit(main())
