"""The shipped specs: every file is valid, together they show what the spec language can do, and every query has rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from export_pipelines.demo.build import build_demo
from export_pipelines.project import Project
from export_pipelines.settings import load_settings
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.datasets import WINDOW_PARAMS, Condition, DatasetSpec
from export_pipelines.spec.exports import ExportSpec, Retries
from export_pipelines.spec.formats import CsvFormat, JsonFormat, JsonlFormat, ParquetFormat, PdfFormat, XlsxFormat
from export_pipelines.spec.model import SpecFile
from export_pipelines.spec.schedules import PRESETS, CalendarSpec, ScheduleSpec
from export_pipelines.timing.partitions import last_complete

SPECS = Path(__file__).parents[2] / "specs"
FILES = sorted(SPECS.glob("*.yaml"))
ENTRIES = {
    name: entry
    for file in FILES
    for name, entry in (yaml.safe_load(file.read_text("utf-8")).get("exports") or {}).items()
}
TODAY = date(2026, 11, 22)

SHOWN = (
    ExportSpec,
    DatasetSpec,
    CsvFormat,
    JsonFormat,
    JsonlFormat,
    ParquetFormat,
    XlsxFormat,
    PdfFormat,
    CalendarSpec,
    ScheduleSpec,
)
"""Models of which every field is used somewhere."""

NOT_SHOWN = {"quote", "extra_workdays"}
"""Fields that few need and whose reference says enough."""

CHOICES = (
    (ExportSpec, "partition"),
    (ExportSpec, "layout"),
    (ExportSpec, "on_empty"),
    (ScheduleSpec, "on_holiday"),
    (CsvFormat, "quoting"),
    (CsvFormat, "line_end"),
    (JsonFormat, "shape"),
    (JsonFormat, "decimals"),
)
"""Fields of which every choice is used somewhere."""


def models(value: Any) -> Iterator[BaseModel]:
    """The value's models, at any depth."""
    if isinstance(value, BaseModel):
        yield value
        value = dict(value)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from models(item)


@pytest.fixture(scope="module")
def parsed() -> list[BaseModel]:
    files = [SpecFile.model_validate(yaml.safe_load(file.read_text("utf-8"))) for file in FILES]
    return list(models(files))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("shipped")
    settings = load_settings(
        {"EXPORT_SPECS": str(SPECS), "EXPORT_STATE_PATH": str(root), "EXPORT_STORAGE_PATH": str(root / "out")}
    )
    build_demo(settings.demo_database, today=TODAY)
    return Project.load(settings)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_file_is_valid(file: Path) -> None:
    spec = SpecFile.model_validate(yaml.safe_load(file.read_text("utf-8")))
    assert spec.exports or file.name == "common.yaml"


def test_the_directory_has_no_problems(project: Project) -> None:
    assert [str(problem) for problem in project.specs.problems] == []
    assert set(project.specs.exports) == set(ENTRIES)
    assert 12 <= len(ENTRIES) <= 20


@pytest.mark.parametrize("model", SHOWN, ids=lambda model: model.__name__)
def test_every_field_is_shown(parsed: list[BaseModel], model: type[BaseModel]) -> None:
    used = {field for item in parsed if isinstance(item, model) for field in item.model_fields_set}
    assert set(model.model_fields) - used - NOT_SHOWN - {"name" if model is not CsvFormat else ""} == set()


@pytest.mark.parametrize(("model", "field"), CHOICES, ids=lambda value: getattr(value, "__name__", value))
def test_every_choice_is_shown(parsed: list[BaseModel], model: type[BaseModel], field: str) -> None:
    used = {getattr(item, field) for item in parsed if isinstance(item, model)}
    assert set(get_args(model.model_fields[field].annotation)) - used == set()


def test_every_format_and_compression_is_shown(parsed: list[BaseModel]) -> None:
    assert {form.type for item in parsed if isinstance(item, ExportSpec) for form in item.formats} >= {
        "csv", "json", "jsonl", "parquet", "xlsx", "pdf",
    }  # fmt: skip
    compressions = {getattr(item, "compression", "none") for item in parsed}
    assert compressions >= {"none", "gzip", "zstd", "zip", "snappy"}


def test_every_kind_of_schedule_is_shown(parsed: list[BaseModel]) -> None:
    exports = [item for item in parsed if isinstance(item, ExportSpec)]
    named = [item.schedule for item in exports if isinstance(item.schedule, str)]
    shared = {name for name in named if named.count(name) > 1}
    inline = [item.schedule for item in exports if isinstance(item.schedule, ScheduleSpec)]
    assert set(named) >= set(PRESETS)
    assert shared >= {"nightly", "workday_mornings", "month_end"}
    assert {schedule.timezone for schedule in inline} >= {"America/Chicago", "Europe/Vienna"}
    assert None in [item.schedule for item in exports]


def test_every_kind_of_filter_is_shown(parsed: list[BaseModel]) -> None:
    filters = [value for item in parsed if isinstance(item, DatasetSpec) for value in item.filters.values()]
    comparisons = {field for item in filters if isinstance(item, Condition) for field in item.model_fields_set}
    assert comparisons >= {"ne", "ge", "lt", "one_of", "not_in", "like", "is_null"}
    assert {type(value) for value in filters} >= {str, bool, list, type(None), Condition}


def test_every_window_parameter_is_shown(parsed: list[BaseModel]) -> None:
    text = "\n".join(item.sql for item in parsed if isinstance(item, DatasetSpec) and item.sql)
    assert [name for name in WINDOW_PARAMS if f":{name} " not in text.replace("\n", " ")] == []


def test_one_and_several_datasets_and_small_models_are_shown(parsed: list[BaseModel]) -> None:
    sizes = {len(item.datasets) for item in parsed if isinstance(item, ExportSpec)}
    assert sizes >= {1, 2, 3}
    assert [model for model in (Retries, ConnectionSpec) if not any(type(item) is model for item in parsed)] == []


def test_each_export_is_explained() -> None:
    """A comment stands above every entry, because these files are what people copy from."""
    for file in FILES:
        lines = file.read_text("utf-8").splitlines()
        for above, line in pairwise(lines):
            if line.startswith("  ") and line.strip(" :") in ENTRIES and not line.startswith("   "):
                assert above.strip().startswith("#"), f"{file.name}: {line.strip()}"
    assert all(entry.get("description") and entry.get("owners") and entry.get("org") for entry in ENTRIES.values())


@pytest.mark.parametrize("name", ENTRIES)
def test_every_query_has_rows_for_the_last_window(project: Project, name: str) -> None:
    export = project.export(name)
    noon = datetime.combine(TODAY, time(12), UTC)
    partition = last_complete(export.spec.partition, noon, export.timezone)
    request = project.request(name, partition, run_id="0" * 32)
    start, end = request.window.utc()
    values = {
        "window_start": start,
        "window_end": end,
        "window_start_date": request.window.start.date(),
        "window_end_date": request.window.end.date(),
        "partition": partition,
    }
    with project.source(export).open(export.spec.datasets, values=values) as snapshot:
        rows = {dataset: sum(batch.num_rows for batch in stream) for dataset, stream in snapshot.streams.items()}
    assert set(rows) == set(export.spec.datasets)
    assert min(rows.values()) > 0
