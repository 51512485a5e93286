"""Long lists in pieces."""

import pytest

from export_pipelines.chunks import STATEMENT, chunks


@pytest.mark.parametrize(
    ("number", "size", "sizes"), [(0, 3, []), (1, 3, [1]), (3, 3, [3]), (7, 3, [3, 3, 1]), (2, 1, [1, 1])]
)
def test_every_item_is_in_one_piece_in_its_order(number: int, size: int, sizes: list[int]) -> None:
    found = list(chunks(range(number), size))
    assert [len(piece) for piece in found] == sizes
    assert [item for piece in found for item in piece] == list(range(number))


def test_a_set_is_cut_too_and_a_statement_takes_so_many() -> None:
    sizes = [len(piece) for piece in chunks(set(range(STATEMENT + 1)))]
    assert sizes == [STATEMENT, 1]
