"""System calls fail while an export is published: nothing half done is seen, and the next run makes it good (I1, I2, I4).

`make test-faults` does the same for every combination.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from export_pipelines_tests.syscalls import Fault, faults, inject, why_not

SHORT = {
    "artifact-write-ENOSPC-5+",
    "artifact-fsync-EIO-50",
    "artifact-rename-EACCES-1",
    "flat-link-ENOSPC-50",
    "flat-unlink-EACCES-1",
}


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "strace works")
@pytest.mark.parametrize("fault", [fault for fault in faults() if str(fault) in SHORT], ids=str)
def test_a_failed_system_call_leaves_nothing_half_done(tmp_path: Path, fault: Fault) -> None:
    seen = inject(tmp_path, fault)
    assert seen.hits > 0
    assert seen.wrong == []


def test_there_are_enough_faults() -> None:
    names = {str(fault) for fault in faults()}
    assert len(names) >= 60
    assert names >= SHORT
