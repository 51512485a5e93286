"""Bars for days, as numbers that a template draws: across in per cent, down in pixels, so that text keeps its size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

HEIGHT = 150
"""Pixels of the highest possible bar."""

_WEEK = 7
_LABELS = 5
_FILLED = 0.72
_LEAST = 0.001
_STEPS = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True)
class Bar:
    """One part of a day's bar: `left` and `width` in per cent, `top` and `height` in pixels."""

    kind: str
    left: float
    width: float
    top: float
    height: float


@dataclass(frozen=True)
class Day:
    """One day: its bars from the bottom up, where its label is in per cent, and what it says when pointed at."""

    label: str
    centre: float
    hint: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Chart:
    """All days, and the lines across: position in pixels and label."""

    days: Sequence[Day]
    lines: Sequence[tuple[float, str]]
    height: int = HEIGHT


def stacked(
    days: Sequence[date],
    series: Mapping[str, Sequence[float]],
    *,
    shown: Callable[[float], str],
    hint: Callable[[int], str],
) -> Chart:
    """A bar for each day with one part for each kind. `shown` writes a value, `hint` what day number i says."""
    totals = [sum(values) for values in zip(*series.values(), strict=True)]
    top = _round_up(max(totals, default=0))
    slot = 100 / max(1, len(days))
    made = []
    for number, day in enumerate(days):
        left, below, bars = slot * (number + (1 - _FILLED) / 2), float(HEIGHT), []
        for kind, values in series.items():
            height = HEIGHT * values[number] / top
            below -= height
            bars.append(Bar(kind, round(left, 3), round(slot * _FILLED, 3), round(below, 2), round(height, 2)))
        bars = [bar for bar in bars if bar.height]
        made.append(Day(_label(days, number), round(slot * (number + 0.5), 3), f"{day:%a %d %b}: {hint(number)}", bars))
    values = (0.0, top) if top % 2 == 1 else (0.0, top / 2, top)  # half a run there is not
    return Chart(made, [(round(HEIGHT * (1 - value / top), 2), shown(value)) for value in values])


def _label(days: Sequence[date], number: int) -> str:
    """The weekday, or of more days than a week has, dates: so few that they never touch, the last one among them."""
    if len(days) <= _WEEK:
        return f"{days[number]:%a}"
    step = -(-len(days) // _LABELS)
    return "" if (len(days) - 1 - number) % step else f"{days[number]:%-d %b}"


def _round_up(value: float) -> float:
    """A little more than the value, with one digit or a half; 1 for nothing."""
    if not value:
        return 1.0
    magnitude: float = 10.0 ** math.floor(math.log10(max(value, _LEAST)))
    return next((step * magnitude for step in _STEPS if step * magnitude >= value), value)
