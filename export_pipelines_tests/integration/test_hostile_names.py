"""Hostile names in every field that makes a path, and symbolic links planted in the store: nothing is written outside."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from export_pipelines.errors import ExportError
from export_pipelines.project import Project
from export_pipelines.settings import load_settings
from export_pipelines_tests.projects import EXPORT, environment, write_project
from export_pipelines_tests.unit.test_naming import HOSTILE

DAY = "2026-01-05"
RUN = "0123456789abcdef0123456789abcdef"
STAMP = "20260106_010000"
MORE = [
    "....//....//outside",
    "..;/outside",
    "%2e%2e%2foutside",
    "%252e%252e/outside",
    "file:///etc/passwd",
    "\\\\server\\share",
    "\\\\?\\C:\\x",
    "..\u2215outside",
    "..\u2044outside",
    "．．／outside",
    "\u202e/edistuo/..",
    "a\u200fb",
    "a\u061cb",
    "\u2066a\u2069",
    "\ufeffa",
    "a\u00a0b",
    "a\u2028b",
    "a\u0085b",
    "a\x7f",
    "a\x1b[2J",
    "a\0/../../outside",
    "ﬁle",
    "ſtudents",
    "\u212aelvin",
    "İstanbul",
    "ѕtudents",
    "a" * 256,
    "a/" * 300 + "a",
    "../" * 40 + "tmp/outside",
    "{export}",
    "{partition}/../..",
    "%s%n",
    "$(id)",
    "a;b",
    "a&b",
    "CONOUT$",
    "con .txt",
    "COM¹",
    ".staging",
    ".staging/students",
    "metadata.json/..",
]
NAMES = [*HOSTILE, *MORE]
FIELDS = ["export", "dataset", "format", "org", "path", "part of the path", "partition", "run"]
HARMLESS = {"part of the path": {"a/" * 300 + "a", "{export}"}}
"""Field -> names that mean nothing bad there."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_watched: list[list[str]] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Record the absolute paths of everything that changes a file system."""
    if not _watched:
        return
    changes = event in {"os.mkdir", "os.rename", "os.link", "os.symlink", "os.remove", "os.rmdir", "os.truncate"}
    changes |= event == "open" and isinstance(arguments[2], int) and bool(arguments[2] & _WRITING)
    paths = (
        [os.fsdecode(path) for path in arguments[:2] if isinstance(path, str | bytes | os.PathLike)] if changes else []
    )
    _watched[-1] += [path for path in paths if path.startswith("/")]


sys.addaudithook(_watch)


@contextmanager
def only_below(root: Path) -> Iterator[None]:
    """Fails if something outside `root/out` and the project's own state changes meanwhile."""
    before, paths = _tree(root), list[str]()
    _watched.append(paths)
    try:
        yield
    finally:
        _watched.pop()
    assert _tree(root) == before
    inside = (f"{root}/", f"{os.path.realpath(root)}/", "/dev/null")
    assert [path for path in paths if not os.path.normpath(path).startswith(inside)] == []
    for path in (root / "out").rglob("*"):
        assert path.resolve().is_relative_to((root / "out").resolve()) or path.is_symlink()


def _tree(root: Path) -> dict[str, str]:
    own = [root / name for name in ("out", "state", "specs")]
    found = {}
    for path in root.rglob("*"):
        if not any(path.is_relative_to(mine) for mine in own):
            data = path.read_bytes() if path.is_file() else b""
            found[str(path)] = f"{path.lstat().st_mode:o} {hashlib.sha256(data).hexdigest()}"
    return found


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A project's directory with something beside the store that must stay as it is."""
    write_project(tmp_path, {"students": {}})
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim.csv").write_text("do not touch\n")
    (outside / "metadata.json").write_text("{}\n")
    return tmp_path


def _entry(field: str, name: str) -> tuple[str, dict[str, Any]]:
    """Name and entry of an export that has the hostile name in this field."""
    entry: dict[str, Any] = dict(EXPORT)
    changes: dict[str, dict[str, Any]] = {
        "dataset": {"datasets": {name: {"table": "students"}}},
        "format": {"formats": [{"type": "csv", "name": name}]},
        "org": {"org": name, "path": "{org}/{run8}"},
        "path": {"path": name},
        "part of the path": {"path": f"{{export}}/{name}/{{run8}}"},
    }
    return (name if field == "export" else "students"), entry | changes.get(field, {})


