"""Requests of publishing that fail always: nothing is seen without its manifest, and the next run leaves nothing else.

`make test-faults` does every combination on two services.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from export_pipelines_tests.contracts.s3_matrix import ALWAYS, FAULTS, PLACES, Case, cases, run
from export_pipelines_tests.s3_servers import S3Server

SHORT = [
    Case("data", "stall", ALWAYS),
    Case("part", "403", ALWAYS),
    Case("complete", "412", ALWAYS),
    Case("complete", "500", ALWAYS),
    Case("head", "503", ALWAYS),
    Case("head", "403", ALWAYS),
    Case("manifest", "stall", 1),
    Case("manifest", "412", 1),
    Case("manifest", "cut-answer", ALWAYS),
]


def test_failing_requests_leave_nothing_that_the_next_run_does_not_delete(tmp_path: Path, moto: S3Server) -> None:
    with ThreadPoolExecutor(len(SHORT)) as pool:
        results = list(pool.map(lambda case: run(case, moto, tmp_path / str(case)), SHORT))
    assert [(str(case), seen.wrong) for case, seen in zip(SHORT, results, strict=True) if seen.wrong] == []
    assert all(seen.hits for seen in results)


def test_every_fault_meets_every_place() -> None:
    assert len(set(map(str, cases()))) == 2 * len(FAULTS) * len(PLACES)
