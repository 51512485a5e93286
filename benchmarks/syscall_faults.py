"""Let system calls fail while an export is published, and look at what is left.

    python benchmarks/syscall_faults.py [--only TEXT]

For each layout, each kind of call (write, fsync, rename, link, mkdir, unlink) and each of EIO, ENOSPC and EACCES, the
1st, the 5th, the 50th, or every call from the 5th on fails, where it touches the store. A run must end as the fault
demands and say what failed, no manifest may list what is not complete, earlier artifacts stay as they were, and the
next run publishes and leaves nothing else. Needs strace. Exits with 1 if a check fails or a fault hit nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from export_pipelines_tests.syscalls import Fault, Seen, faults, inject, why_not


def _case(fault: Fault) -> tuple[Fault, Seen]:
    with tempfile.TemporaryDirectory() as directory:
        return fault, inject(Path(directory), fault)


def main() -> int:
    """Inject every fault and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="faults whose name holds this text")
    options = parser.parse_args()
    if reason := why_not():
        print(f"faults_injected=0: {reason}")
        return 1
    chosen = [fault for fault in faults() if options.only in str(fault)]
    hits, cases, wrong = 0, 0, []
    with ThreadPoolExecutor(2) as pool:
        for fault, seen in pool.map(_case, chosen):
            hits += seen.hits
            cases += bool(seen.hits)
            wrong += [f"{fault}: {text}" for text in seen.wrong]
    print("\n".join(wrong[:50]))
    print(f"faults_injected={hits} cases={cases} of {len(chosen)} violations={len(wrong)}")
    return 1 if wrong or cases < len(chosen) or not cases else 0


if __name__ == "__main__":
    raise SystemExit(main())
