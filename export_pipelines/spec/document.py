"""One YAML file: its tree with line numbers, and plain values made from it.

Differences from YAML 1.1, which PyYAML implements, each because the old rule changes data in silence: keys are always
text (an export may be called `no`), `yes`, `no`, `on` and `off` stay text where text is meant, `12:30` is text, and a
number with a leading zero is refused instead of being read as octal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.events import CollectionEndEvent, CollectionStartEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from export_pipelines.spec.problems import SpecPath
from export_pipelines.spec.syntax import explain

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_MAX_BYTES = 10_000_000
_MAX_DEPTH = 50
_MAX_VALUES = 500_000
"""Values after every alias is expanded. 2,000 exports need about 100,000."""

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Issue:
    """A mistake in the YAML itself: where it is and what it is."""

    line: int
    message: str
    path: SpecPath = ()


@dataclass(frozen=True)
class Pair:
    """A key of a mapping with its line (1-based) and value."""

    key: str
    line: int
    node: Node


@dataclass(frozen=True)
class Document:
    """The tree of a file; `root` is None if the file holds nothing."""

    root: Node | None


def read_document(path: Path) -> Document | Issue:
    """The tree of the file, or why there is none."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            return Issue(0, f"is larger than {_MAX_BYTES // 1_000_000} MB; split it, or move it out of the specs")
        data = path.read_bytes()
    except OSError as error:
        return Issue(0, f"cannot be read: {error.strerror}; check that it exists and its permissions")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Issue(data.count(b"\n", 0, error.start) + 1, "is not UTF-8 here; save the file as UTF-8")
    return parse_document(text)


def parse_document(text: str) -> Document | Issue:
    """The tree of the text, or why there is none."""
    if match := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, match.start()) + 1
        return Issue(line, f"holds the control character U+{ord(match[0]):04X}; remove it, or write it as an escape")
    try:
        if deep := _too_deep(text):
            return Issue(deep, f"is nested deeper than {_MAX_DEPTH} levels")
        root = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        return Issue(*explain(error, text.splitlines()))
    if root is None or root.tag == _TAG + "null":
        return Document(None)
    measure = _Measure()
    measure.visit(root)
    return measure.issue or Document(root)


def _too_deep(text: str) -> int:
    """The line on which the nesting gets too deep, or 0. libyaml's composer would overflow the stack."""
    loader, depth = _Loader(text), 0
    while (event := loader.get_event()) is not None:
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                return _line(event)
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
    return 0


def _line(part: Node | CollectionStartEvent) -> int:
    return part.start_mark.line + 1 if part.start_mark else 1


@dataclass
class _Measure:
    """Counts what a tree holds once its aliases are expanded, without expanding them."""

    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Node -> values and levels; (0, 0) while the node is still open."""
    issue: Issue | None = None

    def visit(self, node: Node) -> tuple[int, int]:
        if id(node) in self.sizes:
            if not self.sizes[id(node)][0]:
                self.issue = Issue(_line(node), "an anchor holds an alias of itself")
            return self.sizes[id(node)]
        self.sizes[id(node)] = (0, 0)
        size, depth = 1, 0
        for child in _children(node):
            inner = self.visit(child)
            size, depth = size + inner[0], max(depth, inner[1])
        if (size > _MAX_VALUES or depth >= _MAX_DEPTH) and self.issue is None:
            self.issue = Issue(_line(node), "the aliases expand to far too many values")
        self.sizes[id(node)] = (size, depth + 1)
        return self.sizes[id(node)]


def _children(node: Node) -> Iterator[Node]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, SequenceNode):
        yield from node.value


def pairs(node: MappingNode, issues: list[Issue], path: SpecPath = ()) -> list[Pair]:
    """The mapping's pairs, those merged with `<<` first; a key that is there twice is there twice."""
    merged: dict[str, Pair] = {}
    own: list[Pair] = []
    for key, value in node.value:
        line = _line(key)
        if key.tag == _MERGE:
            for source in value.value if isinstance(value, SequenceNode) else [value]:
                if not isinstance(source, MappingNode):
                    issues.append(Issue(line, "`<<` merges mappings only", path))
                    continue
                for pair in pairs(source, issues, path):
                    merged.setdefault(pair.key, pair)
        elif isinstance(key, ScalarNode):
            own.append(Pair(key.value, line, value))
        else:
            issues.append(Issue(line, "a key must be plain text, not a list or mapping", path))
    keys = {pair.key for pair in own}
    return [pair for pair in merged.values() if pair.key not in keys] + own


