"""Imports point one way, and Dagster stays in its package."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "export_pipelines"
LAYERS = [
    {"errors"},
    {"chunks", "crash", "registry", "settings", "text"},
    {"spec"},
    {"timing"},
    {"sources", "formats", "storage", "demo"},
    {"ledger"},
    {"checks", "content"},
    {"conditions", "export", "opening", "incremental", "findings", "pace", "rebuild", "verify"},
    {"project", "locations"},
    {"monitoring"},
    {"notify"},
    {"catching_up", "integrity", "retention"},
    {"orchestration"},
    {"cli", "definitions"},
]
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(name: str) -> str:
    """`export_pipelines.spec.load` -> `spec`; "" for the package itself."""
    return ([*name.split("."), ""])[1]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_downwards(module: Path) -> None:
    here = module.relative_to(PACKAGE).with_suffix("").parts[0]
    if here == "__init__":
        return
    for name in imported(module):
        if name.startswith("export_pipelines.") and part_of(name) in LEVEL:
            assert LEVEL[part_of(name)] <= LEVEL[here], f"{here} imports {name}"
        if name.split(".")[0].startswith("dagster"):
            assert here in ("orchestration", "definitions"), f"{module.name} imports {name}"


def test_every_part_has_a_layer() -> None:
    parts = {module.relative_to(PACKAGE).with_suffix("").parts[0] for module in MODULES} - {"__init__"}
    assert parts == set(LEVEL)


def test_reading_specs_and_ledger_needs_neither_dagster_nor_pandas() -> None:
    script = """
import sys
from export_pipelines.spec.load import load_specs
from export_pipelines.ledger import artifacts, runs
print(sorted({"dagster", "pandas", "polars", "pyarrow", "boto3", "duckdb", "reportlab"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_running_an_export_imports_what_it_uses_only() -> None:
    script = """
import sys
from export_pipelines.project import Project
import export_pipelines.sources.sqlite, export_pipelines.sources.postgres
import export_pipelines.formats.csv, export_pipelines.formats.parquet, export_pipelines.formats.xlsx
print(sorted({"dagster", "boto3", "duckdb", "reportlab"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
