"""Excel workbooks keep the contract, as openpyxl reads them."""

from __future__ import annotations

import base64
import io
import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
from openpyxl import load_workbook
from openpyxl.utils.escape import unescape

from export_pipelines.spec.formats import XlsxFormat
from export_pipelines_tests.contracts.format_contract import FormatContract, Rows


class TestXlsx(FormatContract):
    nested_columns = False
    guards_formulas = True

    def spec(self) -> XlsxFormat:
        return XlsxFormat()

    def read(self, data: bytes) -> dict[str, Rows]:
        found = {}
        for sheet in load_workbook(io.BytesIO(data)):
            header, *rows = ([_plain(value) for value in row] for row in sheet.iter_rows(values_only=True))
            found[sheet.title] = [dict(zip(header, row, strict=True)) for row in rows]
        return found

    def columns(self, data: bytes) -> list[str]:
        return [_plain(cell.value) for cell in load_workbook(io.BytesIO(data)).worksheets[0][1]]

    def expected(self, value: Any, kind: pa.DataType) -> Any:
        match value:
            case int() | Decimal() if not isinstance(value, bool):
                value = _number(value)
            case float() if not math.isfinite(value):
                value = str(value).replace("nan", "NaN")
            case datetime():
                value = _milliseconds(value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value)
            case date():
                value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a cell has no timezone
            case time():
                value = _milliseconds(value)
            case bytes():
                value = base64.b64encode(value).decode()
        return value


def _plain(value: Any) -> Any:
    return unescape(value) if isinstance(value, str) else value  # openpyxl leaves _x000D_ to its caller


def _number(value: int | Decimal) -> int | float | str:
    text = str(value) if isinstance(value, int) else f"{value:f}"
    if len(text.lstrip("-").replace(".", "").lstrip("0")) > 15:
        return text  # Excel would round it
    return value if isinstance(value, int) else float(value)


def _milliseconds(value: Any) -> Any:
    return value.replace(microsecond=value.microsecond // 1000 * 1000)
