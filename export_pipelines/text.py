"""Numbers, sizes and times as people read them."""

from __future__ import annotations

import math
import re
from datetime import datetime
from zoneinfo import ZoneInfo

_UNITS = ("kB", "MB", "GB", "TB", "PB")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def size(octets: int) -> str:
    """Bytes in decimal units, two digits or three: `812 B`, `1.2 MB`, `138 MB`."""
    if octets < 1000:
        return f"{octets} B"
    value = float(octets)
    for unit in _UNITS:
        value /= 1000
        if value < 999.5 or unit == _UNITS[-1]:
            break
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:,.0f} {unit}"


def counted(number: int, noun: str) -> str:
    """`1 row`, `12,345 rows`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def moment(instant: datetime | None, timezone: str = "UTC") -> str:
    """The instant on the clocks of the timezone, to the minute: `2026-03-04 02:00 CET`; `-` for None."""
    return "-" if instant is None else f"{instant.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M %Z}"


def day(instant: datetime | None, timezone: str = "UTC") -> str:
    """The date of the instant in the timezone; `-` for None."""
    return "-" if instant is None else f"{instant.astimezone(ZoneInfo(timezone)):%Y-%m-%d}"


def duration(seconds: float) -> str:
    """`0.26 s`, `12.3 s`, `1,234 s`."""
    return f"{seconds:,.{2 if seconds < 10 else 1 if seconds < 1000 else 0}f} s"


def rate(rows: int, seconds: float) -> float | None:
    """Rows per second, None where no time passed."""
    return round(rows / seconds, 1) if seconds else None


def first_sentence(message: str) -> str:
    """What comes before the first full stop, on one line."""
    line = printable(message.strip().partition("\n")[0])
    return re.split(r"(?<=\w)[.!?](?:\s|$)", line, maxsplit=1)[0]


def printable(text: str) -> str:
    r"""The text with control characters written out (`\n`, `\x1b`), so that data cannot steer a terminal."""
    return _UNPRINTABLE.sub(lambda match: ascii(match.group())[1:-1], text)


def percent(share: float | None) -> str:
    """A share from 0 to 1 as `98.2 %`, rounded down so that only all is `100 %`; `-` for None."""
    if share is None:
        return "-"
    return "100 %" if share == 1 else f"{math.floor(round(1000 * share, 9)) / 10:.1f} %"


def change(by: float | None, unit: str = "%") -> str:
    """`+12 %`, `-3 %`, `±0 %`; `-` for None."""
    if by is None:
        return "-"
    return f"{round(by):+,} {unit}" if round(by) else f"±0 {unit}"
