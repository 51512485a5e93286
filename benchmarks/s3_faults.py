"""Let each request of publishing to S3 fail in every way, on two services, and look at what is left.

    python benchmarks/s3_faults.py [--only TEXT]

A proxy answers 500, 503, 403 or 412, stalls, or drops the connection, once or always, at the journal, a file, the
beginning, a part and the end of an upload in parts, HEAD, and the manifest. What passes must be made good; otherwise
the error is transient or permanent as the fault is, no manifest appears without its files, and after the next run there
are no other objects than those of manifests and no open uploads. Exits with 1 if a check fails or a fault hit nothing.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from export_pipelines_tests.contracts.s3_matrix import Case, Seen, cases, run
from export_pipelines_tests.s3_servers import S3Server, moto_s3, rclone_s3


def _case(job: tuple[Case, str, S3Server]) -> tuple[str, Seen]:
    case, name, server = job
    with tempfile.TemporaryDirectory() as state:
        return f"{name}: {case}", run(case, server, Path(state))


def main() -> int:
    """Inject every fault and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="faults whose name holds this text")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as logs, moto_s3(Path(logs)) as moto, rclone_s3(Path(logs)) as rclone:
        servers = {"moto": moto, "rclone": rclone}
        jobs = [(case, name, servers[name]) for case in cases() for name in servers if options.only in str(case)]
        with ThreadPoolExecutor(6) as pool:
            results = list(pool.map(_case, jobs))
    wrong = [f"{name}: {text}" for name, seen in results for text in seen.wrong]
    print("\n".join(wrong[:50]))
    hits = sum(seen.hits for _, seen in results)
    print(f"faults_injected={hits} cases={len(results)} violations={len(wrong)}")
    return 1 if wrong or not hits else 0


if __name__ == "__main__":
    raise SystemExit(main())
