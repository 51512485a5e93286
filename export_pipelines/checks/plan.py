"""The checks that an export has: their names, and what each demands in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from export_pipelines.spec.checks import CheckKind, ControlTotal, DatasetChecks, RowsCheck
from export_pipelines.spec.exports import ExportSpec
from export_pipelines.text import counted

EARLIER = "the last good artifact of an earlier partition"


@dataclass(frozen=True)
class PlannedCheck:
    """One check. Its name is unique within the export; `dataset` is None if it looks at the whole artifact."""

    name: str
    dataset: str | None
    kind: CheckKind | Literal["reread"]
    blocking: bool
    description: str


def planned_checks(spec: ExportSpec) -> list[PlannedCheck]:
    """The checks of the export, by dataset in the order of the spec.

    A check is called like its kind, `rows`; with several datasets it is `students_rows`.
    """
    found: list[PlannedCheck] = []
    for dataset, query in spec.datasets.items():
        prefix = f"{dataset}_" if len(spec.datasets) > 1 else ""
        for kind, description in _described(query.checks or DatasetChecks()):
            blocking = query.checks is not None and kind in query.checks.blocking
            found.append(PlannedCheck(prefix + kind, dataset, kind, blocking, description))
    if spec.reread:
        found.append(PlannedCheck("reread", None, "reread", True, "The published files, read again, are as written"))
    return found


def _described(checks: DatasetChecks) -> Iterator[tuple[CheckKind, str]]:
    for kind, describe in _DESCRIPTIONS.items():
        if wanted := getattr(checks, kind):
            yield kind, describe(wanted)


def _rows(wanted: RowsCheck) -> str:
    parts = [] if wanted.min is None else [f"at least {counted(wanted.min, 'row')}"]
    parts += [] if wanted.max is None else [f"at most {counted(wanted.max, 'row')}"]
    if wanted.change_percent is not None:
        parts.append(f"at most {wanted.change_percent:g} % more or fewer than in {EARLIER}")
    text = ", ".join(parts)
    return text[:1].upper() + text[1:]


def _columns(wanted: str) -> str:
    more = ", and new ones may follow" if wanted == "may_grow" else ""
    return f"Columns are those of {EARLIER}{more}"


def _not_null(wanted: list[str]) -> str:
    return f"No NULL in {', '.join(wanted)}"


def _unique(wanted: list[str]) -> str:
    return f"No two rows have the same {', '.join(wanted)}"


def _control_total(wanted: ControlTotal) -> str:
    tolerance = f", give or take {wanted.tolerance:f}" if wanted.tolerance else ""
    return f"The sum of {wanted.column} is what the control query says{tolerance}"


_DESCRIPTIONS: dict[CheckKind, Callable[..., str]] = {
    "rows": _rows,
    "columns": _columns,
    "not_null": _not_null,
    "unique": _unique,
    "control_total": _control_total,
}
