"""PostgreSQL is restarted in the middle of exports: they recover without a person, and every row is there.

`make test-faults` does it 20 times.
"""

from __future__ import annotations

from pathlib import Path

from export_pipelines_tests.restarts import rounds

SEED = 29
"""Restarts the ledger at 60 % of the time that the first export took, then both servers at 38 %: later ones are quicker."""


def test_exports_survive_restarts_of_their_source_and_of_the_ledger(tmp_path: Path) -> None:
    seen = rounds(tmp_path, times=2, rows=20_000, seed=SEED)
    assert seen.wrong == []
    assert seen.faults == 3  # the ledger, then both
    assert seen.disturbed >= 1
