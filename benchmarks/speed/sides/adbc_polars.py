"""SQLite through ADBC, its batches written by polars; nothing is summed or published."""

from contextlib import closing
from pathlib import Path

import polars as pl
from adbc_driver_sqlite import dbapi

from benchmarks.speed.stopwatch import job, measured


def write(what: dict, table: str) -> None:
    """Batches of the driver's default size."""
    with closing(dbapi.connect(what["sqlite"])) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(f"select * from {table}")
        with Path(f"{what['out']}.{table}.csv").open("wb") as file:
            for number, batch in enumerate(cursor.fetch_record_batch()):
                pl.DataFrame(batch).write_csv(file, include_header=number == 0)


def main() -> None:
    """Warm up, then measure."""
    what = job()
    write(what, "few")
    with measured(what):
        write(what, "rows")


if __name__ == "__main__":
    main()
