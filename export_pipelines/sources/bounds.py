"""Between which values of its watermark a run reads a dataset: written down as text, and bound in SQL."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal, Inexact
from typing import Literal

from pydantic import Field

from export_pipelines.spec.watermark import MarkValue, WatermarkSpec

Kind = Literal["number", "date", "timestamp", "timestamptz"]

_KINDS: tuple[tuple[str, Kind], ...] = (
    (r"u?int\d+|decimal\d+\(.*\)", "number"),
    (r"date\d+\[.*\]", "date"),
    (r"timestamp\[\w+\]", "timestamp"),
    (r"timestamp\[\w+, tz=.*\]", "timestamptz"),
)
_ABOVE_ALL: dict[Kind, MarkValue] = {
    "date": date.max,
    "timestamp": datetime.max,  # noqa: DTZ901 - of columns without a timezone
    "timestamptz": datetime.max.replace(tzinfo=UTC),
}
_DIGITS = 38  # that a decimal has at most
_SCALE = 18  # digits after the point that any decimal column may have, as long as nothing of it was exported
_EXACT = Context(prec=100, traps=[Inexact])
_ASSUMED = {
    "number": "decimal128(38, 9)",
    "date": "date32[day]",
    "timestamp": "timestamp[us]",
    "timestamptz": "timestamp[us, tz=UTC]",
}


class Bounds(WatermarkSpec):
    """A watermark as one run sees it: the rows above `after`, up to `until`, each None where nothing bounds them."""

    after: MarkValue | None = Field(None, description="Rows are above it.")
    until: MarkValue | None = Field(None, description="Rows are not above it, because a later partition has those.")
    nothing: bool = Field(False, description="No rows: a later partition has all that there were.")
    since: str = Field("", description="The partition that was exported up to `after`; empty if none was.")
    before: str = Field("", description="The later partition that has what follows; empty if there is none.")

    @property
    def params(self) -> dict[str, MarkValue]:
        """The values of `:watermark` and `:watermark_end`; none where the first run has no value."""
        if self.after is None:
            return {}
        if self.nothing:
            return {"watermark": self.after, "watermark_end": self.after}
        return {"watermark": self.after, "watermark_end": self._end(self.after) if self.until is None else self.until}

    def _end(self, after: MarkValue) -> MarkValue:
        """A value of the same kind that no value of the column is above, and that its type can hold."""
        if isinstance(after, Decimal):
            return Decimal(10 ** (_DIGITS - (max(_scale(after), 0) if self.since else _SCALE)) - 1)
        return 2**63 - 1 if isinstance(after, int) else _ABOVE_ALL[kind_of(after)]


def kind_of(value: MarkValue) -> Kind:
    """What the value can be compared with."""
    if isinstance(value, int | Decimal):
        return "number"
    if isinstance(value, datetime):
        return "timestamptz" if value.tzinfo else "timestamp"
    return "date"


def kind_of_type(arrow_type: str) -> Kind | None:
    """The kind of the values of a column, by the text of its Arrow type; None if it can be no watermark."""
    return next((kind for pattern, kind in _KINDS if re.fullmatch(pattern, arrow_type)), None)


def assumed_type(value: MarkValue) -> str:
    """The Arrow type of a column of which nothing but this value is known."""
    return "int64" if isinstance(value, int) else _ASSUMED[kind_of(value)]


def to_text(value: MarkValue) -> str:
    """The value as text from which `from_text` makes it again."""
    if isinstance(value, int | Decimal):
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    return value.isoformat()


def from_text(text: str, arrow_type: str) -> MarkValue:
    """The value of a column of this Arrow type. Raises ValueError if the text is none."""
    kind = kind_of_type(arrow_type)
    if kind == "date":
        return date.fromisoformat(text)
    if kind in ("timestamp", "timestamptz"):
        return datetime.fromisoformat(text)
    scale = re.fullmatch(r"decimal\d+\(\d+, (-?\d+)\)", arrow_type)
    return _scaled(Decimal(text), int(scale[1])) if scale else int(text)


def _scaled(value: Decimal, digits: int) -> Decimal:
    """The same number with at least so many digits after the point."""
    return value if _scale(value) >= digits else value.quantize(Decimal(1).scaleb(-digits), context=_EXACT)


def _scale(value: Decimal) -> int:
    """How many digits it has after the point."""
    return -int(value.as_tuple().exponent)


def fitted(value: MarkValue, kind: Kind) -> MarkValue | None:
    """The value as one of this kind, dates as their first instant and instants in UTC; None if it cannot be one."""
    if kind == "number" or isinstance(value, int | Decimal):
        return value if kind == kind_of(value) else None
    if kind == "date":
        return value.date() if isinstance(value, datetime) else value
    moment = value if isinstance(value, datetime) else datetime.combine(value, time())
    if kind == "timestamptz":
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def sqlite_instant(moment: datetime) -> str:
    """Text that is above every usual text of this instant and below those of the next microsecond.

    Usual is `YYYY-MM-DD HH:MM:SS`, with or without a fraction and, where it has a timezone, `+00:00` behind it.
    """
    if moment.tzinfo is None:
        return moment.isoformat(" ", "microseconds")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds") + "Z"
