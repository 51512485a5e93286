"""Casting batches to the types that files are written from."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export_pipelines.errors import ColumnTypeError, QueryError, SpecError
from export_pipelines.sources.types import (
    UNBOUNDED_DECIMAL,
    UTC_TIMESTAMP,
    check_names,
    conform,
    conform_column,
    declared_type,
    plain_type,
    target_schema,
    uuid_text,
)


def cast(values: list[Any], given: pa.DataType | None, wanted: pa.DataType) -> list[Any]:
    """The values of one type as another."""
    found = conform_column(pa.array(values, given), pa.field("x", wanted))
    assert found.type == wanted
    return found.to_pylist()


class TestTypes:
    """Which type a column becomes."""

    @pytest.mark.parametrize(
        ("given", "plain"),
        [(pa.int8(), pa.int64()), (pa.uint64(), pa.int64()), (pa.float16(), pa.float64()), (pa.large_string(), pa.string()),
         (pa.string_view(), pa.string()), (pa.null(), pa.string()), (pa.large_binary(), pa.binary()), (pa.binary(4), None),
         (pa.timestamp("ns"), pa.timestamp("us")), (pa.timestamp("s", "Europe/Berlin"), UTC_TIMESTAMP),
         (pa.date64(), pa.date32()), (pa.time32("s"), pa.time64("us")), (pa.dictionary(pa.int8(), pa.string()), pa.string()),
         (pa.decimal128(7, 2), pa.decimal128(7, 2)), (pa.list_(pa.int64()), None), (pa.struct([]), None),
         (pa.duration("s"), None), (pa.month_day_nano_interval(), None), (pa.uuid(), pa.string()), (pa.json_(), pa.string()),
         (pa.opaque(pa.binary(), "inet", "PostgreSQL"), None)],
    )  # fmt: skip
    def test_plain(self, given: pa.DataType, plain: pa.DataType | None) -> None:
        assert plain_type(given) == plain

    def test_declared(self) -> None:
        assert declared_type("decimal(18,2)") == pa.decimal128(18, 2)
        assert declared_type("timestamptz") == UTC_TIMESTAMP

    def test_schema(self) -> None:
        fields = [pa.field("a", pa.int32(), metadata={"x": "y"}), pa.field("b", pa.null())]
        found = target_schema(fields, {"b": "date"}, lambda field: plain_type(field.type))
        assert found.equals(pa.schema([("a", pa.int64()), ("b", pa.date32())]), check_metadata=True)

    def test_names(self) -> None:
        with pytest.raises(QueryError, match=r"'a'.*AS"):
            check_names(["a", "b", "a"], {})
        with pytest.raises(SpecError, match=r"'c'.*a, b"):
            check_names(["a", "b"], {"c": "date"})
        check_names(["a", "A"], {"A": "date"})


class TestCasts:
    """Exactly, or not at all."""

    @pytest.mark.parametrize(
        ("values", "given", "wanted", "expected"),
        [
            (["1.50", None, "2"], None, pa.decimal128(5, 1), [Decimal("1.5"), None, Decimal(2)]),
            ([1, 12345], None, pa.decimal128(7, 2), [Decimal(1), Decimal(12345)]),
            ([2**62], None, pa.decimal128(38, 19), [Decimal(2**62)]),
            ([0.1 + 0.2, 2.5], None, pa.decimal128(5, 2), [Decimal("0.30"), Decimal("2.50")]),
            ([0, 1, None], None, pa.bool_(), [False, True, None]),
            ([None, None], pa.int64(), pa.binary(), [None, None]),
            ([], pa.int64(), pa.binary(), []),
            (["1.5"], None, pa.float64(), [1.5]),
            (["x", None], pa.dictionary(pa.int8(), pa.string()), pa.string(), ["x", None]),
            ([{"a": 1}], pa.struct([("a", pa.int64())]), pa.struct([("a", pa.int64())]), [{"a": 1}]),
        ],
    )
    def test_fits(self, values: list[Any], given: pa.DataType | None, wanted: pa.DataType, expected: list[Any]) -> None:
        assert cast(values, given, wanted) == expected

    @pytest.mark.parametrize(
        ("values", "given", "wanted", "sample"),
        [
            (["1.5", "1.55", "9"], None, pa.decimal128(5, 1), "'1.55'"),
            ([1, 1000], None, pa.decimal128(5, 2), "1000"),
            ([1.5, float("nan")], None, pa.decimal128(5, 2), "nan"),
            ([0, 1, 2], None, pa.bool_(), "2"),
            ([-1], None, pa.bool_(), "-1"),
            ([1.0, 1.5], None, pa.int64(), "1.5"),
            ([2**63], pa.uint64(), pa.int64(), str(2**63)),
            ([1], pa.timestamp("ns"), pa.timestamp("us"), "1970"),
            ([None, "soon"], None, pa.date32(), "'soon'"),
            (["x" * 500], None, pa.int64(), "'" + "x" * 60 + "'"),
            ([2**60], None, pa.timestamp("us"), "1 to 9999"),
        ],
    )
    def test_does_not_fit(self, values: list[Any], given: pa.DataType | None, wanted: pa.DataType, sample: str) -> None:
        if wanted == pa.timestamp("us") and given is None:
            given = pa.timestamp("us")
        with pytest.raises(ColumnTypeError, match=sample) as caught:
            cast(values, given, wanted)
        assert "'x'" in str(caught.value)
        assert caught.value.hint

    def test_slices_are_cast_as_they_are(self) -> None:
        texts = pa.array(["0", "1", "x", None, "4"])
        whole = pa.record_batch([texts], ["n"])
        schema = pa.schema([("n", pa.int64())])
        assert [batch["n"].to_pylist() for batch in conform([whole.slice(3), whole.slice(0, 2)], schema)] == [
            [None, 4],
            [0, 1],
        ]

    @given(st.lists(st.none() | st.uuids(), max_size=50), st.integers(0, 50))
    def test_uuids(self, uuids: list[UUID | None], start: int) -> None:
        stored = pa.array([value and value.bytes for value in uuids], pa.binary(16)).slice(start)
        assert uuid_text(stored).to_pylist() == [value and str(value) for value in uuids[start:]]

    @given(
        st.lists(
            st.none()
            | st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**28), max_value=10**28)
        )
    )
    def test_numbers_as_text_keep_every_digit(self, numbers: list[Decimal | None]) -> None:
        texts = [None if number is None else f"{number:f}" for number in numbers]
        assert cast(texts, pa.string(), UNBOUNDED_DECIMAL) == numbers
