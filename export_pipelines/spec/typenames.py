"""Types of fields, in words for the reference page."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from export_pipelines.spec.base import KEY_NAME_PATTERN, NAME_PATTERN
from export_pipelines.spec.locate import bare, is_model, members
from export_pipelines.spec.messages import flow
from export_pipelines.spec.notify import REFERENCE_PATTERN, SCOPE_PATTERN
from export_pipelines.spec.recipients import ADDRESS_PATTERN

_PLAIN = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    Decimal: "number",
    str: "text",
    date: "date",
    time: "time of day",
    datetime: "date with time",
}
_PATTERNS = {
    NAME_PATTERN: "name",
    KEY_NAME_PATTERN: "name",
    SCOPE_PATTERN: "scope",
    ADDRESS_PATTERN: "e-mail address",
    REFERENCE_PATTERN: "[recipient](#recipients)",
}
_LINKS = {
    "Condition": "[comparisons](#comparisons)",
    "Search": "[search](#search)",
    "Retries": "[retries](#retries)",
    "AfterSpec": "[after](#after)",
    "WatermarkSpec": "column or [watermark](#watermark)",
    "DatasetSpec": "[dataset](#datasets)",
    "DatasetChecks": "[checks](#checks)",
    "RowsCheck": "[bounds](#number-of-rows)",
    "ControlTotal": "[control total](#control-total)",
    "QuietHours": "[quiet hours](#quiet-hours)",
    "NotifySpec": "[notify](#notify)",
    "Escalation": "[escalation](#escalation)",
    "Digests": "[digests](#digests)",
    "RetentionSpec": "[retention](#retention)",
    "ArchiveSpec": "[archive](#archive)",
    "ConnectionSpec": "[connection](#connections)",
    "CalendarSpec": "[calendar](#calendars)",
    "ScheduleSpec": "[schedule](#schedules)",
    "ExportSpec": "[export](#exports)",
}


def type_of(field: FieldInfo) -> str:
    """The field's type and limits: `whole number, 1 to 1000`."""
    return _name(field.annotation, field.metadata) + _limits(field.metadata)


def default_of(field: FieldInfo) -> str:
    """The field's default as YAML, "required", or "" for none."""
    if field.is_required() or "Selects this" in (field.description or ""):
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ("", [], {}, frozenset()):
        return ""
    if is_model(type(value)):
        return f"`{flow(value.model_dump())}`"
    return f"`{flow(_plain(value))}`"


def _plain(value: Any) -> Any:
    """The value as YAML has it."""
    if isinstance(value, time):
        return f"{value:%H:%M}"
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else str(value)
    return sorted(value) if isinstance(value, frozenset) else value


def _name(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    if get_origin(annotation) is Annotated:
        return _name(get_args(annotation)[0], get_args(annotation)[1:])
    kind = bare(annotation)
    if kind is not annotation and get_origin(annotation) in {Union, UnionType}:
        return _name(next(member for member in get_args(annotation) if bare(member) == kind), metadata)
    patterns = [_PATTERNS[note.pattern] for note in metadata if getattr(note, "pattern", None) in _PATTERNS]
    if kind is str and patterns:
        return patterns[0]
    if kind in _PLAIN:
        return _PLAIN[kind]
    if is_model(kind):
        return _LINKS[kind.__name__]
    return _compound(kind)


def _compound(kind: Any) -> str:
    arguments = get_args(kind)
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if get_origin(kind) in {list, frozenset}:
        return f"list of {_plural(_name(arguments[0]))}"
    if get_origin(kind) is tuple:  # of one or several
        return f"{_name(arguments[0])}, or a list of them"
    if get_origin(kind) is dict:
        return f"mapping of {_name(arguments[0])} to {_name(arguments[1])}"
    if get_origin(kind) in {Union, UnionType} and any(get_origin(argument) is Literal for argument in arguments):
        return " or ".join(_name(argument) for argument in arguments)
    choices = dict(members(kind))
    known = {"csv": "[format](#formats)", "s3": "[store](#stores)", "email": "[recipient](#recipients)"}
    known |= {"timing": "name or [schedule](#schedules)", "policy": "name or [retention](#retention)"}
    known |= {"waiting": "list of names, or [after](#after)"}
    known |= {"archive": "[archive](#archive) or `false`"}
    named = [text for tag, text in known.items() if tag in choices]
    return (named or [" or ".join(_name(member) for member in choices.values()) or "value"])[0]


def _plural(name: str) -> str:
    plural = {"name": "names", "value": "values", "date": "dates", "e-mail address": "e-mail addresses"}
    return {**plural, "[recipient](#recipients)": "[recipients](#recipients)"}.get(name, name)


def _limits(metadata: Iterable[Any]) -> str:
    """The bounds of a number, or of the length of a text or list."""
    bounds = {key: getattr(note, key) for note in metadata for key in ("ge", "gt", "le", "lt") if hasattr(note, key)}
    if "ge" in bounds and "le" in bounds:
        return f", {bounds['ge']:,} to {bounds['le']:,}"
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    return "".join(f", {words[key]} {value:,}" for key, value in bounds.items())
