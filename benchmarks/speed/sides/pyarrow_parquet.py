"""pyarrow: the batches of a Parquet file to another one, zstd."""

import pyarrow.parquet as pq

from benchmarks.speed.stopwatch import job, measured


def copy(source: str, target: str, rows: int) -> None:
    """Batches of 65,536 rows."""
    file = pq.ParquetFile(source)
    left = rows
    with pq.ParquetWriter(target, file.schema_arrow, compression="zstd") as writer:
        for batch in file.iter_batches(65_536):
            writer.write_batch(batch.slice(0, left))
            left -= min(left, batch.num_rows)
            if not left:
                break


def main() -> None:
    """Warm up, then measure."""
    what = job()
    copy(what["parquet"], f"{what['out']}.few.parquet", 2000)
    with measured(what):
        copy(what["parquet"], f"{what['out']}.parquet", what["rows"])


if __name__ == "__main__":
    main()
