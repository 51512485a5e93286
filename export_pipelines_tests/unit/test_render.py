"""How values of every Arrow type look in CSV and JSON, whatever the batches."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export_pipelines.errors import FormatError
from export_pipelines.spec.formats import CsvFormat, JsonFormat, JsonlFormat, ParquetFormat
from export_pipelines_tests.contracts.format_writing import TYPED, dataset, write_file

_ID = UUID("12345678-9abc-def0-1234-56789abcdef0")
_JULY = datetime(2026, 7, 1, 12, tzinfo=UTC)


def _ints(values: list[int], kind: pa.DataType) -> pa.Array:
    return pa.array(values, pa.int32() if kind.bit_width == 32 else pa.int64()).cast(kind)


def _uuids() -> pa.Array:
    offsets = pa.array([0, 1, 1], pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array([_ID], pa.uuid()), mask=pa.array([False, True]))


CASES: dict[str, tuple[pa.Array, list[Any]]] = {
    "float32": (pa.array([0.1, 1.0], pa.float32()), [0.1, 1.0]),
    "float16": (pa.array([0.5, 1.0], pa.float16()), [0.5, 1.0]),
    "decimal32": (pa.array([Decimal("1.5"), None], pa.decimal32(5, 2)), ["1.50", None]),
    "decimal256": (pa.array([Decimal("1e-10"), Decimal(-7)], pa.decimal256(60, 10)), ["0.0000000001", "-7.0000000000"]),
    "decimal in hundreds": (pa.array([Decimal(1200), None], pa.decimal128(5, -2)), ["1200", None]),
    "timestamp[s]": (_ints([0, -1], pa.timestamp("s")), ["1970-01-01T00:00:00", "1969-12-31T23:59:59"]),
    "timestamp[ms]": (_ints([5, 0], pa.timestamp("ms")), ["1970-01-01T00:00:00.005000", "1970-01-01T00:00:00"]),
    "timestamp[ns]": (
        _ints([1, 1_500_000_000], pa.timestamp("ns")),
        ["1970-01-01T00:00:00.000000001", "1970-01-01T00:00:01.500000"],
    ),
    "zone": (
        pa.array([_JULY, datetime(1850, 1, 1, tzinfo=UTC)], pa.timestamp("us", "Europe/Berlin")),
        ["2026-07-01T14:00:00+02:00", "1850-01-01T00:53:28+00:53:28"],
    ),
    "half-hour offset": (
        pa.array([_JULY, None], pa.timestamp("ms", "+05:30")),
        ["2026-07-01T17:30:00+05:30", None],
    ),
    "negative offset": (pa.array([_JULY, None], pa.timestamp("us", "-03:30")), ["2026-07-01T08:30:00-03:30", None]),
    "time32": (pa.array([time(1, 2, 3), time(0)], pa.time32("s")), ["01:02:03", "00:00:00"]),
    "time64[ns]": (_ints([1, 86_399_000_000_000], pa.time64("ns")), ["00:00:00.000000001", "23:59:59"]),
    "date64": (pa.array([date(1, 1, 1), date(9999, 12, 31)], pa.date64()), ["0001-01-01", "9999-12-31"]),
    "duration": (pa.array([timedelta(seconds=5), timedelta(days=-2)], pa.duration("us")), ["PT5S", "-P2D"]),
    "interval": (
        pa.array([(1, 2, 3_500_000_000), None, (-14, -1, -1), (0, 0, 0)], pa.month_day_nano_interval()),
        ["P1M2DT3.5S", None, "P-14M-1DT-0.000000001S", "P0M0DT0S"],
    ),
    "uuid": (pa.array([_ID, None], pa.uuid()), [str(_ID), None]),
    "uuids": (_uuids(), [[str(_ID)], None]),
    "json": (pa.array(['{"a": 1}', None], pa.json_()), ['{"a": 1}', None]),
    "opaque": (
        pa.ExtensionArray.from_storage(pa.opaque(pa.string(), "numeric", "PostgreSQL"), pa.array(["1.5", None])),
        ["1.5", None],
    ),
    "numbers by dictionary": (pa.array([7, 8, 7]).dictionary_encode(), [7, 8, 7]),
    "run ends": (pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), ["q", None]), ["q", "q", None]),
    "text view": (pa.array(["a", None], pa.string_view()), ["a", None]),
    "binary view": (pa.array([b"\xff", None], pa.binary_view()), ["/w==", None]),
    "fixed binary": (pa.array([b"ab", None], pa.binary(2)), ["YWI=", None]),
    "nothing": (pa.nulls(2), [None, None]),
    "fixed list": (pa.array([[1, 2], None], pa.list_(pa.int64(), 2)), [[1, 2], None]),
    "moments in a list": (
        pa.array([[_JULY, None], None, []], pa.list_(pa.timestamp("us", "UTC"))),
        [["2026-07-01T12:00:00+00:00", None], None, []],
    ),
    "lists of lists": (
        pa.array([[[b"a"], None], None], pa.large_list(pa.list_(pa.binary()))),
        [[["YQ=="], None], None],
    ),
    "struct": (
        pa.array([{"a": Decimal("1.10"), "b": [time(1)]}, None, {"a": None, "b": None}]),
        [{"a": "1.10", "b": ["01:00:00"]}, None, {"a": None, "b": None}],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_json_and_csv_tell_the_same(name: str) -> None:
    column, wanted = CASES[name]
    # The second batch starts in the middle of its arrays.
    batches = [pa.record_batch({"x": column}), pa.record_batch({"x": column}).slice(1)]
    given = {"rows": (batches[0].schema, batches)}
    wanted = wanted + wanted[1:]
    lines = write_file(JsonlFormat(), given).decode().splitlines()
    assert [json.loads(line)["x"] for line in lines] == wanted

    data = write_file(CsvFormat(header=False, delimiter="|", quote="~", quoting="all"), given).decode()
    cells = [line.strip("~") if line else None for line in data.split("\n")[:-1]]
    assert cells == [_cell(value) for value in wanted]


def _cell(value: Any) -> str | None:
    if isinstance(value, list | dict):
        return json.dumps(value, separators=(",", ":"))
    return None if value is None else str(value)


@pytest.mark.parametrize("spec", [CsvFormat(), JsonlFormat()], ids=["csv", "jsonl"])
@pytest.mark.parametrize(
    "kind",
    [
        pa.map_(pa.string(), pa.int64()),
        pa.list_view(pa.int64()),
        pa.list_(pa.map_(pa.string(), pa.int64())),
        pa.struct([]),
        pa.timestamp("us", "Atlantis/Capital"),
    ],
    ids=str,
)
def test_types_without_text_are_refused_before_the_first_row(spec: CsvFormat | JsonlFormat, kind: pa.DataType) -> None:
    with pytest.raises(FormatError, match=r"column 'odd' .*dataset 'rows'.*Cast"):
        write_file(spec, {"rows": (pa.schema([("id", pa.int64()), ("odd", kind)]), [])})


@pytest.mark.parametrize("spec", [CsvFormat(), JsonlFormat()], ids=["csv", "jsonl"])
@pytest.mark.parametrize(
    "column",
    [
        _ints([2**63 - 1], pa.timestamp("us")),
        _ints([-(2**63)], pa.timestamp("us", "UTC")),
        _ints([2**31 - 1], pa.date32()),
        _ints([-719_163], pa.date32()),
        _ints([86_400_000_000], pa.time64("us")),
        pa.array([Decimal(10**45)], pa.decimal256(60, 0)),
    ],
    ids=["infinity", "-infinity", "late", "before year 1", "24:00", "45 digits"],
)
def test_values_without_text_are_refused(spec: CsvFormat | JsonlFormat, column: pa.Array) -> None:
    with pytest.raises(FormatError, match=r"column 'odd' .*dataset 'rows'"):
        write_file(spec, {"rows": dataset(pa.table({"odd": column}))})


@settings(max_examples=30, deadline=None)
@given(
    spec=st.sampled_from([CsvFormat(), CsvFormat(quoting="all"), JsonFormat(), JsonlFormat(), ParquetFormat()]),
    cuts=st.lists(st.integers(0, 40), max_size=8),
)
def test_batch_boundaries_do_not_matter(spec: Any, cuts: list[int]) -> None:
    table = pa.concat_tables([TYPED] * 10).combine_chunks()
    (whole,) = table.to_batches()
    edges = [0, *sorted(cuts), 40]  # equal edges make batches without rows
    pieces = [whole.slice(a, b - a) for a, b in pairwise(edges)]
    assert write_file(spec, {"rows": (table.schema, pieces)}) == write_file(spec, {"rows": (table.schema, [whole])})
