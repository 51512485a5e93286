"""Write workbooks, and read them with openpyxl or as the XML that they are."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pyarrow as pa
from openpyxl import Workbook, load_workbook

from export_pipelines.formats.xlsx import XlsxWriter
from export_pipelines.spec.formats import XlsxFormat
from export_pipelines_tests.contracts.format_writing import AppendOnly, document


def write(
    *tables: tuple[str, pa.Table],
    writer: type[XlsxWriter] = XlsxWriter,
    batch_rows: int = 1_000,
    safe: bool = True,
    **options: Any,
) -> bytes:
    """The workbook with one sheet for each (name, table)."""
    sink = AppendOnly()
    workbook = writer(sink, XlsxFormat(**options), document(spreadsheet_safe=safe))
    for name, table in tables:
        workbook.begin(name, table.schema)
        for batch in table.to_batches(max_chunksize=batch_rows):
            workbook.write(batch)
        workbook.end()
    workbook.close()
    return sink.value()


def read(data: bytes) -> Workbook:
    """The workbook as openpyxl sees it."""
    return load_workbook(io.BytesIO(data))


def part(data: bytes, name: str) -> str:
    """The XML of one part."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(name).decode()


def cells(*values: Any, kind: pa.DataType | None = None) -> list[Any]:
    """The cells of a column holding `values`, below its header."""
    sheet = read(write(("rows", pa.table({"x": pa.array(list(values), kind)})))).worksheets[0]
    return [row[0] for row in sheet.iter_rows(min_row=2, max_row=len(values) + 1)]
