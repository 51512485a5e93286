"""Column widths and line breaks, without a PDF."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export_pipelines.formats.pdf_layout import MARGIN, PAD, Need, longest_word, plan, share, wrap

ROOM = 595.28 - 2 * MARGIN


def need(natural: float, least: float | None = None) -> Need:
    return Need(natural=natural, least=natural if least is None else least)


@given(st.text(st.sampled_from("ab1 -/,.漢字、\u3000ー한"), max_size=60), st.integers(1, 12))
def test_lines_are_the_text_and_fit(text: str, limit: int) -> None:
    lines = wrap(text, limit, len)
    assert "".join(lines) == text
    assert all(len(line.rstrip()) <= limit for line in lines)


@given(st.lists(st.tuples(st.floats(0.5, 60), st.floats(0.5, 20)), min_size=1, max_size=80), st.floats(4, 16))
def test_every_column_is_placed_inside_the_margins(sizes: list[tuple[float, float]], font_size: float) -> None:
    needs = [Need(natural=max(pair), least=min(pair)) for pair in sizes]
    layout = plan(needs, page_size="A4", orientation="auto", font_size=font_size)
    assert min(4.5, font_size) <= layout.font_size <= font_size
    assert {place.column for band in layout.bands for place in band} == set(range(len(needs)))
    for band in layout.bands:
        assert [place.column for place in band] == sorted({place.column for place in band})
        assert band[0].left == MARGIN
        assert band[-1].left + band[-1].width <= layout.size[0] - MARGIN + 0.01
        assert all(place.width > 0 for place in band)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("total -1,234.56 EUR", ["total ", "-1,234.56 ", "EUR"]),
        ("on 2026-03-29 at 02:00", ["on ", "2026-03-29 ", "at 02:00"]),
        ("well-known/fact", ["well-known/", "fact"]),
        ("hexadecimals", ["hexadecimal", "s"]),
        ("漢字、かなとカナ", ["漢字、かなとカナ"]),
        ("", [""]),
    ],
)
def test_lines_break_between_words_and_never_inside_numbers(text: str, lines: list[str]) -> None:
    assert wrap(text, 11, len) == lines


def test_a_line_does_not_begin_with_closing_punctuation() -> None:
    assert wrap("漢字漢字。漢", 4, len) == ["漢字漢", "字。漢"]


def test_the_longest_word_has_no_break_inside() -> None:
    assert longest_word("a long-winded explanation ", len) == len("explanation")


def test_the_page_turns_only_when_columns_need_it() -> None:
    narrow, wide = [need(8)] * 6, [need(18)] * 6
    assert plan(narrow, page_size="A4", orientation="auto", font_size=8).size == (595.28, 841.89)
    assert plan(wide, page_size="A4", orientation="auto", font_size=8).size == (841.89, 595.28)
    assert plan(wide, page_size="A4", orientation="portrait", font_size=8).size == (595.28, 841.89)
    assert plan(narrow, page_size="LEGAL", orientation="landscape", font_size=8).size == (1008, 612)


def test_one_long_text_column_wraps_instead_of_turning_the_page() -> None:
    layout = plan([need(4), need(400, 10), need(6)], page_size="A4", orientation="auto", font_size=8)
    assert layout.size[0] < layout.size[1]
    assert sum(place.width for place in layout.bands[0]) == pytest.approx(ROOM)


def test_the_font_shrinks_a_little_to_spare_wrapping() -> None:
    fitting = ROOM / 7.2 / 10 - 2 * PAD  # 10 columns fit at 7.2 points
    layout = plan([need(fitting, 2)] * 10, page_size="A4", orientation="portrait", font_size=8)
    assert layout.font_size == pytest.approx(7.2)
    much = plan([need(fitting * 2, 2)] * 10, page_size="A4", orientation="portrait", font_size=8)
    assert much.font_size == 8


def test_long_words_shrink_the_font_before_columns_are_dealt_to_bands() -> None:
    words = ROOM / 5 / 10 - 2 * PAD  # 10 columns of such words fit at 5 points
    small = plan([need(words)] * 10, page_size="A4", orientation="portrait", font_size=8)
    assert (len(small.bands), small.font_size) == (1, pytest.approx(5))
    banded = plan([need(words)] * 20, page_size="A4", orientation="portrait", font_size=8)
    assert len(banded.bands) > 1
    assert banded.font_size == 8


def test_bands_repeat_a_narrow_first_column_but_not_a_wide_one() -> None:
    others = [need(20)] * 30
    repeated = plan([need(5), *others], page_size="A4", orientation="portrait", font_size=8)
    assert all(band[0].column == 0 for band in repeated.bands)
    once = plan([need(40), *others], page_size="A4", orientation="portrait", font_size=8)
    assert [band[0].column for band in once.bands].count(0) == 1


def test_columns_that_want_more_share_what_is_left() -> None:
    widths = share([need(5), need(100, 5), need(100, 5)], 60)
    assert widths == pytest.approx([6, 27, 27])