def plain(node: Node, issues: list[Issue], path: SpecPath = ()) -> Any:
    """The node as dicts, lists and scalars. What is wrong is appended to `issues`, and None stands for it."""
    if isinstance(node, MappingNode) and node.tag == _TAG + "map":
        return _mapping(node, issues, path)
    if isinstance(node, SequenceNode) and node.tag == _TAG + "seq":
        return [plain(item, issues, (*path, position)) for position, item in enumerate(node.value)]
    if isinstance(node, ScalarNode) and node.tag in _SCALARS:
        message = "is not a date that exists" if node.tag == _TAG + "timestamp" else "is not a number"
        try:
            return _SCALARS[node.tag](node)
        except _OctalError:
            message = "a number does not begin with 0; remove the zero, or write quotes around it if it is text"
        except ValueError:
            pass
        issues.append(Issue(_line(node), message, path))
        return None
    issues.append(Issue(_line(node), "YAML tags (`!…`) are not supported; quote text that begins with !", path))
    return None


def _mapping(node: MappingNode, issues: list[Issue], path: SpecPath) -> dict[str, Any]:
    result: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for pair in pairs(node, issues, path):
        here = (*path, pair.key)
        if pair.key in lines:
            issues.append(Issue(pair.line, f"is given twice; the first time on line {lines[pair.key]}", here))
        lines.setdefault(pair.key, pair.line)
        result[pair.key] = plain(pair.node, issues, here)
    return result


class _OctalError(ValueError):
    """A number with a leading zero: octal in YAML 1.1, decimal in YAML 1.2, and most often meant as text."""


def _integer(node: ScalarNode) -> int | str:
    if ":" in node.value:
        return str(node.value)
    if re.match(r"[-+]?0[0-9_]", node.value):
        raise _OctalError
    return int(_CONSTRUCT.construct_yaml_int(node))


def _number(node: ScalarNode) -> float | str:
    return str(node.value) if ":" in node.value else float(_CONSTRUCT.construct_yaml_float(node))


def _boolean(node: ScalarNode) -> bool | str:
    text = str(node.value)
    return text.lower() == "true" if text.lower() in {"true", "false"} else text


def _timestamp(node: ScalarNode) -> date | datetime:
    if not SafeConstructor.timestamp_regexp.match(node.value):
        raise ValueError
    value: date | datetime = _CONSTRUCT.construct_yaml_timestamp(node)
    return value


_CONSTRUCT: Any = SafeConstructor()
_SCALARS: dict[str, Any] = {
    _TAG + "str": lambda node: node.value,
    _TAG + "value": lambda node: node.value,
    _TAG + "null": lambda node: None,
    _TAG + "bool": _boolean,
    _TAG + "int": _integer,
    _TAG + "float": _number,
    _TAG + "timestamp": _timestamp,
}


def line_of(pair: Pair, path: SpecPath) -> int:
    """The line (1-based) of the key or item at the path below the pair, or of the nearest level that exists."""
    line, node = pair.line, pair.node
    for step in path:
        found = _step(node, step)
        if found is None:
            break
        line, node = found
    return line


def source_text(node: Node, path: SpecPath) -> str | None:
    """What is written in the file for the scalar at the path; None for collections, quoted text and what is missing."""
    for step in path:
        found = _step(node, step)
        if found is None:
            return None
        node = found[1]
    return str(node.value) if isinstance(node, ScalarNode) and not node.style else None


def _step(node: Node, step: str | int) -> tuple[int, Node] | None:
    if isinstance(node, MappingNode):
        found = [pair for pair in pairs(node, []) if pair.key == step]
        return (found[-1].line, found[-1].node) if found else None
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return _line(node.value[step]), node.value[step]
    return None
