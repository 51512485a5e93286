"""Definitions are loaded once, and again as soon as anything that they are made of has changed."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
import pytest

from export_pipelines.orchestration.loaded import load_definitions
from export_pipelines_tests.projects import environment, write_project


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = environment(tmp_path)
    write_project(tmp_path, {"students": {}}, environ=variables)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


def names() -> set[str]:
    return {key.path[-1] for key in load_definitions().get_repository_def().asset_graph.executable_asset_keys}


def spec_file() -> Path:
    return next(Path(os.environ["EXPORT_SPECS"]).rglob("*.yaml"))


def test_what_has_not_changed_is_not_loaded_again() -> None:
    assert load_definitions() is load_definitions()
    assert names() == {"students"}


def test_a_changed_file_is_read_again() -> None:
    before = names()
    file = spec_file()
    file.write_text(file.read_text().replace("students:", "teachers:", 1))
    assert before == {"students"}
    assert names() == {"teachers"}


def test_a_file_changed_to_equal_size_and_time_is_read_again() -> None:
    assert names() == {"students"}
    file = spec_file()
    state = file.stat()
    file.write_text(file.read_text().replace("students:", "studentz:", 1))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert file.stat().st_size == state.st_size
    assert names() == {"studentz"}


def test_a_new_file_and_one_behind_a_link_are_read(tmp_path: Path) -> None:
    assert names() == {"students"}
    entry = spec_file().read_text()
    exports = entry[entry.index("exports:") :]
    target = tmp_path / "target.txt"
    target.write_text(exports.replace("students:", "teachers:", 1))
    (spec_file().parent / "more.yaml").symlink_to(target)
    assert names() == {"students", "teachers"}
    target.write_text(exports.replace("students:", "parents:", 1))
    assert names() == {"students", "parents"}


def test_a_changed_environment_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_definitions()
    monkeypatch.setenv("EXPORT_MAX_RECORDS", "7")
    changed = load_definitions()
    assert changed is not before
    (tmp_path / ".env").write_text("EXPORT_CROWD=3\n")
    assert load_definitions() is not changed


def test_a_link_to_nowhere_is_no_obstacle() -> None:
    (spec_file().parent / "gone.txt").symlink_to("nowhere")
    assert isinstance(load_definitions(), dg.Definitions)
