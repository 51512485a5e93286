"""CSV keeps the format contract, with default and with unusual options."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
from pyarrow import csv

from export_pipelines.spec.formats import CsvFormat
from export_pipelines_tests.contracts.format_contract import FormatContract, Rows

_TEXT_OF: dict[type, Callable[[Any], str]] = {
    str: str,
    int: str,
    bool: lambda value: str(value).lower(),
    float: lambda value: "NaN" if math.isnan(value) else repr(value),
    Decimal: lambda value: format(value, "f"),
    bytes: lambda value: base64.b64encode(value).decode(),
    date: date.isoformat,
    datetime: datetime.isoformat,
    time: time.isoformat,
    list: lambda value: json.dumps(value, separators=(",", ":")),
    dict: lambda value: json.dumps(value, separators=(",", ":")),
}


class TestCsv(FormatContract):
    guards_formulas = True

    def spec(self) -> CsvFormat:
        return CsvFormat()

    def read(self, data: bytes) -> dict[str, Rows]:
        return {"rows": self._table(data).to_pylist()}

    def columns(self, data: bytes) -> list[str]:
        return list(self._table(data).column_names)

    def expected(self, value: Any, kind: pa.DataType) -> Any:
        return None if value is None else _TEXT_OF[type(value)](value)

    def _table(self, data: bytes) -> pa.Table:
        spec = self.spec()
        parse = csv.ParseOptions(
            delimiter=spec.delimiter, quote_char=spec.quote, newlines_in_values=True, ignore_empty_lines=False
        )
        read = csv.ReadOptions(encoding=spec.encoding)
        names = csv.read_csv(io.BytesIO(data), read, parse).column_names
        convert = csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[spec.null_text],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        return csv.read_csv(io.BytesIO(data), read, parse, convert)


class TestUnusualCsv(TestCsv):
    """Everything quoted with apostrophes, another encoding, NULL spelled out, Windows line ends."""

    def spec(self) -> CsvFormat:
        return CsvFormat(delimiter="|", quote="'", quoting="all", encoding="utf-16", line_end="crlf", null_text="NULL")


class TestNullTextCsv(TestCsv):
    """Only what needs quotes has them, which texts spelled like NULL do."""

    def spec(self) -> CsvFormat:
        return CsvFormat(delimiter="\t", null_text="NULL", bom=True)