def _attempt(root: Path, field: str, name: str) -> str:
    """`refused`, or `published` if the name is harmless there. Any other exception is a failure."""
    export, entry = _entry(field, name)
    document = {"connections": {"school": {"url": f"sqlite:///{root}/school.db"}}, "exports": {export: entry}}
    (root / "specs" / "test.yaml").write_text(json.dumps(document))  # YAML reads it, and it can hold any character
    made = Project.load(load_settings(environment(root)))
    try:
        made.specs.require_valid()
        partition, run_id = (name if field == "partition" else DAY), (name if field == "run" else RUN)
        made.run(made.request(export, partition, run_id=run_id))
    except (ExportError, UnicodeEncodeError):  # no database takes half of a surrogate pair as a run's id
        return "refused"
    finally:
        made.ledger.close()
    return "published"


@pytest.mark.parametrize("field", FIELDS)
def test_a_hostile_name_is_refused_or_stays_below_the_root(site: Path, field: str) -> None:
    assert len(set(NAMES)) >= 60
    results = {}
    for name in NAMES:
        with only_below(site):
            results[name] = _attempt(site, field, name)
    harmless = {name for name, result in results.items() if result == "published"}
    if field != "run":  # no person chooses a run's id: it only has to stay below the root
        assert harmless == HARMLESS.get(field, set())


LINKS = {
    "the partition": DAY,
    "the export": f"{DAY}/students",
    "the run": f"{DAY}/students/{STAMP}_{RUN[:8]}",
    "staging": ".staging",
    "staging of the export": ".staging/students",
    "staging of the partition": f".staging/students/{DAY}",
    "staging of the run": f".staging/students/{DAY}/1_{RUN[:8]}",
    "staging of a dead run": f".staging/students/{DAY}/0_dead",
    "a file": f"students_{RUN[:8]}_{STAMP}.csv",
    "a manifest": f"students_{RUN[:8]}_{STAMP}.metadata.json",
}


@pytest.mark.parametrize("target", ["directory", "file", "nothing"])
@pytest.mark.parametrize("layout", ["artifact", "flat"])
@pytest.mark.parametrize("place", LINKS)
def test_a_planted_link_is_not_followed(site: Path, place: str, layout: str, target: str) -> None:
    link = site / "out" / LINKS[place]
    link.parent.mkdir(parents=True, exist_ok=True)
    outside = {"directory": site / "outside", "file": site / "outside" / "victim.csv", "nothing": site / "new"}
    link.symlink_to(outside[target])
    made = Project.load(write_project(site, {"students": {"layout": layout}}))
    request = replace(made.request("students", DAY, run_id=RUN), created_at=datetime(2026, 1, 6, 1, tzinfo=UTC))
    with only_below(site):
        try:
            artifact = made.run(request)
        except ExportError as error:
            assert str(link) in str(error) or str(site / "out") in str(error)
        else:
            assert made.store("local").size(artifact.row.manifest_path)


def test_links_among_the_files_of_a_dead_run_are_deleted_and_not_followed(site: Path) -> None:
    dead = site / "out" / ".staging" / "students" / DAY / "0_dead"
    dead.mkdir(parents=True)
    (dead / "directory").symlink_to(site / "outside")
    (dead / "file.csv").symlink_to(site / "outside" / "victim.csv")
    made = Project.load(write_project(site, {"students": {}}))
    with only_below(site):
        made.run(made.request("students", DAY, run_id=RUN))
    assert not (site / "out" / ".staging").exists()


@pytest.mark.parametrize("directory", ["../outside", "..", f"{DAY}/../../outside", "/", "link"])
def test_a_note_of_a_dead_run_does_not_lead_out(site: Path, directory: str) -> None:
    dead = site / "out" / ".staging" / "students" / DAY / "0_dead"
    dead.mkdir(parents=True)
    (site / "out" / "link").symlink_to(site / "outside")
    (dead / "victim.csv").hardlink_to(site / "outside" / "victim.csv")
    (dead / "m.json").write_text("{}")
    (dead / ".placement").write_text(json.dumps({"directory": directory, "manifest": "m.json"}))
    made = Project.load(write_project(site, {"students": {}}))
    with only_below(site), pytest.raises(ExportError):
        made.run(made.request("students", DAY, run_id=RUN))


@pytest.mark.parametrize("note", [b"", b"\0\0\0", b'{"directory": "", "mani'])
def test_a_note_that_was_cut_does_not_stop_the_next_run(site: Path, note: bytes) -> None:
    dead = site / "out" / ".staging" / "students" / DAY / "0_dead"
    dead.mkdir(parents=True)
    (dead / ".placement").write_bytes(note)
    made = Project.load(write_project(site, {"students": {"layout": "flat"}}))
    made.run(made.request("students", DAY, run_id=RUN))
    assert not (site / "out" / ".staging").exists()
