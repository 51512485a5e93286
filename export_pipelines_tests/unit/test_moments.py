"""Days and moments from tables are the same text as those of the expressions, for whatever column."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from export_pipelines.formats.moments import moments, suits
from export_pipelines.formats.render import Frames, Render, as_json, as_json_with_numbers, as_text

_SECOND = {"s": 1, "ms": 10**3, "us": 10**6}
_FIRST, _LAST = date(1900, 1, 1), date(2100, 12, 31)
_EPOCH = date(1970, 1, 1)
_LOW, _HIGH = (_FIRST - _EPOCH).days, (_LAST - _EPOCH).days


def _text(column: pa.Array, render: Render, *, quick: bool) -> str:
    schema = pa.schema([("x", column.type)])
    frames = Frames("rows", schema, render=render, quick=quick)
    parts = frames.of(pa.RecordBatch.from_arrays([column], schema=schema))
    return "".join(frame.write_csv(include_header=False) + frame.write_ndjson() for frame in parts)


@st.composite
def _columns(draw: st.DrawFn) -> pa.Array:
    """Columns with NULLs, now and then with years that the tables lack, sliced so that they begin anywhere."""
    unit = draw(st.sampled_from(["day", *_SECOND]))
    low, high = (-719_162, 2_932_896) if draw(st.integers(0, 3)) == 0 else (_LOW, _HIGH)
    per_day = 1 if unit == "day" else 86_400 * _SECOND[unit]
    whole = _SECOND.get(unit, 1) if draw(st.booleans()) else 1
    numbers = st.integers(low * per_day // whole, ((high + 1) * per_day - 1) // whole).map(lambda n: n * whole)
    values = draw(st.lists(st.none() | numbers, min_size=1, max_size=20))
    zone = draw(st.sampled_from([None, "UTC", "Etc/UTC", "+00:00", "+05:30", "Europe/Berlin"]))
    column = (
        pa.array(values, pa.int32()).cast(pa.date32())
        if unit == "day"
        else pa.array(values, pa.int64()).cast(pa.timestamp(unit, zone))
    )
    column = column.slice(draw(st.integers(0, len(values) - 1)))
    return column.dictionary_encode() if draw(st.integers(0, 5)) == 0 else column


@given(column=_columns(), render=st.sampled_from([as_text, as_json, as_json_with_numbers]))
@example(column=pa.array([_FIRST, None, _LAST]), render=as_text)
@example(
    column=pa.array([_LOW * 86_400 * 10**6, -1, 0, (_HIGH + 1) * 86_400 * 10**6 - 1], pa.timestamp("us")),
    render=as_json,
)
@example(column=pa.nulls(3, pa.timestamp("us", "UTC")), render=as_json)
def test_the_quick_way_makes_the_same_text(column: pa.Array, render: Render) -> None:
    assert _text(column, render, quick=True) == _text(column, render, quick=False)


def test_usual_moments_take_the_quick_way() -> None:
    column = pa.array([datetime(2026, 3, 29, 2, 0, 0, 5, tzinfo=UTC), None, datetime(2026, 3, 29, tzinfo=UTC)])
    assert suits(column.type)
    assert moments(column).to_pylist() == ["2026-03-29T02:00:00.000005+00:00", None, "2026-03-29T00:00:00+00:00"]


@pytest.mark.parametrize("day", [date(1899, 12, 31), date(2101, 1, 1)])
def test_unusual_days_do_not(day: date) -> None:
    assert moments(pa.array([day, None])) is None
    assert moments(pa.array([datetime(day.year, day.month, day.day, tzinfo=UTC)])) is None
