"""What the YAML parser says, in words that help to mend the file."""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

_UNCLOSED = {
    "while parsing a flow sequence": "the list that begins here with `[` is not closed with `]`, or lacks a comma",
    "while parsing a flow mapping": "the mapping that begins here with `{` is not closed with `}`, or lacks a comma",
    "while scanning a quoted scalar": "the quoted text that begins here is not closed",
}
_KNOWN = {
    "did not find expected node content": "a value is missing here, or a `[` or `{` above is not closed",
    "block sequence entries are not allowed in this context": "write list items (`- …`) on lines of their own",
    "found undefined alias": "there is no anchor for this alias in the file; text that begins with `*` needs quotes",
    "found unknown escape character": "unknown escape in double quotes; use single quotes, or \\\\ for a backslash",
    "found invalid Unicode character escape code": "the escape in double quotes is not a Unicode character",
    "but found another document": "a second document begins here; write one document per file, without `---`",
    "second occurrence": "an anchor of this name exists already; give it another name",
    "found a tab character that violates indentation": "indent with spaces, not with tabs",
    "did not find expected <document start>": "the document has ended before this line; remove the `...` above it",
}
_STARTS = {
    "while scanning an alias": "text that begins with `*` needs quotes",
    "while scanning an anchor": "text that begins with `&` needs quotes",
    "while scanning a directive": "text that begins with `%` needs quotes",
    "while scanning a tag": "text that begins with `!` needs quotes",
    "while scanning a block scalar": "text that begins with `|` or `>` needs quotes",
}
_INDENTATION = "this line does not fit the lines above it; check the indentation"


def explain(error: yaml.MarkedYAMLError, lines: Sequence[str]) -> tuple[int, str]:
    """The line (1-based) to look at and what is wrong there; never the text itself, which may be a secret."""
    problem, context = str(error.problem or ""), str(error.context or "")
    number = min(error.problem_mark.line if error.problem_mark else 0, max(len(lines) - 1, 0))
    begin = error.context_mark.line if error.context_mark else number
    text = lines[number] if number < len(lines) else ""
    if problem in _KNOWN:
        return number + 1, _KNOWN[problem]
    if context in {**_STARTS, **_UNCLOSED}:
        return begin + 1, {**_STARTS, **_UNCLOSED}[context]
    if problem == "found character that cannot start any token":
        column = error.problem_mark.column if error.problem_mark else 0
        return number + 1, _bad_start(text[column : column + 1])
    if problem == "mapping values are not allowed in this context":
        return number + 1, _colon(text)
    if problem in {"did not find expected key", "did not find expected '-' indicator"}:
        return number + 1, _unexpected(text)
    return number + 1, f"is not valid YAML: {problem or error}"


def _bad_start(character: str) -> str:
    if character in {"\t", ""}:
        return "indent with spaces, not with tabs"
    return f"text that begins with {character} needs quotes"


def _colon(text: str) -> str:
    """A second `: ` on the line, or a line indented below a value."""
    if re.search(r":\s.*:(\s|$)", text):
        return "text that contains `: ` needs quotes"
    return f"{_INDENTATION}, and quote text that contains `: `"


def _unexpected(text: str) -> str:
    """More text where a value has ended: `{a}/{b}` and `'it's'` begin like a mapping and like quoted text."""
    value = re.sub(r"^[\s-]*([^:'\"{\[]+:\s+)?", "", text)
    if value[:1] in {"{", "["}:
        return f"text that begins with `{value[0]}` needs quotes"
    if value[:1] == "'":
        return "quoted text ends before the line does; write '' for a quote inside it"
    if value[:1] == '"':
        return 'quoted text ends before the line does; write \\" for a quote inside it'
    return _INDENTATION
