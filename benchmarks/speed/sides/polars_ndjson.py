"""polars: a Parquet file to lines of JSON, whole (`write_ndjson`) or streaming (`sink_ndjson`)."""

import polars as pl

from benchmarks.speed.stopwatch import job, measured


def main() -> None:
    """Read all, write all."""
    what = job()
    pl.read_parquet(what["parquet"], n_rows=2000).write_ndjson(f"{what['out']}.few.jsonl")
    with measured(what):
        pl.read_parquet(what["parquet"], n_rows=what["rows"]).write_ndjson(f"{what['out']}.jsonl")


if __name__ == "__main__":
    main()
