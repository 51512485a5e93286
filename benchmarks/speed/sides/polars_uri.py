"""polars: `read_database_uri` and `write_csv`; nothing is summed or published."""

import polars as pl

from benchmarks.speed.columns import NAMES
from benchmarks.speed.stopwatch import job, measured


def main() -> None:
    """Read all, write all."""
    what = job()
    url = what["rust_url" if what["engine"] == "connectorx" else "url"]
    columns = "*"
    if what["engine"] == "adbc":  # whose decimals polars cannot write
        columns = ", ".join(f"{name}::float8 as {name}" if name == "balance" else name for name in NAMES)
    pl.read_database_uri(f"select {columns} from few", url, engine=what["engine"]).write_csv(f"{what['out']}.few.csv")
    with measured(what):
        pl.read_database_uri(f"select {columns} from rows", url, engine=what["engine"]).write_csv(f"{what['out']}.csv")


if __name__ == "__main__":
    main()
