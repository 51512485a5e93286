"""JSON and JSON Lines keep the format contract."""

from __future__ import annotations

import base64
import json
import math
from datetime import date, time
from decimal import Decimal
from typing import Any

import pyarrow as pa

from export_pipelines.spec.formats import JsonFormat, JsonlFormat
from export_pipelines_tests.contracts.format_contract import FormatContract, Rows


class _JsonContract(FormatContract):
    shows_columns_without_rows = False

    def expected(self, value: Any, kind: pa.DataType) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return None
        if isinstance(value, Decimal):
            return format(value, "f")
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        if isinstance(value, date | time):
            return value.isoformat()
        return value


class TestJsonArray(_JsonContract):
    def spec(self) -> JsonFormat:
        return JsonFormat()

    def read(self, data: bytes) -> dict[str, Rows]:
        return {"rows": json.loads(data)}


class TestJsonObject(_JsonContract):
    def spec(self) -> JsonFormat:
        return JsonFormat(shape="object")

    def read(self, data: bytes) -> dict[str, Rows]:
        found = json.loads(data)
        assert isinstance(found, dict)
        return found


class TestJsonWithDecimalNumbers(_JsonContract):
    def spec(self) -> JsonFormat:
        return JsonFormat(decimals="number")

    def read(self, data: bytes) -> dict[str, Rows]:
        return {"rows": json.loads(data, parse_float=Decimal)}

    def expected(self, value: Any, kind: pa.DataType) -> Any:
        value = value if isinstance(value, Decimal) else super().expected(value, kind)
        return Decimal(repr(value)) if isinstance(value, float) else value


class TestJsonl(_JsonContract):
    def spec(self) -> JsonlFormat:
        return JsonlFormat()

    def read(self, data: bytes) -> dict[str, Rows]:
        return {"rows": [json.loads(line) for line in data.decode().split("\n")[:-1]]}
