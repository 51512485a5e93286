"""Types of fields that take one value or a list of them, and of days of a month."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError, PydanticKnownError

from export_pipelines.spec.base import TIME_PATTERN, TimeOfDay, time_of_day

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

WEEK: tuple[str, ...] = get_args(Weekday)
"""The days of the week, from Monday on."""

_DATE_TIME = r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:00)?$"

Value = TypeVar("Value")


def _or_list(check: Callable[[object], object]) -> BeforeValidator:
    """Makes a list of one of a single value, which is checked here so that its mistake is the field's own."""

    def wrap(value: object) -> object:
        if not isinstance(value, list | tuple | set | frozenset):
            return (check(value),)
        if not value:
            raise PydanticKnownError("too_short", {"field_type": "List", "min_length": 1, "actual_length": 0})
        return value

    return BeforeValidator(wrap)


def _sorted(values: tuple[Value, ...]) -> tuple[Value, ...]:
    """Ascending, each once."""
    unique: set[Any] = set(values)
    return tuple(sorted(unique))


def _in_order(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(day for day in WEEK if day in values)


def _plainly(write: Callable[[Any], Any]) -> PlainSerializer:
    """A single value is written as one, as people would."""

    def unwrap(values: Sequence[Any] | None) -> Any:
        written = [write(value) for value in values or ()]
        return written[0] if len(written) == 1 else written or None

    return PlainSerializer(unwrap, when_used="json")


def _schema(item: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]})


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    return value


def _weekday(value: object) -> object:
    if value not in WEEK:
        raise PydanticKnownError("literal_error", {"expected": ", ".join(map(repr, WEEK))})
    return value


def _local_time(value: object) -> object:
    """YAML reads `2026-12-31 18:00:00` as a date with time, and leaves it as text without the seconds."""
    if isinstance(value, str) and re.fullmatch(_DATE_TIME, value, re.ASCII):
        with suppress(ValueError):
            value = datetime.fromisoformat(value)
    if not isinstance(value, datetime) or value.tzinfo is not None or value.second or value.microsecond:
        raise PydanticCustomError("local_time", "should be a local date and time such as 2026-12-31 18:00")
    return value


def _day(value: object) -> object:
    if value == "last" or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 31):
        return value
    raise PydanticCustomError("day_of_month", "should be a day from 1 to 31, or last")


def _workday(value: object) -> object:
    if value == "last" or (isinstance(value, int) and not isinstance(value, bool) and 1 <= abs(value) <= 66):
        return value
    raise PydanticCustomError(
        "working_day", "should be a number such as 1, the first, or -2, the last but one, or last"
    )


Crons = Annotated[
    tuple[str, ...],
    _or_list(_text),
    _plainly(str),
    _schema({"type": "string"}),
]
"""Cron expressions, in the order given."""

Times = Annotated[
    tuple[TimeOfDay, ...],
    AfterValidator(_sorted),
    _or_list(time_of_day),
    _plainly(lambda value: f"{value:%H:%M}"),
    _schema({"type": "string", "pattern": TIME_PATTERN}),
]
"""Times of day, ascending."""

Weekdays = Annotated[
    tuple[Weekday, ...],
    AfterValidator(_in_order),
    _or_list(_weekday),
    _plainly(str),
    _schema({"enum": list(WEEK)}),
]
"""Days of the week, from Monday on."""

LocalTimes = Annotated[
    tuple[Annotated[datetime, BeforeValidator(_local_time)], ...],
    AfterValidator(_sorted),
    _or_list(_local_time),
    _plainly(lambda value: f"{value:%Y-%m-%d %H:%M}"),
    _schema({"type": "string", "pattern": _DATE_TIME}),
]
"""Naive dates with times, ascending; whose clocks they mean is said elsewhere."""

Day = Annotated[
    int | Literal["last"],
    BeforeValidator(_day),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 31}, {"const": "last"}]}),
]
"""A day of the month."""

Workday = Annotated[
    int | Literal["last"],
    BeforeValidator(_workday),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": -66, "maximum": 66, "not": {"const": 0}}, {"const": "last"}]}
    ),
]
"""A working day of a month or quarter; a quarter has 66 at most."""
