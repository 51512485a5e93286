"""The shipped specs: every file is valid, they show all of the spec language, queries have rows, and checks hold."""

from __future__ import annotations

import re
import uuid
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
from export_pipelines.settings import Settings, load_settings
from export_pipelines.spec.after import AfterSpec
from export_pipelines.spec.checks import CheckKind, ControlTotal, DatasetChecks, RowsCheck
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.datasets import WINDOW_PARAMS, Condition, DatasetSpec
from export_pipelines.spec.exports import ExportSpec, Retries
from export_pipelines.spec.formats import CsvFormat, JsonFormat, JsonlFormat, ParquetFormat, PdfFormat, XlsxFormat
from export_pipelines.spec.load import SpecSet, load_specs
from export_pipelines.spec.locate import bare
from export_pipelines.spec.model import SpecFile
from export_pipelines.spec.notify import Digests, Escalation, NotifySpec
from export_pipelines.spec.recipients import AppriseRecipient, EmailRecipient, QuietHours, WebhookRecipient
from export_pipelines.spec.retention import RetentionSpec
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
    AfterSpec,
    DatasetSpec,
    CsvFormat,
    JsonFormat,
    JsonlFormat,
    ParquetFormat,
    XlsxFormat,
    PdfFormat,
    CalendarSpec,
    ScheduleSpec,
    EmailRecipient,
    QuietHours,
    NotifySpec,
    Escalation,
    Digests,
    DatasetChecks,
    RowsCheck,
    ControlTotal,
    RetentionSpec,
)
"""Models of which every field is used somewhere."""

NOT_SHOWN = {"quote", "extra_workdays", "minute", "assets"}
"""Fields that few need and whose reference says enough."""

CHOICES = (
    (ExportSpec, "partition"),
    (ExportSpec, "layout"),
    (ExportSpec, "on_empty"),
    (ScheduleSpec, "on_holiday"),
    (DatasetChecks, "columns"),
    (CsvFormat, "quoting"),
    (CsvFormat, "line_end"),
    (JsonFormat, "shape"),
    (JsonFormat, "decimals"),
)
"""Fields of which every choice is used somewhere."""


CHECKED = [
    name for name, entry in ENTRIES.items() if any("checks" in dataset for dataset in entry["datasets"].values())
]


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


@pytest.fixture(scope="module")
def uncommented(tmp_path_factory: pytest.TempPathFactory) -> SpecSet:
    """`common.yaml` with the entries that are comments, because their secrets are not set, as entries."""
    lines = (SPECS / "common.yaml").read_text("utf-8").splitlines()
    entry = re.compile(r"  # ([a-z][a-z-]*:|  [a-z_]+: .+)")
    shown = [line.replace("# ", "", 1) if entry.fullmatch(line) else line for line in lines]
    directory = tmp_path_factory.mktemp("uncommented")
    (directory / "common.yaml").write_text("\n".join(shown), "utf-8")
    return load_specs(directory, settings=Settings({}))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_file_is_valid(file: Path) -> None:
    spec = SpecFile.model_validate(yaml.safe_load(file.read_text("utf-8")))
    assert spec.exports or file.name == "common.yaml"


def test_the_directory_has_no_problems(project: Project) -> None:
    assert [str(problem) for problem in project.specs.problems] == []
    assert set(project.specs.exports) == set(ENTRIES)
    assert 12 <= len(ENTRIES) <= 20


def test_what_is_a_comment_is_valid_too(uncommented: SpecSet) -> None:
    assert [str(problem) for problem in uncommented.problems] == []
    assert set(uncommented.stores) == {"local", "lake", "vault"}
    kinds = [type(recipient) for recipient in uncommented.recipients.values()]
    assert [kinds.count(kind) for kind in (EmailRecipient, WebhookRecipient, AppriseRecipient)] == [3, 1, 1]
    hook = uncommented.recipients["partner-hook"]
    assert set(type(hook).model_fields) - hook.model_fields_set == {"quiet_hours"}


@pytest.mark.parametrize("model", SHOWN, ids=lambda model: model.__name__)
def test_every_field_is_shown(parsed: list[BaseModel], model: type[BaseModel]) -> None:
    used = {field for item in parsed if isinstance(item, model) for field in item.model_fields_set}
    assert set(model.model_fields) - used - NOT_SHOWN - {"name" if model is not CsvFormat else ""} == set()


@pytest.mark.parametrize(("model", "field"), CHOICES, ids=lambda value: getattr(value, "__name__", value))
def test_every_choice_is_shown(parsed: list[BaseModel], model: type[BaseModel], field: str) -> None:
    used = {getattr(item, field) for item in parsed if isinstance(item, model)}
    assert set(get_args(bare(model.model_fields[field].annotation))) - used - {"minutely", "yearly"} == set()


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
    every = [item for item in parsed if isinstance(item, ScheduleSpec)]
    assert {schedule.every for schedule in every} >= {"working day", "week", "month", "quarter"}
    assert max(len(schedule.cron or ()) for schedule in every) > 1
    assert "last" in {schedule.working_day for schedule in every}
    assert max(len(schedule.at or ()) for schedule in every) > 1
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


def test_notifications_are_shown_at_every_scope(project: Project) -> None:
    scopes = {scope.partition(":")[0] for scope in project.specs.notify}
    assert scopes >= {"default", "org", "team"}
    exports = [export.spec for export in project.specs.exports.values()]
    assert {f"org:{spec.org}" for spec in exports} & set(project.specs.notify)
    assert {owner for spec in exports for owner in spec.owners} & set(project.specs.notify)
    assert [spec for spec in exports if spec.notify is not None]
    assert [spec for spec in exports if spec.reread]


def test_policies_are_named_and_written_in_place_and_none_is_for_all(project: Project) -> None:
    """A `default` here would silence EXPORT_RETENTION_DAYS for everyone who begins with these files."""
    given = [export.spec.retention for export in project.specs.exports.values()]
    assert {name for name in given if isinstance(name, str)} == set(project.specs.retention)
    assert {type(policy) for policy in given} == {str, RetentionSpec, type(None)}
    assert "default" not in project.specs.retention


def test_every_kind_of_check_is_shown_and_some_block(parsed: list[BaseModel]) -> None:
    checks = [item for item in parsed if isinstance(item, DatasetChecks)]
    assert {kind for item in checks for kind in item.configured} == set(get_args(CheckKind))
    assert {kind for item in checks for kind in item.blocking} >= {"rows", "unique", "control_total"}


def test_nobody_is_notified_at_an_address_that_may_exist(project: Project) -> None:
    """Whoever runs the demo with a mail server must not write to strangers; RFC 2606 reserves these names."""
    text = "\n".join(file.read_text("utf-8") for file in FILES)
    addresses = set(re.findall(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", text))
    assert addresses
    assert [
        address for address in addresses if not address.endswith((".example", "@example.org", ".example.org"))
    ] == []


@pytest.mark.parametrize("name", CHECKED)
def test_every_check_holds_for_the_last_windows(project: Project, name: str) -> None:
    """The older window first, so that the newer one has something to be compared with."""
    export = project.export(name)
    keys: list[str] = []
    now = datetime.combine(TODAY, time(12), UTC)
    while len(keys) < 2:
        keys.insert(0, last_complete(export.spec.partition, now, export.timezone))
        now = project.request(name, keys[0], run_id="0" * 32).window.start
    for key in keys:
        artifact = project.run(project.request(name, key, run_id=uuid.uuid4().hex))
        assert [check.message for check in artifact.checks if not check.passed] == []
        assert artifact.checks
