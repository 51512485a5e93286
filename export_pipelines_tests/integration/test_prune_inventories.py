"""Random inventories, made real and pruned: what the dry run lists is what goes, and nothing else (I10, I11)."""

import random
from pathlib import Path

from export_pipelines_tests.executed import executed


def test_real_artifacts_go_as_the_dry_run_said(tmp_path: Path) -> None:
    found, deleted = {}, 0
    for seed in range(30):
        root = tmp_path / str(seed)
        root.mkdir()
        wrong, gone = executed(root, random.Random(seed))
        deleted += gone
        if wrong:
            found[seed] = wrong
    assert found == {}
    assert deleted > 10
