"""What checks measure, and what they are called."""

from __future__ import annotations

import math
import random
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export_pipelines.checks import unique
from export_pipelines.checks.plan import planned_checks
from export_pipelines.checks.sums import Sum, difference, plain, written
from export_pipelines.checks.totals import read_total
from export_pipelines.checks.unique import Repetitions
from export_pipelines.errors import ColumnTypeError, QueryError
from export_pipelines.sources.stream import RecordStream
from export_pipelines.spec.exports import ExportSpec
from export_pipelines.storage.manifest import CheckResult

ALL = {
    "rows": {"min": 10, "max": 1000, "change_percent": 50},
    "columns": "may_grow",
    "not_null": ["id", "name"],
    "unique": ["id"],
    "control_total": {"column": "amount", "sql": "select 1", "tolerance": "0.010"},
    "blocking": ["rows", "unique"],
}


def spec(**datasets: Any) -> ExportSpec:
    entries = {name: {"table": name, "checks": checks} for name, checks in datasets.items()}
    return ExportSpec.model_validate({"source": "school", "datasets": entries, "formats": ["csv"], "reread": True})


def batches(values: list[Any], kind: pa.DataType, *, rows: int = 3) -> list[pa.RecordBatch]:
    array = pa.array(values, kind)
    return [
        pa.RecordBatch.from_arrays([array.slice(place, rows)], names=["x"]) for place in range(0, len(values), rows)
    ]


def repeated(*batches: pa.RecordBatch, columns: tuple[str, ...] = ("x",)) -> int:
    repetitions = Repetitions(columns)
    for batch in batches:
        repetitions.add(batch)
    return repetitions.count()


def added(values: list[Any], kind: pa.DataType, *, rows: int = 3) -> Sum:
    total = Sum("x", kind)
    for batch in batches(values, kind, rows=rows):
        total.add(batch)
    return total


def test_checks_are_called_like_their_kind_and_described() -> None:
    planned = planned_checks(spec(students=ALL))
    assert [(check.name, check.dataset, check.blocking) for check in planned] == [
        ("rows", "students", True),
        ("columns", "students", False),
        ("not_null", "students", False),
        ("unique", "students", True),
        ("control_total", "students", False),
        ("reread", None, True),
    ]
    assert planned[0].description == (
        "At least 10 rows, at most 1,000 rows, "
        "at most 50 % more or fewer than in the last good artifact of an earlier partition"
    )
    assert planned[4].description == "The sum of amount is what the control query says, give or take 0.010"


def test_with_several_datasets_names_begin_with_the_dataset_and_are_unique() -> None:
    names = [check.name for check in planned_checks(spec(a=ALL, a_not=ALL, rows=ALL, plain=None))]
    assert names[:2] == ["a_rows", "a_columns"]
    assert "rows_rows" in names
    assert len(set(names)) == len(names) == 16


def test_an_empty_entry_has_no_checks() -> None:
    assert [check.name for check in planned_checks(spec(students={}))] == ["reread"]


KEYS: list[tuple[pa.DataType, list[Any]]] = [
    (pa.int64(), [-(2**63), -1, 0, 1, 2**63 - 1]),
    (pa.int16(), [1, 2, 3]),
    (pa.float64(), [0.0, 0.5, -0.5, math.inf]),
    (pa.bool_(), [True, False]),
    (pa.string(), ["", "a", "a ", "ä", "x" * 100]),
    (pa.binary(), [b"", b"\0", b"\0\0", b"a" * 40]),
    (pa.date32(), [date(2026, 1, 1), date(2026, 1, 2)]),
    (pa.time64("us"), [time(1), time(2)]),
    (pa.timestamp("us", "UTC"), [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)]),
    (pa.decimal128(38, 9), [Decimal("0.000000001"), Decimal(2**64), Decimal(2**65), Decimal(-1)]),
]


@pytest.mark.parametrize(
    ("kind", "values"), KEYS, ids=lambda value: str(value) if isinstance(value, pa.DataType) else ""
)
def test_repetitions_are_found_across_batches_in_every_type(kind: pa.DataType, values: list[Any]) -> None:
    assert repeated(*batches([*values, None, None], kind)) == 0
    assert repeated(*batches([*values, None, *values, None], kind)) == len(values)


@given(st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 9)), st.sampled_from(["", "a", "b", None])), max_size=60))
def test_repetitions_of_several_columns_are_counted_exactly(rows: list[tuple[int | None, str | None]]) -> None:
    schema = pa.schema([("n", pa.int64()), ("other", pa.int64()), ("s", pa.string())])
    table = [
        pa.RecordBatch.from_pylist([{"n": n, "s": s, "other": i} for i, (n, s) in enumerate(rows[k : k + 7])], schema)
        for k in range(0, len(rows), 7)
    ]
    complete = [row for row in rows if None not in row]
    assert repeated(*table, columns=("n", "s")) == len(complete) - len(set(complete))


