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


def check_queries(entry: Entry) -> None:
    """Report SQL that cannot run, and checks that name a column or another check that is not there."""
    for name, dataset in _datasets(entry):
        path: SpecPath = ("datasets", name)
        if dataset.sql is not None:
            _check_sql(entry, (*path, "sql"), dataset.sql, dataset)
        if dataset.checks is not None:
            _check_checks(entry, (*path, "checks"), dataset, dataset.checks)


def _check_sql(entry: Entry, path: SpecPath, sql: str, dataset: DatasetSpec) -> None:
    """The SQL must be one statement, and every `:name` in it needs a value."""
    try:
        single_statement(sql)
    except SpecError as error:
        entry.report(path, str(error))
    for parameter in sorted(parameters(sql) - {*WINDOW_PARAMS, *dataset.params}):
        hint = advice(f":{parameter}", [f":{known}" for known in (*WINDOW_PARAMS, *dataset.params)])
        if dataset.table is None and not hint.startswith("did"):
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
