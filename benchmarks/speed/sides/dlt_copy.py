"""dlt: a table of PostgreSQL to a CSV file, with its fastest backend (connectorx)."""

import os
from pathlib import Path

import dlt
from dlt.destinations import filesystem
from dlt.sources.sql_database import sql_table

from benchmarks.speed.stopwatch import job, measured


def main() -> None:
    """Extract, normalize and load."""
    what = job()
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "DATA_WRITER__DISABLE_COMPRESSION": "true"}
    root = Path(what["out"])
    source = what["url"].replace("postgresql://", "postgresql+psycopg2://")
    pipeline = dlt.pipeline(
        "speed",
        destination=filesystem(bucket_url=str(root / "out")),
        dataset_name="data",
        pipelines_dir=str(root / "state"),
    )
    options = {} if what["backend"] == "pyarrow" else {"backend_kwargs": {"conn": what["rust_url"]}}
    with measured(what):
        table = sql_table(credentials=source, table="rows", backend=what["backend"], chunk_size=50_000, **options)
        pipeline.run(table, loader_file_format="csv")


if __name__ == "__main__":
    main()
