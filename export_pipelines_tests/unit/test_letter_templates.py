"""Templates of the operator in place of the shipped ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from export_pipelines.notify.message import Event, Letter
from export_pipelines.project import Project
from export_pipelines.settings import Settings
from export_pipelines_tests.projects import project as make_project
from export_pipelines_tests.unit.letters import CAUSE, event, letter


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path, {"students": {}})


def composed(project: Project, directory: Path, given: Event) -> Letter:
    settings = Settings({**project.settings.variables, "EXPORT_NOTIFY_TEMPLATES": str(directory)})
    return letter(Project(settings, project.specs), given)


def test_a_file_of_the_same_name_replaces_ours(project: Project, tmp_path: Path) -> None:
    own = tmp_path / "templates"
    own.mkdir()
    (own / "letter.txt").write_text("{{ title }} / {{ recipient }} / {{ event.cause }} / {{ data.level }}")
    (own / "base.html").write_text("<b>{% block body %}{% endblock %}</b>")
    found = composed(project, own, event("failed", cause="<i>"))
    assert found.text == "Failed: students 2026-11-21 / ops / <i> / failure\n"
    assert found.html.startswith("<b>")
    assert "&lt;i&gt;" in found.html


def test_a_template_for_one_kind_comes_first(project: Project, tmp_path: Path) -> None:
    own = tmp_path / "templates"
    own.mkdir()
    (own / "late.txt").write_text("too late")
    (own / "folded.txt").write_text("folded")
    assert composed(project, own, event("late")).text == "too late\n"
    assert composed(project, own, event("failed")).text.startswith("Failed: students")


@pytest.mark.parametrize(
    "broken", ["{{", "{{ nothing.at.all }}", "{{ 1 / 0 }}", "{% include 'no' %}", "{{ title + 1 }}"]
)
def test_a_broken_template_loses_nothing(project: Project, tmp_path: Path, broken: str) -> None:
    own = tmp_path / "templates"
    own.mkdir()
    (own / "letter.html").write_text(broken)
    found = composed(project, own, event("failed"))
    assert CAUSE in found.text
    assert "EXPORT_NOTIFY_TEMPLATES cannot be used" in found.text
    assert "EXPORT_NOTIFY_TEMPLATES cannot be used" in found.html


def test_a_directory_that_is_missing_loses_nothing(project: Project, tmp_path: Path) -> None:
    found = composed(project, tmp_path / "nowhere", event("failed"))
    assert CAUSE in found.text
    assert "there is no directory" in " ".join(found.text.split())
