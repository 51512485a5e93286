"""Where things go on the page: paper, column widths, line breaks. Pure functions, lengths in points (1/72 inch)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

PAPERS = {
    "A3": (841.89, 1190.55),
    "A4": (595.28, 841.89),
    "A5": (419.53, 595.28),
    "LETTER": (612.0, 792.0),
    "LEGAL": (612.0, 1008.0),
}
MARGIN = 34.0
SMALLEST_FONT = 4.5  # below this print is not legible; wider tables are split into bands instead
PAD = 0.5  # space left and right of a cell's text, in em (1 em = the font size)
_COMFORT = 22.0  # em; a column wider than this may wrap before the page is turned
_BAND_COMFORT = 12.0  # em; the same when columns are dealt to bands
_SLACK = 2.0  # em; how much wider than its content a column gets when there is room
_SHRUNK = 0.85  # the font may be this much smaller than asked where that spares wrapping
_KEY_SHARE = 0.3  # the first column is repeated on every band if it needs at most this share of the width

# Lines may break after spaces, after punctuation that a letter follows, and around CJK characters
# except before closing punctuation. Digits are never a reason to break, so numbers and dates stay whole.
_CJK = "\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
_CLOSING = "、。，．：；！？）］｝」』】〕〉》ー々っゃゅょッャュョ"
_BREAK = re.compile(
    rf"(?<=\s)(?=\S)|(?<=[-/_,;:.@|&?=])(?=[^\W\d_])|(?<=[{_CJK}])(?=[^\s{_CLOSING}])|(?<=[^\s])(?=[{_CJK}])(?![{_CLOSING}])"
)

Measure = Callable[[str], float]


@dataclass(frozen=True, kw_only=True)
class Need:
    """How wide a column wants to be, in em: on one line, and at least (its longest word); and if it is flush right."""

    natural: float
    least: float
    right: bool = False


@dataclass(frozen=True, kw_only=True)
class Place:
    """One column on one band: its left edge and its width, in points, padding included; and if it is flush right."""

    column: int
    left: float
    width: float
    right: bool


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A table on paper: page size in points, font size, and one tuple of places for each band."""

    size: tuple[float, float]
    font_size: float
    bands: tuple[tuple[Place, ...], ...]

    @property
    def pad(self) -> float:
        """Space on each side of a cell's text, in points."""
        return PAD * self.font_size


def paper(name: str, *, landscape: bool) -> tuple[float, float]:
    """Width and height of the paper `name` in points."""
    width, height = PAPERS[name]
    return (height, width) if landscape else (width, height)


def plan(needs: Sequence[Need], *, page_size: str, orientation: str, font_size: float) -> Layout:
    """Decide orientation, font size, bands and column widths.

    The page turns when the columns would wrap a lot upright. The font shrinks by up to 15 % where that spares
    wrapping, and further, down to 4.5 points, if the longest words do not fit side by side. If even that is too wide,
    it keeps `font_size` and deals the columns to bands: groups of columns that are printed on pages of their own,
    with the first column repeated where it is narrow.
    """
    landscape = orientation == "landscape" or (
        orientation == "auto" and _comfortable(needs, font_size) > _room(page_size, landscape=False)
    )
    size = paper(page_size, landscape=landscape)
    room = size[0] - 2 * MARGIN
    fitting = room / sum(need.least + 2 * PAD for need in needs)
    smallest = min(SMALLEST_FONT, font_size)
    if fitting >= smallest:
        unwrapped = room / sum(need.natural + 2 * PAD for need in needs)
        font_size = min(font_size, fitting, unwrapped if unwrapped >= max(font_size * _SHRUNK, smallest) else font_size)
        groups = [list(range(len(needs)))]
    else:
        groups = _deal(needs, room / font_size)
    bands = tuple(_place(group, needs, font_size=font_size, room=room) for group in groups)
    return Layout(size=size, font_size=font_size, bands=bands)


def wrap(text: str, limit: float, measure: Measure) -> list[str]:
    """Break `text` into lines no wider than `limit` (in the unit of `measure`); joined, they are the text again.

    Spaces at a line's end may hang over. A word that is wider than a line is broken where the line ends.
    """
    lines, line, used = [], "", 0.0
    for word in _BREAK.split(text):
        width = measure(word)
        if used + width > limit and line and used + measure(word.rstrip()) > limit:
            lines.append(line)
            line, used = "", 0.0
        if width > limit and measure(word.rstrip()) > limit:
            *full, word = _chop(word, limit, measure)  # noqa: PLW2901 - what is left of the word goes on
            lines += full
            width = measure(word)
        line += word
        used += width
    return [*lines, line]


def longest_word(text: str, measure: Measure) -> float:
    """The width of the widest part of `text` that cannot be broken."""
    return max(measure(word.rstrip()) for word in _BREAK.split(text))


def share(wanted: Sequence[Need], room: float) -> list[float]:
    """Column widths in em: what each wants, or a common upper limit for those that want more than their share."""
    natural, least = [need.natural + 2 * PAD for need in wanted], [need.least + 2 * PAD for need in wanted]
    if sum(natural) <= room:
        extra = min((room - sum(natural)) / len(natural), _SLACK)
        return [width + extra for width in natural]
    if sum(least) >= room:
        return [width * room / sum(least) for width in least]
    low, high = 0.0, room
    for _ in range(40):  # bisection: far finer than a printer after 40 steps
        limit = (low + high) / 2
        too_wide = sum(max(a, min(b, limit)) for a, b in zip(least, natural, strict=True)) > room
        low, high = (low, limit) if too_wide else (limit, high)
    return [max(a, min(b, low)) for a, b in zip(least, natural, strict=True)]


def _room(page_size: str, *, landscape: bool) -> float:
    return paper(page_size, landscape=landscape)[0] - 2 * MARGIN


def _comfortable(needs: Sequence[Need], font_size: float) -> float:
    return sum(max(need.least, min(need.natural, _COMFORT)) + 2 * PAD for need in needs) * font_size


def _deal(needs: Sequence[Need], room: float) -> list[list[int]]:
    sizes = [min(max(need.least, min(need.natural, _BAND_COMFORT)) + 2 * PAD, room) for need in needs]
    key = [0] if sizes[0] <= room * _KEY_SHARE else []
    groups: list[list[int]] = []
    group, used = list(key), sum(sizes[i] for i in key)
    for column in range(len(key), len(needs)):
        if used + sizes[column] > room and len(group) > len(key):
            groups.append(group)
            group, used = list(key), sum(sizes[i] for i in key)
        group.append(column)
        used += sizes[column]
    return [*groups, group]


def _place(group: Sequence[int], needs: Sequence[Need], *, font_size: float, room: float) -> tuple[Place, ...]:
    places, left = [], MARGIN
    for column, width in zip(group, share([needs[i] for i in group], room / font_size), strict=True):
        places.append(Place(column=column, left=left, width=width * font_size, right=needs[column].right))
        left += width * font_size
    return tuple(places)


def _chop(word: str, limit: float, measure: Measure) -> list[str]:
    pieces: list[str] = []
    while True:
        low, high = 1, len(word)  # at least one character a line, however narrow
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if measure(word[:middle]) <= limit else (low, middle - 1)
        if low == len(word):
            return [*pieces, word]
        pieces.append(word[:low])
        word = word[low:]
