"""A disk that is too small under Dagster: said once, not tried again, and made good when there is space.

`make test-faults` does it with 200 MB and 64 MB, ten times.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from export_pipelines_tests.full_disks import rounds, why_not


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "a disk can be mounted")
def test_a_full_disk_is_said_once_and_leaves_nothing(tmp_path: Path) -> None:
    seen = rounds(tmp_path, disk_mb=4, export_mb=12, times=2)
    assert seen["wrong"] == []
    assert seen["faults_injected"] == 2
    assert max(seen["seconds"]) < 60
