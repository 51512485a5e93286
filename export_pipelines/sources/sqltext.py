"""SQL text of specs: where its `:name` parameters stand, and that it is one statement."""

from __future__ import annotations

import re
from collections.abc import Callable

from export_pipelines.errors import SpecError

_TOKEN = re.compile(
    r"""
      (?P<opaque>                                          # text in which `:`, `;` and `$1` mean nothing
          [eE]'(?:[^'\\]|\\.|'')*'                         #   PostgreSQL's string with backslashes
        | '(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*`        #   strings and quoted names
        | --[^\r\n]* | /\*.*?\*/                           #   comments
        | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ )    #   PostgreSQL's dollar quotes
    | \w[\w$]*                                             # words and numbers; `$` may be inside a PostgreSQL name
    | ::
    | :(?P<name>[^\W\d]\w*)
    | \$(?P<position>\d+)
    | (?P<end>;)
    """,
    re.VERBOSE | re.DOTALL,
)


def parameters(sql: str) -> set[str]:
    """The names that stand as `:name` outside of strings and comments; `::type` casts are none."""
    return {match["name"] for match in _TOKEN.finditer(sql) if match["name"]}


def single_statement(sql: str) -> str:
    """The SQL without its closing semicolons. Raises SpecError if something follows a semicolon."""
    first = next((match for match in _TOKEN.finditer(sql) if match["end"]), None)
    if first is None:
        return sql.strip()
    rest = _TOKEN.sub(lambda m: "" if m["end"] or m[0].startswith(("--", "/*")) else m[0], sql[first.start() :])
    if rest.strip():
        raise SpecError(
            f"the SQL has more than one statement: {rest.strip()[:40]!r} follows a semicolon",
            hint="Write one dataset per statement",
        )
    return sql[: first.start()].strip()


def replace_parameters(sql: str, replacement: Callable[[str], str]) -> str:
    """The SQL with `replacement(name)` in place of every `:name`."""
    return _TOKEN.sub(lambda match: replacement(match["name"]) if match["name"] else match[0], sql)


def replace_positions(sql: str, replacement: Callable[[int], str]) -> str:
    """The SQL with `replacement(number)` in place of every `$number`; the first number is 1."""
    return _TOKEN.sub(lambda match: replacement(int(match["position"])) if match["position"] else match[0], sql)


def escape_colons(sql: str) -> str:
    r"""The SQL with `\:` for every colon that is not part of a parameter, as `sqlalchemy.text` wants it.

    Left alone, `text` finds parameters inside string literals and cuts `:name::type` in the wrong place.
    """
    parts, position = [], 0
    for match in _TOKEN.finditer(sql):
        if match["name"]:
            parts += [sql[position : match.start()].replace(":", r"\:"), match[0]]
            position = match.end()
    return "".join(parts) + sql[position:].replace(":", r"\:")


def first_word(sql: str) -> str:
    """The first word outside of comments and brackets, in lower case."""
    bare = re.sub(r"--[^\r\n]*|/\*.*?\*/", " ", sql, flags=re.DOTALL)
    match = re.match(r"[\s(]*(\w*)", bare)
    return match[1].lower() if match else ""
