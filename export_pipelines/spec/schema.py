"""The JSON Schema of spec files, for editors.

`python -m export_pipelines.spec.schema` prints the reference page, and with `--json` the schema.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from export_pipelines.spec.model import SpecFile
from export_pipelines.spec.reference import reference_markdown

__all__ = ["json_schema", "main", "reference_markdown"]


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one spec file.

    Formats and schedules may be plain names, unknown keys and invalid names are errors, and top-level keys that begin
    with `x-` may hold anything.
    """
    schema = _tidy(SpecFile.model_json_schema(by_alias=True, mode="validation"))
    for model in schema["$defs"].values():
        if "const" in model["properties"].get("type", {}):
            model["required"] = ["type", *model.get("required", [])]
    for section in schema["properties"].values():
        section["type"] = ["object", "null"]
    schema["patternProperties"] = {"^x-": True}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Export specs"}


def _tidy(node: Any) -> Any:
    """The schema without what pydantic derives from names and without keywords of OpenAPI."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidy(value) for key, value in node.items() if not _is_noise(key, value)}
    choices = tidy.get("anyOf", [])
    if {"type": "null"} in choices:
        tidy = _nullable(tidy, [choice for choice in choices if choice != {"type": "null"}])
    if "patternProperties" in tidy:
        tidy["additionalProperties"] = False
    return tidy


def _is_noise(key: str, value: Any) -> bool:
    """A title made from a name, null as default, or OpenAPI's discriminator."""
    return (key == "title" and isinstance(value, str)) or (key == "default" and value is None) or key == "discriminator"


def _nullable(schema: dict[str, Any], choices: list[dict[str, Any]]) -> dict[str, Any]:
    """`type: [text, null]` reads better in an editor than a choice of two."""
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    if len(choices) == 1 and isinstance(choices[0].get("type"), str) and "enum" not in choices[0]:
        return {**rest, **choices[0], "type": [choices[0]["type"], "null"]}
    return {**rest, "anyOf": [*choices, {"type": "null"}]}


def main() -> None:
    """Print the reference page, or the schema with `--json`."""
    as_json = "--json" in sys.argv[1:]
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n" if as_json else reference_markdown())


if __name__ == "__main__":
    main()
