"""The same specs on SQLite and PostgreSQL write the same bytes."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from export_pipelines.demo.build import build_demo
from export_pipelines.project import Project
from export_pipelines.settings import load_settings
from export_pipelines.timing.partitions import last_complete
from export_pipelines_tests.demo_postgres import load_into_postgres
from export_pipelines_tests.projects import environment
from export_pipelines_tests.servers import PostgresServer

SPECS = Path(__file__).parents[2] / "specs"
NOW = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)
SQLITE_URL = "sqlite:///${env:EXPORT_DEMO_DB}"
TEXT = ("csv", "json", "jsonl")


def shipped_project(root: Path, demo: Path, url: str) -> Project:
    """The shipped specs, reading from `url`."""
    specs = root / "specs"
    specs.mkdir(parents=True)
    for file in SPECS.glob("*.yaml"):
        (specs / file.name).write_text(file.read_text().replace(SQLITE_URL, url))
    made = Project.load(load_settings(environment(root, EXPORT_DEMO_DB=str(demo))))
    made.specs.require_valid()
    return made


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[tuple[Project, Project]]:
    root = tmp_path_factory.mktemp("two")
    demo = root / "demo.db"
    build_demo(demo, scale=1, today=NOW.date())
    with postgres.database() as database:
        url = postgres.url(database)
        load_into_postgres(demo, url)
        yield shipped_project(root / "sqlite", demo, SQLITE_URL), shipped_project(root / "postgres", demo, url)


def text_files(made: Project, name: str) -> dict[str, bytes]:
    """Publish the last complete partition; its text files without the parts of their names that differ by run."""
    export = made.export(name)
    partition = last_complete(export.spec.partition, NOW, export.timezone)
    artifact = made.run(made.request(name, partition, run_id="0123456789abcdef"))
    stamp = f"{artifact.manifest.created_at:%Y%m%d_%H%M%S}"
    store = made.store("local")
    files = [file for file in artifact.manifest.files if file.format in TEXT]
    return {f.name.replace(stamp, ""): store.open(artifact.row.path_of(f.name)).read() for f in files}


@pytest.mark.parametrize("name", sorted(Project.load(load_settings({"EXPORT_SPECS": str(SPECS)})).specs.exports))
def test_text_files_are_byte_identical(projects: tuple[Project, Project], name: str) -> None:
    on_sqlite, on_postgres = projects
    assert text_files(on_sqlite, name) == text_files(on_postgres, name)


def test_most_shipped_exports_have_text_files(projects: tuple[Project, Project]) -> None:
    specs = projects[0].specs.exports.values()
    assert sum(any(f.type in TEXT for f in export.spec.formats) for export in specs) >= 10
