"""The entries of spec files: found, read and validated one by one, so that a mistake concerns one entry only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yaml.nodes import MappingNode, ScalarNode

from export_pipelines.spec.base import KeyName, Name
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.document import Issue, Pair, line_of, pairs, plain, read_document, source_text
from export_pipelines.spec.exports import ExportSpec
from export_pipelines.spec.mistakes import validate
from export_pipelines.spec.notify import NotifySpec, Scope
from export_pipelines.spec.problems import Problem, SpecPath, advice, dotted, one_line
from export_pipelines.spec.recipients import RecipientSpec
from export_pipelines.spec.references import (
    has_reference,
    literal_secret,
    malformed_reference,
    strings,
    without_references,
)
from export_pipelines.spec.retention import RetentionSpec
from export_pipelines.spec.schedules import CalendarSpec, ScheduleSpec
from export_pipelines.spec.stores import StoreSpec

SECTIONS: dict[str, Any] = {
    "connections": ConnectionSpec,
    "stores": StoreSpec,
    "calendars": CalendarSpec,
    "schedules": ScheduleSpec,
    "recipients": RecipientSpec,
    "notify": NotifySpec,
    "retention": RetentionSpec,
    "exports": ExportSpec,
}
"""Top-level key of a file -> the model of its entries."""

_WITH_SECRETS = ("connections", "stores", "recipients")
"""Sections whose text may hold references."""

_SECRET_KEYS = (("secret_access_key",), ("secret",))
_NAMES: dict[str, Any] = {"schedules": Name, "notify": Scope, "exports": Name}


@dataclass
class Entry:
    """One definition in one file; `value` is the validated model, or None."""

    section: str
    file: str
    pair: Pair
    raw: Any = None
    value: Any = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name in the section."""
        return self.pair.key

    def report(self, path: SpecPath, message: str, *, line: int | None = None) -> None:
        """Add a problem at the path below the entry."""
        where = line_of(self.pair, path) if line is None else line
        export = self.name if self.section == "exports" else None
        full = dotted((self.section, self.name, *path))
        self.problems.append(Problem(self.file, where, full, one_line(message), export))

    def reported(self, path: SpecPath, beginning: str) -> bool:
        """Whether a problem at the path has a message that begins like this."""
        full = dotted((self.section, self.name, *path))
        return any(problem.path == full and problem.message.startswith(beginning) for problem in self.problems)


@dataclass
class Reading:
    """What the files hold, in their order."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    """Problems of whole files and of what is in no entry."""
    files: list[str] = field(default_factory=list)
    unread: list[Problem] = field(default_factory=list)
    """Problems of files and sections of which nothing could be read, so that names may be missing."""


def read_entries(directories: Sequence[Path]) -> Reading:
    """All entries of all `*.yaml` and `*.yml` files below the directories, validated."""
    reading, seen = Reading(), set[Path]()
    for directory in directories:
        if not directory.exists():
            advice_ = "create it, or set EXPORT_SPECS to the directory of the spec files"
            reading.unread.append(Problem(str(directory), 0, "", f"does not exist; {advice_}"))
            continue
        for path in _files(directory, reading):
            if path.resolve() not in seen:
                seen.add(path.resolve())
                _read_file(path, _shown(path, directory, alone=len(directories) == 1), reading)
    reading.problems.extend(reading.unread)
    return reading


def _files(directory: Path, reading: Reading) -> Iterator[Path]:
    """The spec files, sorted. Hidden files and directories are skipped, as in a mounted Kubernetes ConfigMap."""
    if directory.is_file():
        yield directory
        return

    def report(error: OSError) -> None:
        reading.unread.append(Problem(str(error.filename), 0, "", f"cannot be read: {error.strerror}"))

    found = []
    for parent, directories, names in os.walk(directory, onerror=report):
        directories[:] = [name for name in directories if not name.startswith(".")]
        found += [Path(parent, name) for name in names if name.endswith((".yaml", ".yml")) and not name.startswith(".")]
    yield from sorted(found)


def _shown(path: Path, directory: Path, *, alone: bool) -> str:
    """The path relative to the working directory, or else to the specs directory."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
    if absolute.is_relative_to(Path.cwd()):
        return one_line(str(absolute.relative_to(Path.cwd())))
    base = directory if alone and directory.is_dir() else directory.parent
    return one_line(str(path.relative_to(base)))


