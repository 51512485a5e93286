"""Which exports share a run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from export_pipelines.catching_up.sharing import MOST_SECONDS, shared

SECONDS = st.dictionaries(st.sampled_from([f"e{n}" for n in range(40)]), st.floats(0, 2 * MOST_SECONDS))


@given(st.integers(0, 40), st.integers(1, 50), SECONDS)
def test_all_are_made_once_in_their_order_and_no_run_is_longer_than_need_be(
    number: int, size: int, seconds: dict[str, float]
) -> None:
    names = [f"e{n}" for n in range(number)]
    runs = list(shared(names, size, seconds.get))
    assert [name for run in runs for name in run] == names
    for run, following in zip(runs, [*runs[1:], None], strict=False):
        total = sum(seconds.get(name, 1.0) for name in run)
        assert 1 <= len(run) <= size
        assert len(run) == 1 or total <= MOST_SECONDS * 1.000001
        if following is not None and len(run) < size:
            assert total + seconds.get(following[0], 1.0) > MOST_SECONDS * 0.999999


def test_small_exports_share_a_run_and_long_ones_do_not() -> None:
    small, long = [f"e{n}" for n in range(250)], ["a", "b", "c"]
    assert list(shared(small, 250, {}.get)) == [small]
    assert list(shared(small, 250, dict.fromkeys(small, 0.1).get)) == [small]
    assert list(shared(long, 250, {"a": 1000.0, "b": 200.0, "c": 100.0}.get)) == [["a"], ["b", "c"]]
