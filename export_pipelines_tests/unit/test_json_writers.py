"""The exact text of JSON and JSON Lines files."""

from __future__ import annotations

import json
from decimal import Decimal

import pyarrow as pa
import pytest

from export_pipelines.errors import FormatError
from export_pipelines.spec.formats import JsonFormat, JsonlFormat
from export_pipelines_tests.contracts.format_writing import dataset, write_file

TABLE = pa.table({"id": [1, 2], "price": [Decimal("1.50"), None], "ratio": [1.0, float("nan")], "name": ["ä\n", None]})


def test_lines() -> None:
    data = write_file(JsonlFormat(), {"rows": dataset(TABLE)})
    assert data.decode() == (
        '{"id":1,"price":"1.50","ratio":1.0,"name":"ä\\n"}\n{"id":2,"price":null,"ratio":null,"name":null}\n'
    )


def test_array() -> None:
    rows = TABLE.select(["id"])
    assert write_file(JsonFormat(), {"rows": dataset(rows, 1)}) == b'[\n{"id":1},\n{"id":2}\n]\n'
    assert write_file(JsonFormat(), {"rows": dataset(rows.slice(0, 0))}) == b"[]\n"


def test_object_escapes_dataset_names() -> None:
    rows = TABLE.select(["id"])
    data = write_file(
        JsonFormat(shape="object"), {'a"b\\': dataset(rows), "zoë\n": dataset(rows.slice(0, 0)), "c": dataset(rows, 1)}
    )
    assert list(json.loads(data)) == ['a"b\\', "zoë\n", "c"]
    assert data.decode().splitlines()[1] == '"a\\"b\\\\": ['
    assert write_file(JsonFormat(shape="object"), {}) == b"{}\n"


def test_decimal_numbers_keep_every_digit() -> None:
    digits = ["12345678901234567890123456789012.345678", "-0.000001", "10.000000"]
    nested = [[Decimal("1.10")], None, []]
    table = pa.table({"x": pa.array([Decimal(d) for d in digits], pa.decimal128(38, 6)), "y": nested})
    for spec in (JsonlFormat(decimals="number"), JsonFormat(decimals="number")):
        text = write_file(spec, {"rows": dataset(table)}).decode()
        for shown in digits:
            assert f'"x":{shown},' in text
        assert '"y":[1.10]' in text


def test_text_that_looks_like_a_number_stays_text() -> None:
    table = pa.table({"x": [Decimal("1.5")], "text": ["1.5"]})
    assert write_file(JsonlFormat(decimals="number"), {"rows": dataset(table)}) == b'{"x":1.5,"text":"1.5"}\n'


def test_columns_named_like_patterns_are_only_names() -> None:
    table = pa.table({"*": ["1"], "^x.*$": ["2"], "": ["3"], "0": ["4"]})
    assert json.loads(write_file(JsonlFormat(), {"rows": dataset(table)})) == {
        "*": "1",
        "^x.*$": "2",
        "": "3",
        "0": "4",
    }


@pytest.mark.parametrize("spec", [JsonFormat(), JsonlFormat()])
def test_datasets_without_columns_are_refused(spec: JsonFormat | JsonlFormat) -> None:
    with pytest.raises(FormatError, match="no columns"):
        write_file(spec, {"rows": (pa.schema([]), [])})


@pytest.mark.parametrize("batch_rows", [1_000, 20_000, 100_000])
@pytest.mark.parametrize("decimals", ["string", "number"])
def test_a_long_array_has_the_lines_of_json_lines(batch_rows: int, decimals: str) -> None:
    texts = [f"row {i}\nends, " + "x" * (i % 90) for i in range(40_000)]
    rows = {"rows": dataset(pa.table({"i": range(40_000), "d": [Decimal("1.50")] * 40_000, "t": texts}), batch_rows)}
    lines = write_file(JsonlFormat(decimals=decimals), rows).decode().splitlines()
    assert len(lines) == 40_000
    assert write_file(JsonFormat(decimals=decimals), rows).decode() == "[\n" + ",\n".join(lines) + "\n]\n"
