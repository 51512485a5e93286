"""Write a whole file with a registered writer, and the rows that make writers stumble."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from export_pipelines.formats.base import Document, Sink
from export_pipelines.registry import FORMATS, resolve

Datasets = dict[str, tuple[pa.Schema, Iterable[pa.RecordBatch]]]

AWKWARD_TEXTS = (
    "plain",
    " leading and trailing ",
    'say "hello"',
    "it's",
    "a,b;c|d",
    "tab\there",
    "line\nfeed",
    "carriage\r\nreturn",
    "back\\slash \\n",
    "Ελληνικά",
    "Кириллица",
    "漢字とかな",
    "emoji 👩‍🚀🇩🇪",
    "שלום עולם",
    "combining e\u0301",
    "<b>&amp;</b>",
    "NULL",
    "null",
    "0012",
)
FORMULAS = ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "＝1+1", '=HYPERLINK("http://x","y")')
HARMLESS = ("-12.50", "+49", "a=b", "-1e5", "")

TYPED = pa.table(
    {
        "whole": pa.array([2**63 - 1, -(2**63), 0, None], pa.int64()),
        "small": pa.array([127, -128, 0, None], pa.int8()),
        "natural": pa.array([2**64 - 1, 0, 1, None], pa.uint64()),
        "real": pa.array([1.0, -0.1, 1.5e300, None], pa.float64()),
        "price": pa.array([Decimal("12345678901234567890.1234"), Decimal("-0.0001"), Decimal("5.0000"), None]),
        "flag": pa.array([True, False, True, None], pa.bool_()),
        "day": pa.array([date(2024, 2, 29), date(1969, 12, 31), date(9999, 12, 31), None], pa.date32()),
        "naive": pa.array(
            [datetime(2024, 2, 29, 12, 30, 1, 250000), datetime(1969, 7, 20), datetime(2262, 1, 1, 1, 2, 3), None],  # noqa: DTZ001
            pa.timestamp("us"),
        ),
        "aware": pa.array(
            [
                datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC),
                datetime(2026, 10, 25, 1, 30, 0, 1, tzinfo=UTC),
                datetime(1970, 1, 1, tzinfo=UTC),
                None,
            ],
            pa.timestamp("us", "UTC"),
        ),
        "clock": pa.array([time(0, 0), time(23, 59, 59, 999999), time(12, 0, 1), None], pa.time64("us")),
        "text": pa.array(["a", "", "b", None], pa.string()),
    }
)
BERLIN = ZoneInfo("Europe/Berlin")


class AppendOnly:
    """A sink with nothing but `write`, so that a writer that seeks, tells or flushes fails."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()

    def write(self, data: bytes | memoryview, /) -> int:
        """Append `data`, return its length in bytes."""
        return self._buffer.write(data)

    def value(self) -> bytes:
        """All bytes written so far."""
        return self._buffer.getvalue()


def document(*, description: str = "Students of the day", spreadsheet_safe: bool = True) -> Document:
    """The fixed facts that the contract prints into files."""
    return Document(
        export="students",
        partition="2026-03-29",
        description=description,
        window_start=datetime(2026, 3, 29, tzinfo=BERLIN),
        window_end=datetime(2026, 3, 30, tzinfo=BERLIN),
        created_at=datetime(2026, 3, 30, 2, 0, 5, tzinfo=BERLIN),
        spreadsheet_safe=spreadsheet_safe,
    )


def stream_file(sink: Sink, spec: Any, datasets: Datasets, *, spreadsheet_safe: bool = True) -> None:
    """Write `datasets` to `sink` with the writer that the registry names for `spec.type`."""
    writer = resolve("format", FORMATS, spec.type)(sink, spec, document(spreadsheet_safe=spreadsheet_safe))
    for name, (schema, batches) in datasets.items():
        writer.begin(name, schema)
        for batch in batches:
            writer.write(batch)
        writer.end()
    writer.close()


def write_file(spec: Any, datasets: Datasets, spreadsheet_safe: bool = True) -> bytes:
    """The bytes of one file holding `datasets`: {name: (schema, [batches])}."""
    sink = AppendOnly()
    stream_file(sink, spec, datasets, spreadsheet_safe=spreadsheet_safe)
    return sink.value()


def dataset(table: pa.Table, batch_rows: int = 1_000_000) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    """The table as a writer gets it: its schema and its rows in batches of at most `batch_rows`."""
    return table.schema, table.to_batches(max_chunksize=batch_rows)
