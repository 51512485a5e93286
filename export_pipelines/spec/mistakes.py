"""All mistakes in one spec entry at once.

Pydantic runs the checks that compare fields only where every field is valid, so a first mistake hides others. After
each round the mistakes found so far are mended in a copy — unknown keys get the name that was meant, wrong values the
example of their field — and the copy is validated again, until nothing new turns up.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from export_pipelines.spec.locate import Place, fields, is_model, locate, members
from export_pipelines.spec.messages import explain, slug
from export_pipelines.spec.problems import SpecPath, advice

_ROUNDS = 5


@dataclass(frozen=True)
class Validated:
    """The model, or None and the mistakes as path and message."""

    value: Any
    mistakes: list[tuple[SpecPath, str]]


def validate(kind: Any, raw: Any, *, source: Callable[[SpecPath], str | None], secret: bool) -> Validated:
    """The raw value as a model of this annotation.

    `source` tells what the file says at a path. Where `secret` is true, messages do not show values.
    """
    try:
        return Validated(_adapter(kind).validate_python(raw), [])
    except ValidationError as error:
        search = _Search(kind, copy.deepcopy(raw), source, secret)
        search.note(error)
    for _ in range(_ROUNDS):
        try:
            _adapter(kind).validate_python(search.raw)
            break
        except ValidationError as error:
            if not search.note(error):
                break
    return Validated(None, list(search.found))


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@dataclass
class _Search:
    kind: Any
    raw: Any
    source: Callable[[SpecPath], str | None]
    secret: bool
    found: dict[tuple[SpecPath, str], None] = field(default_factory=dict)
    renamed: dict[SpecPath, SpecPath] = field(default_factory=dict)

    def note(self, failure: ValidationError) -> bool:
        """Record the mistakes and mend them. Returns whether one was mended."""
        mended, errors = False, self._merged(failure)
        meant = {(*p.path[:-1], _meant(str(p.path[-1]), p)) for e, p in errors if e["type"] == "extra_forbidden"}
        for error, place in errors:
            path = self._original(place.path)
            message = explain(error, place, source=self.source(path), secret=self.secret)
            if error["type"] == "value_error" and is_model(place.kind):
                head, _, rest = message.partition(": ")
                if head in fields(place.kind):
                    path, message = (*path, head), rest
            if error["type"] == "union_tag_invalid" and isinstance(_at(self.raw, place.path), dict):
                path = (*path, "type")
            if error["type"] != "missing" or place.path not in meant:
                self.found.setdefault((path, message))
            mended |= self._mend(error, place)
        return mended

    def _merged(self, failure: ValidationError) -> list[tuple[ErrorDetails, Place]]:
        """Errors with their places; where every member of a union complains, one error stands for all."""
        errors: dict[SpecPath | int, tuple[ErrorDetails, Place]] = {}
        for position, error in enumerate(failure.errors(include_url=False)):
            place = locate(self.kind, error["loc"])
            alternatives = place.kind is None and len(error["loc"]) > len(place.path)
            if alternatives and error["type"].endswith(("_type", "_parsing")):
                error = {**error, "type": "plain_value", "msg": _PLAIN_VALUE}  # noqa: PLW2901 - one error for all members
                errors.setdefault(place.path, (error, place))
            else:
                errors[position] = (error, place)
        return list(errors.values())

    def _original(self, path: SpecPath) -> SpecPath:
        """The path as it is in the file, before keys were renamed."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.renamed:
                return (*self.renamed[path[:length]], *path[length:])
        return path

    def _mend(self, error: ErrorDetails, place: Place) -> bool:
        if error["type"] == "extra_forbidden":
            return self._rename(place.path, _meant(str(place.path[-1]), place))
        if error["loc"][-1:] == ("[key]",):
            return self._rename(place.path, slug(str(place.path[-1])))
        if place.field is None:
            return error["type"] in {"union_tag_invalid", "union_tag_not_found"} and self._choose(place)
        if not place.field.examples or (error["type"] == "value_error" and is_model(place.kind)):
            return False
        parent = _at(self.raw, place.field_path[:-1])
        near = _nearest_choice(error)
        if not isinstance(parent, dict) or (place.path[-1:] == _DECIDING and not near):
            return False
        meant = near if near and place.field_path == place.path else copy.deepcopy(place.field.examples[0])
        parent[place.field_path[-1]] = meant
        return True

    def _rename(self, path: SpecPath, name: str) -> bool:
        parent = _at(self.raw, path[:-1])
        if not isinstance(parent, dict) or path[-1] not in parent:
            return False
        value = parent.pop(path[-1])
        if name and name not in parent:
            parent[name] = value
            self.renamed[(*path[:-1], name)] = self._original(path)
        return True

    def _choose(self, place: Place) -> bool:
        """Give an entry without a valid `type` the one that was meant, or whose keys it has, if only one fits best."""
        entry = _at(self.raw, place.path)
        if not isinstance(entry, dict):
            return False
        known = {tag: len(entry.keys() & fields(model).keys()) for tag, model in members(place.kind)}
        near = _near(str(entry.get("type")), known)
        best = [near] if near else [tag for tag, count in known.items() if count == max(known.values())]
        if len(best) == 1:
            entry["type"] = best[0]
        return len(best) == 1


def _nearest_choice(error: ErrorDetails) -> str:
    """The choice that was most likely meant, or ""."""
    if error["type"] != "literal_error":
        return ""
    return _near(str(error["input"]), re.findall(r"'([^']*)'", str(error["ctx"]["expected"])))


_DECIDING = ("every",)
"""The key on whose value it depends which others are needed: a guess would make mistakes of those."""

_PLAIN_VALUE = "should be one value: text, a number, true, false, a date or null"


def _meant(key: str, place: Place) -> str:
    known = fields(place.owner) if isinstance(place.owner, type) and issubclass(place.owner, BaseModel) else {}
    return _near(key, known)


def _near(word: str, known: Iterable[str]) -> str:
    match = re.fullmatch(r"did you mean `(.+)`\?", advice(word, known))
    return match[1] if match else ""


def _at(raw: Any, path: SpecPath) -> Any:
    for step in path:
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            return None
    return raw
