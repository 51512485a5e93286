"""What pydantic finds wrong, in words for people who write YAML."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from export_pipelines.spec.after import ASSET_PATTERN, AfterSpec
from export_pipelines.spec.base import KEY_NAME_PATTERN, NAME_PATTERN
from export_pipelines.spec.checks import DatasetChecks
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.datasets import DatasetSpec
from export_pipelines.spec.exports import LABEL_PATTERN, OWNER_PATTERN, ExportSpec
from export_pipelines.spec.locate import Place, fields, members
from export_pipelines.spec.naming import is_reserved
from export_pipelines.spec.notify import REFERENCE_PATTERN, SCOPE_PATTERN, NotifySpec
from export_pipelines.spec.problems import advice, hides_secret, short
from export_pipelines.spec.recipients import ADDRESS_PATTERN
from export_pipelines.spec.retention import RetentionSpec
from export_pipelines.spec.schedules import CalendarSpec, ScheduleSpec
from export_pipelines.spec.watermark import WatermarkSpec

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping (`key: value`)",
    "model_type": "a mapping (`key: value`)",
    "model_attributes_type": "a mapping (`key: value`)",
    "date_type": "a date such as 2026-01-31",
    "date_parsing": "a date such as 2026-01-31",
    "date_from_datetime_parsing": "a date such as 2026-01-31",
    "date_from_datetime_inexact": "a date without a time, such as 2026-01-31",
    "time_of_day": "a time of day such as 07:30",
    "local_time": "a local date and time such as 2026-12-31 18:00",
    "day_of_month": "a day from 1 to 31, or last",
    "working_day": "a number such as 1, the first, or -2, the last but one, or last",
    "decimal_type": "a number",
    "decimal_parsing": "a number",
}
_LIMITS = {
    "greater_than": "should be greater than {gt}",
    "greater_than_equal": "should be at least {ge}",
    "less_than": "should be less than {lt}",
    "less_than_equal": "should be at most {le}",
    "too_short": "should have at least {min_length} entry",
    "too_long": "should have at most {max_length} entries",
    "string_too_short": "should have at least {min_length} character",
    "string_too_long": "should have at most {max_length} character",
}
_BOUNDS = {"gt", "ge", "lt", "le", "min_length", "max_length"}
_RULES = {
    NAME_PATTERN: "use lower-case letters, digits and `_`, beginning with a letter, 63 characters at most",
    KEY_NAME_PATTERN: "use lower-case letters, digits, `_` and `-`, beginning with a letter, 63 characters at most",
    LABEL_PATTERN: "use letters, digits, `_`, `-` and `.`, beginning with a letter or digit, 63 characters at most",
    OWNER_PATTERN: "use `team:name` or an e-mail address",
    SCOPE_PATTERN: "use `default`, `org:NAME`, or an owner: `team:NAME` or an e-mail address",
    ADDRESS_PATTERN: "use an e-mail address such as ops@example.org, without a name",
    ASSET_PATTERN: "use the key of a Dagster asset, its parts joined by `/`, such as dbt/orders",
    REFERENCE_PATTERN: "use the name of a recipient or an e-mail address",
}
_HOMES: dict[str, type[BaseModel]] = {
    "an export": ExportSpec,
    "a dataset of an export": DatasetSpec,
    "`checks` of a dataset": DatasetChecks,
    "`watermark` of a dataset": WatermarkSpec,
    "`notify`": NotifySpec,
    "`retention`": RetentionSpec,
    "a schedule": ScheduleSpec,
    "`after`": AfterSpec,
    "a calendar": CalendarSpec,
    "a connection": ConnectionSpec,
}


def explain(error: ErrorDetails, place: Place, *, source: str | None, secret: bool) -> str:
    """The error in plain words.

    `source` is what the file says for a plain scalar. Where `secret` is true the value is not shown, nor is a URL.
    """
    kind, context = error["type"], error.get("ctx", {})
    secret = secret or hides_secret(error["input"])
    got = "" if secret else _got(error["input"])
    if kind in _SPECIAL:
        return _SPECIAL[kind](error, place, secret)
    if kind in _EXPECTED:
        return f"should be {_EXPECTED[kind]}" + _but(error, place, got, source if not secret else None)
    if kind in _LIMITS:
        bounds = {key: _number(value) for key, value in context.items() if key in _BOUNDS}
        return _LIMITS[kind].format(**bounds) + (got if "length" not in str(context) else "")
    return error["msg"].removeprefix("Value error, ")


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _choice(error: ErrorDetails, place: Place, secret: bool) -> str:
    expected, given = str(error["ctx"]["expected"]), error["input"]
    known = re.findall(r"'([^']*)'", expected) or [expected.lower()]  # texts, or one of true and false
    if given is None:
        return f"should be one of {', '.join(known)}, and nothing is given"
    shown = "this" if hides_secret(given) else short(given)
    return f"{shown} is not known; {advice(str(given), known)}"


def _got(value: object) -> str:
    if value is None:
        return ", and nothing is given"
    if isinstance(value, dict):
        return ", not a mapping"
    return ", not a list" if isinstance(value, list) else f", not {short(_text(value))}"


def _text(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value


def _but(error: ErrorDetails, place: Place, got: str, source: str | None) -> str:
    """What is there instead, and how to write what was most likely meant."""
    kind, value = error["type"], error["input"]
    if value is None and kind == "string_type" and ")" in str(place.path[-1:]):
        return '; text that holds a comma needs quotes, such as "decimal(18,2)"'
    if kind == "string_type" and source is not None and isinstance(value, bool | int | float | date):
        name = {bool: "true or false", int: "a number", float: "a number"}.get(type(value), "a date")
        return f"; YAML reads {source} as {name}, so write it in quotes"
    if _EXPECTED[kind] == "a list" and isinstance(value, str | int | float) and got:
        return f"; write [{flow(value)}]"
    return got


def _missing(error: ErrorDetails, place: Place, secret: bool) -> str:
    example = flow(place.field.examples[0]) if place.field and place.field.examples else ""
    return "is required" + (f", for example `{place.path[-1]}: {example}`" if 0 < len(example) <= 60 else "")


def _unknown_key(error: ErrorDetails, place: Place, secret: bool) -> str:
    known = fields(place.owner) if place.owner else {}
    key = str(place.path[-1])
    hint = advice(key, known)
    homes = [noun for noun, model in _HOMES.items() if key in fields(model) and model is not place.owner]
    if not hint.startswith("did") and homes:
        hint = f"it belongs to {' or '.join(homes)}"
    return f"unknown key; {hint}"


def _unknown_tag(error: ErrorDetails, place: Place, secret: bool) -> str:
    tag, known = str(error["ctx"]["tag"]), [name for name, _ in members(place.kind)]
    shown = "type" if hides_secret(tag) else f"{_noun(known)} {short(tag)}"
    hint = advice(tag, known)
    if "apprise" in known and not hint.startswith("did"):
        hint += "; Slack, Teams and many others go through apprise"
    return f"unknown {shown}; {hint}"


def _no_tag(error: ErrorDetails, place: Place, secret: bool) -> str:
    return f"`type` is required; {advice('', [name for name, _ in members(place.kind)])}"


def _not_a_union(error: ErrorDetails, place: Place, secret: bool) -> str:
    known = [name for name, _ in members(place.kind)]
    if "csv" in known:
        return f"should be a format ({', '.join(known)}) or a mapping with `type`{_got(error['input'])}"
    choices = f" with `type`: {', '.join(known[:-1])} or {known[-1]}" if known else ""
    return f"should be a mapping (`key: value`){choices}"


def _noun(known: list[str]) -> str:
    return "format" if "csv" in known else "type"


def _pattern(error: ErrorDetails, place: Place, secret: bool) -> str:
    rule = _RULES.get(error["ctx"]["pattern"])
    given = "this" if secret else short(error["input"])
    if rule:
        better = "" if secret else _better(str(error["input"]), rule)
        return f"{given} is not allowed; {rule}" + (f", for example `{better}`" if better else "")
    if place.field and place.field.examples:
        return f"{given} is not allowed; {place.field.description} Example: {flow(place.field.examples[0])}"
    return f"{given} is not allowed"


def _better(text: str, rule: str) -> str:
    """A text that follows the rule and resembles this one, or ""."""
    if rule == _RULES[SCOPE_PATTERN]:
        return f"org:{text}" if re.fullmatch(LABEL_PATTERN, text) else ""
    return slug(text) if "lower-case" in rule else ""


def slug(text: str) -> str:
    """A valid name that resembles the text, or "" if it holds no letter to begin with."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_").lstrip("0123456789_")[:60]
    return f"{name}_1" if is_reserved(name) else name


def flow(value: Any) -> str:
    """The value as YAML on one line: `[csv, {type: pdf}]`."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return re.sub(r"'(\d{4}-\d\d-\d\d)'", r"\1", text.removesuffix("...\n").strip())


_SPECIAL: dict[str, Callable[[ErrorDetails, Place, bool], str]] = {
    "missing": _missing,
    "literal_error": _choice,
    "string_pattern_mismatch": _pattern,
    "extra_forbidden": _unknown_key,
    "union_tag_invalid": _unknown_tag,
    "union_tag_not_found": _no_tag,
    "model_attributes_type": _not_a_union,
}
