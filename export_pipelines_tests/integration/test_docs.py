"""What the documentation shows works, and its links lead somewhere."""

import re
from pathlib import Path

import dagster as dg
import pytest

from export_pipelines.ledger import artifacts
from export_pipelines.project import Project
from export_pipelines.spec.load import load_specs
from export_pipelines_tests.projects import environment, write_project

REPOSITORY = Path(__file__).parents[2]
PAGES = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("deploy/**/*.md")]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (REPOSITORY / page).read_text(), re.DOTALL)


def test_the_hand_written_asset_of_the_page_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    settings = write_project(tmp_path, {"students": {}})
    (code,) = blocks("docs/hand-written-assets.md", "python")
    module: dict[str, object] = {}
    exec(compile(code, "page", "exec"), module)
    defs = module["defs"]
    assert isinstance(defs, dg.Definitions)
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey("scores")})
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(partition_key="2026-01-05", instance=instance).success
    (found,) = artifacts.find(Project.load(settings).ledger, export="scores")
    assert [file.name for file in found.manifest.files] == ["scores.csv", "scores.xlsx"]


def test_the_entry_of_the_readme_is_valid(tmp_path: Path) -> None:
    (entry,) = blocks("README.md", "yaml")
    common = "connections: {school: {url: 'sqlite:///x.db'}}\nschedules: {nightly: {cron: '0 2 * * *'}}\n"
    (tmp_path / "readme.yaml").write_text(common + entry)
    specs = load_specs(tmp_path, settings=Project.load().settings)
    assert [str(problem) for problem in specs.problems] == []
    assert list(specs.exports) == ["students"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_commands_of_the_readme_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"`?make ([a-z]+)`?", (REPOSITORY / "README.md").read_text()):
        assert re.search(rf"^([a-z ]+ )?{target}( [a-z ]+)?:", makefile, re.MULTILINE), target