def _read_file(path: Path, file: str, reading: Reading) -> None:
    document = read_document(path)
    reading.files.append(file)
    if isinstance(document, Issue):
        reading.unread.append(Problem(file, document.line, "", document.message))
        return
    if document.root is None:
        return
    if not isinstance(document.root, MappingNode):
        message = f"should be a mapping with the keys {', '.join(SECTIONS)}"
        reading.unread.append(Problem(file, document.root.start_mark.line + 1, "", message))
        return
    issues: list[Issue] = []
    sections = pairs(document.root, issues)
    reading.problems += [Problem(file, issue.line, dotted(issue.path), issue.message) for issue in issues]
    first: dict[str, int] = {}
    for section in sections:
        if section.key in first:
            message = f"is given twice; merge it into the first one, on line {first[section.key]}"
            reading.problems.append(Problem(file, section.line, dotted((section.key,)), message))
        first.setdefault(section.key, section.line)
        _read_section(section, file, reading)


def _read_section(section: Pair, file: str, reading: Reading) -> None:
    path = dotted((section.key,))
    if section.key.startswith("x-"):
        return
    if section.key not in SECTIONS:
        hint = advice(section.key, SECTIONS)
        meant = reading.unread if hint.startswith("did") else reading.problems
        meant.append(Problem(file, section.line, path, f"unknown key; {hint}"))
        return
    if isinstance(section.node, ScalarNode) and section.node.tag.endswith(":null"):
        return
    if not isinstance(section.node, MappingNode):
        message = "should be a mapping of names, each with its settings below it"
        reading.unread.append(Problem(file, section.line, path, message))
        return
    issues: list[Issue] = []
    for pair in pairs(section.node, issues, (section.key,)):
        entry = Entry(section.key, file, pair)
        _check(entry)
        reading.entries.append(entry)
    reading.problems += [Problem(file, issue.line, dotted(issue.path), issue.message) for issue in issues]


def _check(entry: Entry) -> None:
    """Read and validate the entry's value; every mistake becomes a problem."""
    issues: list[Issue] = []
    entry.raw = plain(entry.pair.node, issues)
    for issue in issues:
        entry.report(issue.path, issue.message, line=issue.line)
    broken = {issue.path for issue in issues}
    kind = SECTIONS[entry.section]
    name_kind = _NAMES.get(entry.section, KeyName)
    name = validate(name_kind, entry.name, source=lambda path: None, secret=False)
    result = validate(
        kind, entry.raw, source=lambda path: source_text(entry.pair.node, path), secret=_hides_values(entry)
    )
    for path, message in name.mistakes + result.mistakes:
        if path not in broken:
            entry.report(path, message)
    _check_references(entry)
    if result.value is None and not entry.problems:
        entry.report((), "is not valid")
    entry.value = result.value if not entry.problems else None


def _hides_values(entry: Entry) -> bool:
    """Whether messages must not show what the entry says. Addresses are no secrets, and hard to mend unseen."""
    is_email = isinstance(entry.raw, dict) and entry.raw.get("type") == "email"
    return entry.section in _WITH_SECRETS and not is_email


def _check_references(entry: Entry) -> None:
    """References must be well-formed; secrets must be references; the sections without secrets hold neither."""
    for path, text in strings(entry.raw):
        if entry.section in _WITH_SECRETS:
            if message := malformed_reference(text):
                entry.report(path, message)
            elif _is_literal(path, text) and not entry.reported(path, "holds a secret"):
                variable = f"{entry.name}_{'SECRET' if path in _SECRET_KEYS else 'PASSWORD'}".upper()
                hint = f"keep it in the environment and write `${{env:{variable.replace('-', '_')}}}` in its place"
                entry.report(path, f"holds a secret in plain text; {hint}")
        elif path[-1:] != ("description",) and has_reference(text):
            entry.report(path, "references such as `${env:NAME}` work in connections, stores and recipients only")


def _is_literal(path: SpecPath, text: str) -> bool:
    return bool(without_references(text)) if path in _SECRET_KEYS else literal_secret(text)
