"""Passes of retention that end by a signal at every point, and archives that are damaged before they are read again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from export_pipelines_tests.forks import EXPORTS, Forks, forks
from export_pipelines_tests.prunes import OF_PRUNING, Store, flipped, violations


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with forks(EXPORTS, tmp_path_factory.mktemp("forks")) as running:
        yield running


@pytest.mark.parametrize(
    ("archive", "layout", "signal"),
    [
        ({"store": "vault"}, "artifact", "KILL"),
        ({"store": "vault", "format": "tar.zst", "per": "month"}, "flat", "KILL"),
        ({"store": "vault", "format": "tar.gz", "per": "month"}, "artifact", "TERM"),
        (False, "flat", "INT"),
    ],
    ids=str,
)
def test_a_pass_ended_at_any_point_loses_nothing(
    tmp_path: Path, child: Forks, archive: dict[str, Any] | bool, layout: str, signal: str
) -> None:
    found = {}
    for point in OF_PRUNING:
        store = Store.at(tmp_path / point, archive, layout=layout)
        found[point] = list(violations(store, child, f"{point}:{signal}", must_archive=archive is not False))
    assert {point: texts for point, texts in found.items() if texts} == {}


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_flipped_bit_in_the_archive_keeps_the_originals(tmp_path: Path, share: float) -> None:
    store = Store.at(tmp_path, {"store": "vault", "format": "tar.zst", "per": "month"})
    assert list(flipped(store, share)) == []
