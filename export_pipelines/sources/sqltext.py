"""SQL text of specs, rewritten for a driver: other parameter styles, escaped colons."""

from __future__ import annotations

import re
from collections.abc import Callable

from export_pipelines.spec.sqltext import TOKEN


def replace_parameters(sql: str, replacement: Callable[[str], str]) -> str:
    """The SQL with `replacement(name)` in place of every `:name`."""
    return TOKEN.sub(lambda match: replacement(match["name"]) if match["name"] else match[0], sql)


def replace_positions(sql: str, replacement: Callable[[int], str]) -> str:
    """The SQL with `replacement(number)` in place of every `$number`; the first number is 1."""
    return TOKEN.sub(lambda match: replacement(int(match["position"])) if match["position"] else match[0], sql)


def escape_colons(sql: str) -> str:
    r"""The SQL with `\:` for every colon that is not part of a parameter, as `sqlalchemy.text` wants it.

    Left alone, `text` finds parameters inside string literals and cuts `:name::type` in the wrong place.
    """
    parts, position = [], 0
    for match in TOKEN.finditer(sql):
        if match["name"]:
            parts += [sql[position : match.start()].replace(":", r"\:"), match[0]]
            position = match.end()
    return "".join(parts) + sql[position:].replace(":", r"\:")


def first_word(sql: str) -> str:
    """The first word outside of comments and brackets, in lower case."""
    bare = re.sub(r"--[^\r\n]*|/\*.*?\*/", " ", sql, flags=re.DOTALL)
    match = re.match(r"[\s(]*(\w*)", bare)
    return match[1].lower() if match else ""
