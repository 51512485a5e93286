"""Formulas are found whatever the column looks like in memory."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export_pipelines.formats.cells import neutralise, neutralise_text

_CELLS = st.none() | st.text(alphabet="=+-@\t\r\n＝＋－＠0.e aéÿ￿", max_size=4)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
@given(cells=st.lists(_CELLS, max_size=12), start=st.integers(0, 12), length=st.integers(0, 12))
def test_a_column_is_neutralised_as_its_texts_are(
    kind: pa.DataType, cells: list[str | None], start: int, length: int
) -> None:
    column = pa.array(cells, kind).slice(min(start, len(cells)), length)
    expected = [None if cell is None else neutralise_text(cell) for cell in column.to_pylist()]
    assert neutralise(column).to_pylist() == expected


@pytest.mark.parametrize("cells", [[], [None], ["", ""], ["a", ""], ["", "=1"], ["=1", ""], [None, "＝1"]])
def test_empty_cells_hide_nothing(cells: list[str | None]) -> None:
    expected = [None if cell is None else neutralise_text(cell) for cell in cells]
    assert neutralise(pa.array(cells, pa.string())).to_pylist() == expected
