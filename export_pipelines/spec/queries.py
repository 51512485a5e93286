"""The queries of an export: their SQL, and what their checks name."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from export_pipelines.errors import SpecError
from export_pipelines.spec.checks import DatasetChecks
from export_pipelines.spec.datasets import WINDOW_PARAMS, DatasetSpec
from export_pipelines.spec.entries import Entry
from export_pipelines.spec.exports import ExportSpec
from export_pipelines.spec.problems import SpecPath, advice
from export_pipelines.spec.sqltext import parameters, single_statement
from export_pipelines.spec.watermark import WATERMARK_PARAMS, WatermarkSpec

_INCOMPARABLE = {"string", "binary", "bool", "float64", "time"}
"""Declared types of columns that can be no watermark."""


def check_queries(entry: Entry) -> None:
    """Report SQL that cannot run, and checks that name a column or another check that is not there."""
    for name, dataset in _datasets(entry):
        path: SpecPath = ("datasets", name)
        if dataset.sql is not None:
            _check_sql(entry, (*path, "sql"), dataset.sql, dataset)
        if dataset.checks is not None:
            _check_checks(entry, (*path, "checks"), dataset, dataset.checks)
        if dataset.watermark is not None:
            _check_watermark(entry, path, dataset, dataset.watermark)


def _check_sql(entry: Entry, path: SpecPath, sql: str, dataset: DatasetSpec) -> None:
    """The SQL must be one statement, and every `:name` in it needs a value."""
    try:
        single_statement(sql)
    except SpecError as error:
        entry.report(path, str(error))
    given = dict.fromkeys([*WINDOW_PARAMS, *(WATERMARK_PARAMS if dataset.watermark else ()), *dataset.params])
    for parameter in sorted(parameters(sql) - set(given)):
        hint = advice(f":{parameter}", [f":{known}" for known in given])
        if parameter in WATERMARK_PARAMS:
            hint = "give the dataset a `watermark`"
        elif dataset.table is None and not hint.startswith("did"):
            hint = f"give it one under `params`; {hint}"
        entry.report(path, f"parameter `:{parameter}` has no value; {hint}")


def _check_checks(entry: Entry, path: SpecPath, dataset: DatasetSpec, checks: DatasetChecks) -> None:
    """What a check names must be there. The columns are known only where the dataset lists them."""
    if checks.control_total is not None:
        _check_sql(entry, (*path, "control_total", "sql"), checks.control_total.sql, dataset)
    columns = dataset.columns or []
    for where, column in _checked_columns(checks) if columns else ():
        if column not in columns:
            message = f"{column!r} is not one of the dataset's `columns`; {advice(column, columns)}"
            entry.report((*path, *where), message)
    for position, kind in enumerate(checks.blocking):
        if kind not in checks.configured:
            configured = f"configured: {', '.join(checks.configured)}" if checks.configured else "none is configured"
            entry.report((*path, "blocking", position), f"the check `{kind}` is not configured; {configured}")


def _check_watermark(entry: Entry, path: SpecPath, dataset: DatasetSpec, watermark: WatermarkSpec) -> None:
    """The column must be one that can be compared and is exported, and the SQL must ask for what is new."""
    column, columns = watermark.column, dataset.columns or []
    if columns and column not in columns:
        message = f"{column!r} is not one of the dataset's `columns`; {advice(column, columns)}"
        entry.report((*path, "watermark"), message)
    if (declared := dataset.types.get(column, "")) in _INCOMPARABLE:
        message = f"is the watermark, and {declared} cannot be one; choose a column of numbers, dates or timestamps"
        entry.report((*path, "types", column), message)
    if dataset.sql is not None and "watermark" not in parameters(dataset.sql):
        message = f"does not use `:watermark`, so each run would export all again; add `{column} > :watermark`"
        entry.report((*path, "sql"), message)
    for name in sorted(WATERMARK_PARAMS.keys() & dataset.params.keys()):
        entry.report((*path, "params", name), "gets its value from `watermark`; choose another name")
    total = dataset.checks.control_total if dataset.checks else None
    if total is not None and watermark.initial is None and WATERMARK_PARAMS.keys() & parameters(total.sql):
        message = "uses the watermark, which the first run has no value for; give `watermark` an `initial`"
        entry.report((*path, "checks", "control_total", "sql"), message)


def _checked_columns(checks: DatasetChecks) -> Iterator[tuple[SpecPath, str]]:
    for key, columns in (("not_null", checks.not_null), ("unique", checks.unique)):
        yield from (((key, position), column) for position, column in enumerate(columns))
    if checks.control_total is not None:
        yield ("control_total", "column"), checks.control_total.column


def _datasets(entry: Entry) -> list[tuple[str, DatasetSpec]]:
    """The datasets that are valid, even where the export is not."""
    if isinstance(entry.value, ExportSpec):
        return list(entry.value.datasets.items())
    found = []
    datasets = entry.raw.get("datasets") if isinstance(entry.raw, dict) else None
    for name, dataset in datasets.items() if isinstance(datasets, dict) else ():
        try:
            found.append((name, DatasetSpec.model_validate(dataset)))
        except ValidationError:
            continue  # its mistakes are reported with the export's
    return found
