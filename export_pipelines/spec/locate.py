"""Where a validation error is: pydantic's location as a path in the file, and the field that it belongs to.

A location holds more than keys and positions: the tag of the chosen member of a union (`pdf`), `[key]`, the names of
types and of wrapping functions. Walking the models along it tells these apart from keys that merely look like them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Tag
from pydantic.fields import FieldInfo

from export_pipelines.spec.problems import SpecPath


@dataclass(frozen=True)
class Place:
    """A value in a spec entry."""

    path: SpecPath
    kind: Any
    """The annotation of the value, without Annotated and None; None where the models say nothing."""
    owner: type[BaseModel] | None = None
    """The model that the nearest field above belongs to, or, for an unknown key, the model that does not know it."""
    field: FieldInfo | None = None
    field_path: SpecPath = ()
    """The nearest field at or above the place, and its path."""


def locate(kind: Any, location: Sequence[str | int]) -> Place:
    """The place of a location in a value of this annotation."""
    place = Place((), bare(kind))
    for step in location[:-1] if location[-1:] == ("[key]",) else location:
        place = _step(place, step)
    return place


def _step(place: Place, step: str | int) -> Place:
    kind = place.kind
    here = (*place.path, step)
    if is_model(kind):
        found = fields(kind).get(str(step))
        if found is None:
            return Place(here, None, kind, place.field, place.field_path)
        return Place(here, bare(found.annotation), kind, found, here)
    if get_origin(kind) is dict:
        return Place(here, bare(get_args(kind)[1]), place.owner, place.field, place.field_path)
    if get_origin(kind) in {list, tuple, frozenset, set} and isinstance(step, int):
        return Place(here, bare(get_args(kind)[0]), place.owner, place.field, place.field_path)
    inner = next((member for tag, member in members(kind) if tag == step), None)
    return Place(place.path, inner, place.owner, place.field, place.field_path)


def is_model(kind: Any) -> bool:
    """Whether the annotation is a model."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The model's fields by the key that they have in YAML."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def bare(kind: Any) -> Any:
    """The annotation without Annotated and without None."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in {Union, UnionType}:
        rest = [member for member in get_args(kind) if member is not NoneType]
        if len(rest) == 1:
            return bare(rest[0])
    return kind


def members(kind: Any) -> Iterator[tuple[str, Any]]:
    """The tags of a discriminated union, each with its member."""
    if get_origin(kind) not in {Union, UnionType}:
        return
    for member in get_args(kind):
        inner = bare(member)
        if is_model(inner) and "type" in inner.model_fields:
            choice = inner.model_fields["type"].annotation
            if get_origin(choice) is Literal:
                yield from ((tag, inner) for tag in get_args(choice))
        for note in getattr(member, "__metadata__", ()):
            if isinstance(note, Tag):
                yield note.tag, inner
