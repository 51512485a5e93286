"""Whether a check holds, given what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from export_pipelines.checks.measure import Measure
from export_pipelines.checks.sums import added, difference, plain, readable, written
from export_pipelines.checks.totals import read_total
from export_pipelines.errors import PermanentError, QueryError
from export_pipelines.sources.stream import RecordStream
from export_pipelines.spec.checks import DatasetChecks
from export_pipelines.storage.manifest import Column, Manifest
from export_pipelines.text import counted

Values = dict[str, int | float | str]

NOTHING_EARLIER = "there is no good artifact of an earlier partition to compare with"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that is known of one dataset when its checks are judged."""

    dataset: str
    checks: DatasetChecks
    rows: int
    columns: Sequence[Column]
    measure: Measure
    total: RecordStream | None
    """What the control query gives, unread."""
    earlier: Manifest | None
    """The last good artifact of an earlier partition, if a check compares with it."""


@dataclass(frozen=True)
class Verdict:
    """Whether a check holds, why in one line, and the numbers behind it."""

    passed: bool
    message: str
    values: Values = field(default_factory=dict)


def judge(kind: str, evidence: Evidence) -> Verdict:
    """The verdict of one configured check. What cannot be told is a check that failed.

    Raises TransientError where reading a control total does.
    """
    try:
        return _JUDGES[kind](evidence)
    except PermanentError as error:
        return Verdict(False, str(error))


def _rows(evidence: Evidence) -> Verdict:
    wanted, rows = evidence.checks.rows, evidence.rows
    assert wanted
    values: Values = {"rows": rows}
    complaints = []
    if wanted.min is not None:
        values["min"] = wanted.min
        complaints += [f"{counted(rows, 'row')}, at least {wanted.min:,} expected"] if rows < wanted.min else []
    if wanted.max is not None:
        values["max"] = wanted.max
        complaints += [f"{counted(rows, 'row')}, at most {wanted.max:,} expected"] if rows > wanted.max else []
    change = Verdict(True, counted(rows, "row"))
    if wanted.change_percent is not None:
        change = _change(evidence, wanted.change_percent)
        complaints += [] if change.passed else [change.message]
    return Verdict(not complaints, "; ".join(complaints) or change.message, values | change.values)


def _change(evidence: Evidence, limit: float) -> Verdict:
    """How the number of rows compares with earlier. From no rows to some is more than any limit."""
    rows, earlier = evidence.rows, evidence.earlier
    before = earlier.rows.get(evidence.dataset) if earlier else None
    if earlier is None or before is None:
        return Verdict(True, f"{counted(rows, 'row')}; {NOTHING_EARLIER}")
    values: Values = {"earlier_rows": before, "earlier_partition": earlier.span}
    change = f"rows {before:,} -> {rows:,}"
    percent = 0.0 if rows == before else math.inf
    if before:
        percent = (rows - before) / before * 100
        values["change_percent"] = round(percent, 2)
        change += f" ({f'{percent:+,.1f}'.removesuffix('.0')} %)"
    if abs(percent) > limit:
        return Verdict(False, f"{change}, more than {limit:g} % from partition {earlier.span}", values)
    return Verdict(True, f"{change} from partition {earlier.span}", values)


def _columns(evidence: Evidence) -> Verdict:
    now = [(column.name, column.type) for column in evidence.columns]
    earlier = evidence.earlier.schemas.get(evidence.dataset) if evidence.earlier else None
    values: Values = {"columns": len(now)}
    if evidence.earlier is None or earlier is None:
        return Verdict(True, NOTHING_EARLIER, values)
    before = [(column.name, column.type) for column in earlier]
    partition = evidence.earlier.span
    values |= {"earlier_columns": len(before), "earlier_partition": partition}
    grown = evidence.checks.columns == "may_grow" and now[: len(before)] == before
    if now == before or grown:
        more = f", and {counted(len(now) - len(before), 'new one')}" if now != before else ""
        return Verdict(True, f"columns as in partition {partition}{more}", values)
    return Verdict(False, f"{'; '.join(_drift(before, now, evidence.checks))}, unlike partition {partition}", values)


def _drift(before: list[tuple[str, str]], now: list[tuple[str, str]], checks: DatasetChecks) -> list[str]:
    """What changed, in words."""
    old, new = dict(before), dict(now)
    changes = [f"column {name!r} is missing" for name in old if name not in new]
    changes += [
        f"column {name!r} is {new[name]}, was {old[name]}" for name in old if new.get(name, old[name]) != old[name]
    ]
    added_columns = [name for name in new if name not in old]
    if checks.columns == "fixed":
        changes += [f"column {name!r} is new" for name in added_columns]
    if changes:
        return changes
    where = ", ".join(map(repr, added_columns))
    return [f"new columns ({where}) stand between the others" if added_columns else "the order of the columns changed"]


def _not_null(evidence: Evidence) -> Verdict:
    _require(evidence, evidence.checks.not_null)
    nulls = {column: count for column, count in evidence.measure.nulls.items() if count}
    values: Values = {"nulls": sum(nulls.values())}
    if not nulls:
        return Verdict(True, f"no NULL in {counted(evidence.rows, 'row')}", values)
    parts = [f"{counted(count, 'NULL')} in column {column!r}" for column, count in nulls.items()]
    return Verdict(False, f"{', '.join(parts)} of {counted(evidence.rows, 'row')}", values)


def _unique(evidence: Evidence) -> Verdict:
    _require(evidence, evidence.checks.unique)
    assert evidence.measure.repetitions
    repeated = evidence.measure.repetitions.count()
    named = ", ".join(evidence.checks.unique)
    rows = counted(evidence.rows, "row")
    if not repeated:
        return Verdict(True, f"every {named} occurs once in {rows}", {"duplicates": 0})
    verb = "repeats" if repeated == 1 else "repeat"
    return Verdict(False, f"{repeated:,} of {rows} {verb} the {named} of another row", {"duplicates": repeated})


def _control_total(evidence: Evidence) -> Verdict:
    wanted, measured = evidence.checks.control_total, evidence.measure.sum
    assert wanted
    _require(evidence, [wanted.column])
    assert measured
    found = measured.total
    if evidence.total is None:
        raise QueryError("no control query was run", hint="Only datasets that come from a connection can have one")
    total = read_total(evidence.total)
    one, other = readable(found), readable(total)
    values: Values = {"sum": plain(one), "control_total": plain(other)}
    said = f"{wanted.column} adds up to {written(one)}, the control query says {written(other)}"
    if not (math.isfinite(found) and math.isfinite(total)):
        return Verdict(False, said, values)
    rounding = measured.rounding if isinstance(found, float) or isinstance(total, float) else 0
    off = difference(one, other)
    values["difference"] = plain(off)
    if difference(found, total).copy_abs() <= added(wanted.tolerance, rounding):
        return Verdict(True, said, values)
    return Verdict(False, f"{said}: {written(off)} off", values)


def _require(evidence: Evidence, columns: Sequence[str]) -> None:
    if missing := evidence.measure.missing(columns):
        raise QueryError(
            f"there is no column {missing[0]!r}",
            hint=f"The query returns: {', '.join(column.name for column in evidence.columns)}",
        )


_JUDGES: dict[str, Callable[[Evidence], Verdict]] = {
    "rows": _rows,
    "columns": _columns,
    "not_null": _not_null,
    "unique": _unique,
    "control_total": _control_total,
}
