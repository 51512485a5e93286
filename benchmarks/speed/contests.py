"""What is measured against what, and what is to be reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MILLION = 1_000_000


@dataclass(frozen=True)
class Side:
    """A module of `sides`, and what it is told. `own` sides run in the project's environment, others in the peers'."""

    module: str
    options: dict[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def own(self) -> bool:
        """Whether it uses the package."""
        return self.module == "ours" or self.options.get("by") == "ours"

    @property
    def label(self) -> str:
        """How the table calls it."""
        return self.name or self.module.replace("_", " ")


@dataclass(frozen=True)
class Contest:
    """Our rows per CPU second, divided by those of the fastest peer, should be at least `reach`."""

    name: str
    ours: Side
    peers: Sequence[Side]
    reach: float
    rows: int = MILLION
    bytes_reach: float | None = None
    """At most this times the bytes of the peer."""
    times: int = 1
    """How many times as often as the others it is measured: its sides are quick, and near the mark."""


def _ours(source: str, *formats: Any, **options: Any) -> Side:
    return Side("ours", {"source": source, "formats": list(formats), **options}, name="export")


CSV = {"type": "csv"}
ZSTD = {"type": "parquet", "compression": "zstd"}

CONTESTS = [
    Contest("PostgreSQL → CSV, psql \\copy + sha256sum", _ours("postgres", CSV), [Side("psql_copy")], 0.8, times=3),
    Contest(
        "PostgreSQL → CSV, movers",
        _ours("postgres", CSV),
        [Side("sling_copy"), Side("dlt_copy", {"backend": "connectorx"}), Side("pandas_chunks")],
        3.0,
    ),
    Contest(
        "PostgreSQL → CSV, polars read_database_uri",
        _ours("postgres", CSV),
        [
            Side("polars_uri", {"engine": "adbc"}, name="polars adbc"),
            Side("polars_uri", {"engine": "connectorx"}, name="polars connectorx"),
        ],
        1.0,
        times=3,
    ),
    Contest("SQLite → CSV", _ours("sqlite", CSV), [Side("sqlite_cli"), Side("adbc_polars")], 0.9),
    Contest(
        "→ XLSX, styled", _ours("parquet", {"type": "xlsx"}, limited=True), [Side("xlsxwriter_rows")], 10.0, 200_000
    ),
    Contest("→ PDF", _ours("parquet", {"type": "pdf"}, limited=True), [Side("longtable")], 10.0, 20_000),
    Contest("→ JSON", _ours("parquet", {"type": "json"}), [Side("polars_ndjson")], 0.7, times=3),
    Contest("→ JSONL", _ours("parquet", {"type": "jsonl"}), [Side("polars_ndjson")], 0.7, times=3),
    Contest("→ Parquet, zstd", _ours("parquet", ZSTD), [Side("pyarrow_parquet")], 1.0),
    Contest(
        "gzip of the CSV",
        Side("gzip_file", {"by": "ours"}, name="our sink"),
        [Side("gzip_file", {"by": "gzip"}, name="gzip level 6")],
        5.0,
        bytes_reach=1.25,
    ),
]


@dataclass(frozen=True)
class Sum:
    """The CPU seconds of one export with all formats, divided by the sum of one export for each: at most `reach`."""

    name: str
    formats: Sequence[dict[str, Any]]
    reach: float
    source: str = "postgres"
    rows: int = MILLION


SUMS = [Sum("three formats in one export", [CSV, {"type": "jsonl"}, ZSTD], 0.75)]


@dataclass(frozen=True)
class Growth:
    """Peak memory at `rows` and at `less` rows: it grows by less than `reach` (a share) and stays below `most_mb`."""

    name: str
    formats: Sequence[dict[str, Any]]
    source: str
    less: int
    rows: int
    reach: float
    most_mb: float | None = None
    per_row: float | None = None
    """CPU seconds per row at `rows` divided by those at `less`: at most this."""


GROWTHS = [
    *(
        Growth(f"memory, {form['type']}, 100k → 10M rows", [form], "postgres", 100_000, 10 * MILLION, 0.10, 300.0)
        for form in (CSV, {"type": "jsonl"}, ZSTD)
    ),
    Growth("memory, XLSX, 100k → 1M rows", [{"type": "xlsx"}], "postgres", 100_000, MILLION, 0.30),
    Growth("memory, PDF, 20k → 200k rows", [{"type": "pdf"}], "postgres", 20_000, 200_000, 0.30, per_row=1.15),
]
