"""DatasetSpec -> SQL with bound parameters, alike in every database.

Values are always bound and names always quoted where they need it; nothing of a spec is pasted into SQL except `sql:`
itself. Comparisons mean what people expect of NULL: `ne` and `not_in` keep rows without a value, a NULL in a list
matches such rows, and `order_by` puts them last (first when descending). `like` and `search` mean the same on SQLite as
elsewhere, although SQLite's own LIKE ignores case only for ASCII letters.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement, TextClause
from sqlalchemy.sql.expression import TableClause

from export_pipelines.errors import SpecError
from export_pipelines.sources.bounds import Bounds, kind_of, sqlite_instant
from export_pipelines.sources.sqltext import escape_colons
from export_pipelines.spec.datasets import Condition, DatasetSpec
from export_pipelines.spec.sqltext import parameters, single_statement
from export_pipelines.spec.watermark import MarkValue

Column = sa.ColumnElement[Any]
Test = ColumnElement[bool]

NULLS_ORDER = ("sqlite", "postgresql", "duckdb", "oracle")
"""Databases in which a query may say where NULLs go; the others decide themselves."""


@dataclass(frozen=True)
class Query:
    """SQL with placeholders and their values, in the order of the placeholders."""

    sql: str
    params: tuple[Any, ...] = ()


def build_statement(
    dataset: DatasetSpec, *, values: Mapping[str, Any], database: str
) -> sa.Select[Any] | sa.TextClause:
    """The dataset as a SQLAlchemy statement for `database` ("sqlite", "postgresql", …).

    `values` are those of the window and the partition. Raises SpecError if a parameter has no value, a value cannot be
    bound, or `sql` has more than one statement.
    """
    if dataset.sql is not None:
        return _text(dataset, values, database)
    return _select(dataset, values, database)


def compile_query(statement: sa.Select[Any] | sa.TextClause, dialect: sa.Dialect) -> Query:
    """The statement as SQL text for a positional `dialect`, and its values in order."""
    compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    names: list[str] = getattr(compiled, "positiontup", None) or []
    return Query(str(compiled), tuple(compiled.params[name] for name in names))


def relation(name: str, columns: Iterable[str] = ()) -> TableClause:
    """The table or view `name` (`table` or `schema.table`, each part may be in double quotes) with these columns."""
    parts = re.findall(r'"(?:[^"]|"")+"|[^."]+', name)
    if not parts or ".".join(parts) != name:
        raise SpecError(f"table {name!r} is not a name", hint='Examples: students, school.students, "my.table"')
    plain = [part[1:-1].replace('""', '"') if part.startswith('"') else part for part in parts]
    named: list[sa.ColumnClause[Any]] = [sa.column(_checked(column)) for column in dict.fromkeys(columns)]
    return sa.table(_checked(plain[-1]), *named, schema=_checked(".".join(plain[:-1])) or None)


def bindable(value: Any, database: str) -> Any:
    """The value as `database` compares it. Raises SpecError if it cannot be bound.

    SQLite has no types for these: aware datetimes become UTC text `YYYY-MM-DD HH:MM:SS[.ffffff]`, which sorts right
    beside text with `+00:00` behind it; dates become ISO text, Decimals the nearest number, booleans 0 and 1.
    """
    if isinstance(value, str):
        return _checked(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise SpecError(f"the number {value} has more than 64 bits", hint="No database column holds it as an integer")
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        raise SpecError(f"{value} is not a number to compare with", hint="Give a finite number")
    if database == "sqlite":
        return _sqlite_value(value)
    return value


def bindable_mark(value: MarkValue, database: str) -> Any:
    """The value of a watermark, so that `>` and `<=` tell apart what differs by a microsecond. Raises as `bindable`."""
    if database == "sqlite" and isinstance(value, datetime):
        return sqlite_instant(value)
    return bindable(value, database)


def _sqlite_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).replace(tzinfo=None).isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        whole = value == value.to_integral_value() and abs(value) < 2**63
        return int(value) if whole else float(value)
    return int(value) if isinstance(value, bool) else value


def _checked(text: str) -> str:
    if "\0" in text:
        raise SpecError(f"the text {text[:40]!r} holds a NUL character", hint="Remove it; databases refuse it")
    return text


def _text(dataset: DatasetSpec, values: Mapping[str, Any], database: str) -> TextClause:
    assert dataset.sql is not None
    bounds = dataset.watermark.params if isinstance(dataset.watermark, Bounds) else {}
    known = {**values, **dataset.params, **{name: bindable_mark(value, database) for name, value in bounds.items()}}
    wanted = parameters(dataset.sql)
    missing = sorted(wanted - set(known))
    if missing:
        raise SpecError(
            f"the SQL uses :{', :'.join(missing)}, which no value is given for",
            hint=f"Add it to `params`. Known: {', '.join(sorted(known)) or 'none'}",
        )
    statement = sa.text(escape_colons(_checked(single_statement(dataset.sql))))
    return statement.bindparams(**{name: bindable(known[name], database) for name in wanted})


def _select(dataset: DatasetSpec, values: Mapping[str, Any], database: str) -> sa.Select[Any]:
    """Columns are written `t.name`, because SQLite takes a quoted name that it does not know for a text."""
    assert dataset.table is not None
    rows = relation(dataset.table, _names(dataset)).alias("t")
    columns = [rows.c[name] for name in dataset.columns or []] or [sa.literal_column("*")]
    statement = sa.select(*columns).select_from(rows)
    for name, wanted in dataset.filters.items():
        statement = statement.where(_filter(rows.c[name], wanted, database))
    if dataset.search:
        searched = [rows.c[name] for name in dataset.search.columns]
        statement = statement.where(_search(_checked(dataset.search.term), searched, database))
    if dataset.window:
        start, end = (bindable(_known(values, name), database) for name in ("window_start", "window_end"))
        statement = statement.where(rows.c[dataset.window] >= start, rows.c[dataset.window] < end)
    if isinstance(dataset.watermark, Bounds):
        statement = statement.where(*_new(rows.c[dataset.watermark.column], dataset, dataset.watermark, database))
    return statement.order_by(*(_order(rows.c[name.removeprefix("-")], name, database) for name in dataset.order_by))


def _names(dataset: DatasetSpec) -> list[str]:
    searched = dataset.search.columns if dataset.search else []
    window = [dataset.window] if dataset.window else []
    mark = [dataset.watermark.column] if dataset.watermark else []
    ordered = [name.removeprefix("-") for name in dataset.order_by]
    return [*(dataset.columns or []), *dataset.filters, *searched, *window, *mark, *ordered]


def _new(column: Column, dataset: DatasetSpec, bounds: Bounds, database: str) -> list[Test]:
    """Rows between the bounds, and those without a value, which are an error: nobody would ever export them.

    SQLite may give some more at either end, because it has no exact decimals and compares timestamps as text; the
    reader drops them.
    """
    empty = column.is_(None)
    if bounds.nothing:
        return [empty]
    if database == "sqlite":
        tests = _new_in_sqlite(column, dataset, bounds)
    else:
        tests = [] if bounds.after is None else [column > bindable_mark(bounds.after, database)]
        tests += [] if bounds.until is None else [column <= bindable_mark(bounds.until, database)]
    return [sa.or_(sa.and_(*tests), empty)] if tests else []


def _new_in_sqlite(column: Column, dataset: DatasetSpec, bounds: Bounds) -> list[Test]:
    after, until = bounds.after, bounds.until
    if column.key in dataset.types and any(
        value is not None and kind_of(value) == "number" for value in (after, until)
    ):
        column = sa.cast(column, sa.Numeric)  # numbers that are kept as text would be compared as text
    tests: list[Test] = []
    if after is not None:
        bound = bindable_mark(after, "sqlite")
        tests.append(column >= bound if isinstance(after, Decimal) else column > bound)
    if isinstance(until, datetime):
        tests.append(column <= sqlite_instant(until)[:10] + "~")  # the whole day, however its instants are written
    elif until is not None:
        tests.append(column <= bindable_mark(until, "sqlite"))
    return tests


def _known(values: Mapping[str, Any], name: str) -> Any:
    if values.get(name) is None:
        raise SpecError(f"`window` needs {name}, which this run does not have", hint="Give the export a partition")
    return values[name]


def _order(column: Column, name: str, database: str) -> ColumnElement[Any]:
    descending = name.startswith("-")
    ordered = column.desc() if descending else column.asc()
    if database not in NULLS_ORDER:
        return ordered
    return ordered.nulls_first() if descending else ordered.nulls_last()


def _filter(column: Column, wanted: Any, database: str) -> Test:
    if not isinstance(wanted, Condition):
        wanted = Condition(one_of=wanted) if isinstance(wanted, list) else Condition(eq=wanted)
    return sa.and_(*(_compare(column, field, getattr(wanted, field), database) for field in _given(wanted)))


def _given(condition: Condition) -> list[str]:
    return [field for field in Condition.model_fields if field in condition.model_fields_set]


def _compare(column: Column, field: str, wanted: Any, database: str) -> Test:
    if field == "is_null":
        return column.is_(None) if wanted else column.is_not(None)
    if wanted is None and field not in ("eq", "ne"):
        raise SpecError(f"filter on {column.key!r}: {field} cannot compare with null", hint="Use is_null")
    if field == "like":
        return _like(column, bindable(wanted, database), database)
    if isinstance(wanted, list):
        return _COMPARISONS[field](column, [bindable(value, database) for value in wanted])
    return _COMPARISONS[field](column, bindable(wanted, database))


def _one_of(column: Column, values: list[Any]) -> Test:
    among = column.in_([value for value in values if value is not None])
    return sa.or_(among, column.is_(None)) if None in values else among


def _none_of(column: Column, values: list[Any]) -> Test:
    others = column.not_in([value for value in values if value is not None])
    return sa.and_(others, column.is_not(None)) if None in values else sa.or_(others, column.is_(None))


def _equal(column: Column, value: Any) -> Test:
    return column.is_(None) if value is None else column == value


def _different(column: Column, value: Any) -> Test:
    return column.is_not(None) if value is None else sa.or_(column != value, column.is_(None))


_COMPARISONS: dict[str, Callable[[Column, Any], Test]] = {
    "eq": _equal,
    "ne": _different,
    "gt": lambda column, value: column > value,
    "ge": lambda column, value: column >= value,
    "lt": lambda column, value: column < value,
    "le": lambda column, value: column <= value,
    "one_of": _one_of,
    "not_in": _none_of,
}


def _like(column: Column, pattern: str, database: str) -> Test:
    r"""`%` and `_` are wildcards, `\` takes their meaning away, case counts."""
    pieces = re.findall(r"\\.|.", pattern, re.DOTALL)
    if database == "sqlite":
        wildcards = {"%": "*", "_": "?"}
        return column.op("GLOB", is_comparison=True)("".join(wildcards.get(p) or _glob(p[-1]) for p in pieces))
    plain = (f"/{p[-1]}" if p[-1] == "/" or (len(p) > 1 and p[-1] in "%_") else p[-1] for p in pieces)
    return column.like("".join(plain), escape="/")  # databases differ in whether `\` escapes by itself


def _search(term: str, columns: Sequence[Column], database: str) -> Test:
    """SQLite: GLOB with a class such as `[äÄ]` for every letter, because its lower() knows ASCII only."""
    if database == "sqlite":
        pattern = "*" + "".join(_glob(*dict.fromkeys((c, c.lower(), c.upper()))) for c in term) + "*"
        return sa.or_(*(column.op("GLOB", is_comparison=True)(pattern) for column in columns))
    return sa.or_(*(sa.cast(column, sa.String).icontains(term, autoescape=True) for column in columns))


def _glob(*letters: str) -> str:
    single = [letter for letter in letters if len(letter) == 1]
    return f"[{''.join(single)}]" if len(single) > 1 or single[0] in "*?[" else single[0]
