"""Values that Excel is peculiar about: numbers, moments and types it does not have."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from export_pipelines.errors import ColumnTypeError, FormatError
from export_pipelines.formats.xlsx import XlsxWriter
from export_pipelines.spec.formats import XlsxFormat
from export_pipelines_tests.contracts.format_writing import AppendOnly, document
from export_pipelines_tests.xlsx_reading import cells, read, write

# --- numbers and moments ----------------------------------------------------------------------------------------------


def test_whole_numbers_that_excel_would_round_are_text() -> None:
    limit = 10**15
    found = cells(limit - 1, 1 - limit, limit, -limit, 2**53 + 1, None, kind=pa.int64())
    assert [cell.value for cell in found] == [limit - 1, 1 - limit, str(limit), str(-limit), str(2**53 + 1), None]
    assert {cell.number_format for cell in found[:2]} == {"0"}


def test_decimals_show_their_scale_and_stay_exact() -> None:
    texts = ["1234567890123.45", "-0.10", "12345678901234.50", "12345678901234.56", "-12345678901234.56"]
    found = cells(*map(Decimal, texts), kind=pa.decimal128(20, 2))
    assert [cell.value for cell in found] == [1234567890123.45, -0.1, 12345678901234.5, *texts[3:]]
    assert [cell.number_format for cell in found] == ["0.00", "0.00", "0.00", "General", "General"]


@pytest.mark.parametrize("kind", [pa.decimal256(30, 3), pa.decimal64(10, 3), pa.decimal128(38, 3)])
def test_decimals_of_every_width_are_numbers(kind: pa.DataType) -> None:
    (cell,) = cells(Decimal("1.500"), kind=kind)
    assert (cell.value, cell.number_format) == (1.5, "0.000")


def test_tiny_decimals_are_plain_numbers() -> None:
    found = cells(Decimal("0.0000000001"), Decimal(0), kind=pa.decimal128(20, 10))
    assert [cell.value for cell in found] == [1e-10, 0]


def test_floats_keep_every_bit() -> None:
    values = [0.1 + 0.2, 1e300, 5e-324, -1.5, 123456789012345680.0]
    assert [cell.value for cell in cells(*values)] == values


@pytest.mark.parametrize(
    ("kind", "shown"),
    [(pa.bool_(), True), (pa.int8(), 1), (pa.uint64(), 1), (pa.float16(), 1), (pa.float32(), 1), (pa.null(), None)],
)
def test_simple_types_are_real_values(kind: pa.DataType, shown: Any) -> None:
    values = [None if pa.types.is_null(kind) else True if pa.types.is_boolean(kind) else 1]
    if pa.types.is_float16(kind):
        (cell,) = cells(1.0, kind=kind)
    else:
        (cell,) = cells(*values, kind=kind)
    assert (cell.value, type(cell.value) is bool) == (shown, pa.types.is_boolean(kind))


def test_days_that_excel_does_not_know_are_text() -> None:
    days = [date(1900, 3, 1), date(1900, 2, 28), date(1, 1, 1), date(9999, 12, 31)]
    for kind in (pa.date32(), pa.date64()):
        found = cells(*days, kind=kind)
        assert [cell.value for cell in found] == [
            datetime(1900, 3, 1),  # noqa: DTZ001 - a cell has no timezone
            "1900-02-28",
            "0001-01-01",
            datetime(9999, 12, 31),  # noqa: DTZ001
        ]
        assert found[0].number_format == "yyyy-mm-dd"


def test_moments_before_the_calendar_of_excel_are_text_in_utc() -> None:
    local = datetime(1850, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    for zone, shown in (("+02:00", "1849-12-31T22:00:00+00:00"), ("UTC", "1849-12-31T22:00:00+00:00")):
        (cell,) = cells(local, kind=pa.timestamp("us", zone))
        assert cell.value == shown
    (cell,) = cells(datetime(1850, 1, 1, 2), kind=pa.timestamp("us"))  # noqa: DTZ001
    assert cell.value == "1850-01-01T02:00:00"


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "+02:00"])
def test_moments_with_a_timezone_are_shown_in_utc_and_say_so(zone: str) -> None:
    moment = datetime(2026, 7, 1, 10, 0, tzinfo=UTC)
    for array in (pa.array([moment], pa.timestamp("us", zone)), pa.array([moment], pa.timestamp("s", zone))):
        for column in (array, array.dictionary_encode()):
            cell = read(write(("rows", pa.table({"at": column})))).worksheets[0]["A2"]
            assert cell.value == moment.replace(tzinfo=None)
            assert cell.number_format == 'yyyy-mm-dd hh:mm:ss "UTC"'


def test_milliseconds_show_only_where_there_are_some() -> None:
    moments = [datetime(2026, 1, 1, 1, 2, 3), datetime(2026, 1, 1, 1, 2, 3, 250_999)]  # noqa: DTZ001
    found = cells(*moments, kind=pa.timestamp("us"))
    assert [cell.value for cell in found] == [moments[0], moments[1].replace(microsecond=250_000)]
    assert [cell.number_format for cell in found] == ["yyyy-mm-dd hh:mm:ss", "yyyy-mm-dd hh:mm:ss.000"]


def test_the_last_moment_of_a_day_is_not_rounded_into_the_next() -> None:
    (moment,) = cells(datetime(2026, 12, 31, 23, 59, 59, 999_999), kind=pa.timestamp("us"))  # noqa: DTZ001
    assert moment.value == datetime(2026, 12, 31, 23, 59, 59, 999_000)  # noqa: DTZ001
    (clock,) = cells(time(23, 59, 59, 999_999), kind=pa.time64("us"))
    assert clock.value == time(23, 59, 59, 999_000)


def test_lengths_of_time_are_numbers_unless_negative() -> None:
    found = cells(timedelta(hours=30, minutes=5), timedelta(seconds=-3), kind=pa.duration("us"))
    assert [cell.value for cell in found] == [timedelta(hours=30, minutes=5), "-PT3S"]
    assert found[0].number_format == "[h]:mm:ss"


def test_a_moment_that_no_calendar_holds_is_refused() -> None:
    infinity = pa.array([2**63 - 1]).view(pa.timestamp("us"))
    with pytest.raises(FormatError, match=r"column 'until' .*outside the years 1 to 9999"):
        write(("rows", pa.table({"until": infinity})))


# --- other types ------------------------------------------------------------------------------------------------------


def test_uuids_are_text() -> None:
    one = uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")
    assert [cell.value for cell in cells(one.bytes, None, kind=pa.uuid())] == [str(one), None]


def test_text_of_every_arrow_layout_is_text() -> None:
    for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        assert [cell.value for cell in cells("=1", "a & b", None, kind=kind)] == ["'=1", "a & b", None]


def test_binary_of_every_arrow_layout_is_base64() -> None:
    for kind in (pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(2)):
        assert [cell.value for cell in cells(b"\xff\xfe", None, kind=kind)] == ["//4=", None]


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), pa.map_(pa.string(), pa.string())], ids=str
)
def test_nested_columns_are_refused_with_advice(kind: pa.DataType) -> None:
    with pytest.raises(ColumnTypeError, match=r"dataset 'rows' as xlsx: column 'tags'.*to_json.*parquet"):
        write(("rows", pa.table({"tags": pa.nulls(1, kind)})))


def test_slices_of_batches_are_written_as_they_are() -> None:
    table = pa.table({"n": list(range(10)), "t": [f"t{i}" for i in range(10)], "d": [None, date(2026, 1, 1)] * 5})
    sheet = read(write(("rows", table.slice(3, 4)))).worksheets[0]
    day = datetime(2026, 1, 1)  # noqa: DTZ001
    rows = [(3, "t3", day), (4, "t4", None), (5, "t5", day), (6, "t6", None)]
    assert list(sheet.iter_rows(min_row=2, values_only=True)) == rows


def test_dictionaries_that_differ_from_batch_to_batch_are_written() -> None:
    kind = pa.dictionary(pa.int8(), pa.string())
    texts = [f"t{i}" for i in range(300)]
    sink = AppendOnly()
    workbook = XlsxWriter(sink, XlsxFormat(), document())
    workbook.begin("rows", pa.schema([("kind", kind)]))
    for start in (0, 100, 200):  # together they have more values than their indexes can count
        workbook.write(pa.record_batch({"kind": pa.array(texts[start : start + 100]).cast(kind)}))
    workbook.end()
    workbook.close()
    assert [cell.value for cell in read(sink.value()).worksheets[0]["A"]] == ["kind", *texts]
