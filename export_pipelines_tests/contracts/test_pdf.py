"""PDF reports keep the contract, as pdfplumber sees them on the page."""

from __future__ import annotations

import base64
import json
import math
import unicodedata
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from typing import Any

import font_roboto
import noto_cjk_sans_jp_regular
import pyarrow as pa
from fontTools.ttLib import TTFont

from export_pipelines.spec.formats import PdfFormat
from export_pipelines_tests.contracts.format_contract import FormatContract, Rows
from export_pipelines_tests.pdf_reading import read_sections


@cache
def _known() -> set[int]:
    paths = (font_roboto.font_files["Roboto"], str(noto_cjk_sans_jp_regular.FONT_PATH))
    return {code for path in paths for code in TTFont(path, lazy=True).getBestCmap() if code >= 32}


def _drawn(text: str) -> str:
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\t", "    "))
    return "".join(char if ord(char) in _known() or char == "\n" else "\ufffd" for char in text)


_TEXT_OF: dict[type, Callable[[Any], str]] = {
    str: _drawn,
    int: str,
    bool: lambda value: str(value).lower(),
    float: lambda value: "NaN" if math.isnan(value) else repr(value),
    Decimal: lambda value: format(value, "f"),
    bytes: lambda value: base64.b64encode(value).decode(),
    date: date.isoformat,
    datetime: lambda value: value.isoformat(" "),
    time: time.isoformat,
    list: lambda value: json.dumps(value, separators=(",", ":")),
    dict: lambda value: json.dumps(value, separators=(",", ":")),
}


class TestPdf(FormatContract):
    memory_rows = 60_000  # 2,000 pages

    def spec(self) -> PdfFormat:
        return PdfFormat(page_size="A3", orientation="landscape")

    def read(self, data: bytes) -> dict[str, Rows]:
        return {section.caption: section.cells() for section in read_sections(data)}

    def columns(self, data: bytes) -> list[str]:
        return read_sections(data)[0].columns

    def expected(self, value: Any, kind: pa.DataType) -> Any:
        return None if value is None else _TEXT_OF[type(value)](value)