def test_parts_of_a_key_are_kept_apart() -> None:
    batch = pa.RecordBatch.from_pydict({"a": ["ab", "a", "x", "y"], "b": ["c", "bc", "y", "x"]})
    assert repeated(batch, columns=("a", "b")) == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=60))
def test_the_second_hash_decides_where_the_first_is_the_same(pairs: list[tuple[int, int]]) -> None:
    first, second = (np.array(hashes, np.uint64) for hashes in zip(*pairs, strict=True))
    assert unique.repeated(first, second) == len(pairs) - len(set(pairs))


def test_a_million_different_keys_have_no_repetition() -> None:
    keys = pa.array(range(1_000_000))
    assert repeated(pa.RecordBatch.from_arrays([keys], names=["x"])) == 0


EXACT = st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), max_size=40)
DECIMALS = st.lists(
    st.one_of(st.none(), st.decimals(min_value=-(10**36), max_value=10**36, places=2, allow_nan=False)), max_size=40
)


@given(EXACT)
def test_sums_of_integers_are_exact(values: list[int | None]) -> None:
    assert added(values, pa.int64()).total == sum(value or 0 for value in values)


@given(DECIMALS)
def test_sums_of_decimals_are_exact(values: list[Decimal | None]) -> None:
    cents = sum(int(value.scaleb(2)) if abs(value) < 10**20 else 0 for value in values if value is not None)
    small = [value if value is None or abs(value) < 10**20 else None for value in values]
    assert int(difference(added(small, pa.decimal128(38, 2)).total, 0).scaleb(2)) == cents


def test_sums_do_not_wrap_around_at_38_digits() -> None:
    most = Decimal("9" * 38)
    assert added([most] * 20, pa.decimal128(38, 0), rows=10).total == int(most) * 20
    assert difference(added([most] * 20, pa.decimal128(38, 0)).total, int(most) * 20 - 1) == 1


def test_another_order_of_adding_floats_stays_within_the_rounding() -> None:
    values = [random.Random(7).uniform(-1e6, 1e6) for _ in range(5000)]
    total = added(values, pa.float64(), rows=100)
    naive = 0.0
    for value in sorted(values):
        naive += value
    assert naive != total.total
    assert abs(naive - float(total.total)) <= total.rounding < 0.01


def test_sums_of_floats_that_are_no_numbers_are_no_numbers() -> None:
    assert math.isnan(added([1.0, math.nan], pa.float64()).total)
    assert added([1.0, math.inf], pa.float64()).total == math.inf
    assert math.isnan(added([math.inf, 1.0, 1.0, -math.inf], pa.float64()).total)


@pytest.mark.parametrize(("kind", "value"), [(pa.string(), "1"), (pa.bool_(), True), (pa.date32(), date(2026, 1, 1))])
def test_only_numbers_add_up(kind: pa.DataType, value: Any) -> None:
    assert added([None, None], kind).total == 0
    with pytest.raises(ColumnTypeError, match=r"column 'x' is .*, which does not add up"):
        _ = added([None, value], kind).total


@pytest.mark.parametrize(
    ("number", "json", "text"),
    [
        (12, 12, "12"),
        (Decimal("1234.50"), 1234.5, "1,234.5"),
        (Decimal("1E+3"), 1000, "1,000"),
        (Decimal("12345678901234567890.12"), "12345678901234567890.12", "12,345,678,901,234,567,890.12"),
        (2**53 + 1, "9007199254740993", "9,007,199,254,740,993"),
        (-0.25, -0.25, "-0.25"),
        (1e300, 1e300, "1e+300"),
        (math.nan, "nan", "nan"),
        (10, 10, "10"),
    ],
)
def test_numbers_lose_no_digits_in_json(number: Any, json: Any, text: str) -> None:
    value = plain(number)
    assert (value, type(value)) == (json, type(json))
    assert written(number) == text
    result = CheckResult(name="a", dataset=None, passed=True, blocking=True, message="", values={"sum": value})
    again = CheckResult.model_validate_json(result.model_dump_json()).values["sum"]
    assert (again, type(again)) == (json, type(json))


def stream(*columns: list[Any]) -> RecordStream:
    batch = pa.RecordBatch.from_pydict({str(place): column for place, column in enumerate(columns)})
    return RecordStream(batch.schema, [batch])


@pytest.mark.parametrize(
    ("columns", "total"), [([[7]], 7), ([[1.5]], 1.5), ([[Decimal("0.10")]], Decimal("0.1")), ([[None]], 0)]
)
def test_a_control_query_gives_one_number(columns: list[list[Any]], total: Any) -> None:
    assert read_total(stream(*columns)) == total


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ([[1, 2]], "2 rows of 1 column"),
        ([[]], "0 rows of 1 column"),
        ([[1], [2]], "1 row of 2 columns"),
        ([["7"]], "a string"),
        ([[True]], "a bool"),
        ([[date(2026, 1, 1)]], r"a date32\[day\]"),
    ],
)
def test_anything_else_is_refused(columns: list[list[Any]], what: str) -> None:
    with pytest.raises(QueryError, match=f"^the control query gives {what}. It must give one row with one number$"):
        read_total(stream(*columns))
