"""SQL text of specs: where its `:name` parameters stand, and that it is one statement."""

from __future__ import annotations

import re

from export_pipelines.errors import SpecError

TOKEN = re.compile(
    r"""
      (?P<opaque>                                          # text in which `:`, `;` and `$1` mean nothing
          [eE]'(?:[^'\\]|\\.|'')*'                         #   PostgreSQL's string with backslashes
        | '(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*`        #   strings and quoted names
        | --[^\r\n]* | /\*.*?\*/                           #   comments
        | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ )    #   PostgreSQL's dollar quotes
    | \w[\w$]*                                             # words and numbers; `$` may be inside a PostgreSQL name
    | ::
    | (?<![\w$\\:]):(?P<name>[^\W\d]\w*)                   # not in a slice such as `a[1:n]`
    | \$(?P<position>\d+)
    | (?P<end>;)
    """,
    re.VERBOSE | re.DOTALL,
)
"""The parts of SQL in which a colon, a semicolon or a dollar sign may stand."""


def parameters(sql: str) -> set[str]:
    """The names that stand as `:name` outside of strings and comments; `::type` casts are none."""
    return {match["name"] for match in TOKEN.finditer(sql) if match["name"]}


def single_statement(sql: str) -> str:
    """The SQL without its closing semicolons. Raises SpecError if something follows a semicolon."""
    first = next((match for match in TOKEN.finditer(sql) if match["end"]), None)
    if first is None:
        return sql.strip()
    rest = TOKEN.sub(lambda m: "" if m["end"] or m[0].startswith(("--", "/*")) else m[0], sql[first.start() :])
    if rest.strip():
        raise SpecError(
            f"the SQL has more than one statement: {rest.strip()[:40]!r} follows a semicolon",
            hint="Write one dataset per statement",
        )
    return sql[: first.start()].strip()
