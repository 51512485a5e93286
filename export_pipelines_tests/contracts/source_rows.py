"""One table of all types, with awkward values, as every source must deliver it."""

# ruff: noqa: DTZ001 - some columns have no timezone

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa

from export_pipelines.sources.base import Source
from export_pipelines.spec.datasets import DatasetSpec

DAY = {
    "window_start": datetime(2024, 1, 1, tzinfo=UTC),
    "window_end": datetime(2024, 1, 2, tzinfo=UTC),
    "window_start_date": date(2024, 1, 1),
    "window_end_date": date(2024, 1, 2),
    "partition": "2024-01-01",
}
"""What a run of one day's partition gives to every query."""

SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("name", pa.string()),
        ("small", pa.int64()),
        ("big", pa.int64()),
        ("amount", pa.decimal128(12, 2)),
        ("precise", pa.decimal128(30, 10)),
        ("score", pa.float64()),
        ("born", pa.date32()),
        ("seen", pa.timestamp("us", "UTC")),
        ("noted", pa.timestamp("us")),
        ("lunch", pa.time64("us")),
        ("active", pa.bool_()),
        ("photo", pa.binary()),
        ("note", pa.string()),
    ]
)

_VALUES: list[tuple[Any, ...]] = [
    (
        1,
        "Ann Smith",
        -7,
        2**62,
        Decimal("-12.50"),
        Decimal("12345678901234567890.0123456789"),
        0.1,
        date(1999, 12, 31),
        datetime(2024, 1, 1, 0, 0, tzinfo=UTC),
        datetime(2024, 1, 1, 10, 30, 0, 250000),
        time(12, 30),
        True,
        b"\x00\xff",
        "plain",
    ),
    (
        2,
        "ÄNNE O'Hara",
        0,
        -1,
        Decimal("0.00"),
        Decimal("0E-10"),
        -1e-300,
        date(1, 1, 1),
        datetime(2024, 1, 1, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1, 1, 1),
        time(0, 0, 0, 1),
        False,
        b"",
        "comma, \"quote\", 'apostrophe'; semicolon\nand line",
    ),
    (3, None, None, None, None, None, None, None, None, None, None, None, None, None),
    (
        4,
        "100% o_o \\ *[x]?",
        32767,
        2**53 + 1,
        Decimal("9999999999.99"),
        Decimal("-0.0000000001"),
        1e300,
        date(9999, 12, 31),
        datetime(2024, 1, 2, 0, 0, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999),
        time(23, 59, 59, 999999),
        None,
        b"'; drop table students; --",
        "",
    ),
    (
        5,
        "zoë",
        5,
        5,
        Decimal("5.00"),
        Decimal("5.0000000000"),
        5.0,
        date(2024, 2, 29),
        datetime(2023, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2024, 2, 29, 12, 0),
        time(5, 0),
        True,
        None,
        "日本語 🎈  \t",
    ),
]

STUDENTS = pa.table(
    [pa.array(values, field.type) for values, field in zip(zip(*_VALUES, strict=True), SCHEMA, strict=True)],
    schema=SCHEMA,
)
"""The table `students`, in the order of its ids."""

POSTGRES_DDL = """create table students (
    id integer primary key, name varchar(40), small smallint, big bigint, amount decimal(12,2),
    precise numeric(30,10), score double precision, born date, seen timestamptz, noted timestamp, lunch time,
    active boolean, photo bytea, note text)"""
SQLITE_DDL = POSTGRES_DDL.replace("bytea", "blob").replace("numeric(30,10)", "text")
"""SQLite cannot keep 30 digits as a number, so the column is text there and the datasets declare its type."""

PRECISE = {"precise": "decimal(30,10)"}


def sqlite_values() -> list[list[Any]]:
    """The rows as they are stored in SQLite: text for what it has no type for."""
    return [[_stored(value) for value in row] for row in _VALUES]


def python_values() -> list[tuple[Any, ...]]:
    """The rows as Python objects."""
    return list(_VALUES)


def read(source: Source, values: Mapping[str, Any] | None = None, **dataset: Any) -> pa.Table:
    """All rows of one dataset."""
    spec = DatasetSpec.model_validate(dataset)
    with source.open({"rows": spec}, values=DAY if values is None else values) as snapshot:
        stream = snapshot.streams["rows"]
        return pa.Table.from_batches(list(stream), stream.schema)


def ids(source: Source, **dataset: Any) -> list[int]:
    """The ids of the students that a dataset returns."""
    found = read(source, table="students", columns=["id"], **dataset)["id"].to_pylist()
    return found if "order_by" in dataset else sorted(found)


def _stored(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date | time | Decimal):
        return str(value)
    return int(value) if isinstance(value, bool) else value
