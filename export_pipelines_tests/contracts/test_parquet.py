"""Parquet keeps the format contract, read back by polars."""

from __future__ import annotations

import io

import polars as pl

from export_pipelines.spec.formats import ParquetFormat
from export_pipelines_tests.contracts.format_contract import FormatContract, Rows


class TestParquet(FormatContract):
    def spec(self) -> ParquetFormat:
        return ParquetFormat(row_group_rows=10_000)

    def read(self, data: bytes) -> dict[str, Rows]:
        return {"rows": pl.read_parquet(io.BytesIO(data)).to_dicts()}

    def columns(self, data: bytes) -> list[str]:
        return pl.read_parquet(io.BytesIO(data)).columns
