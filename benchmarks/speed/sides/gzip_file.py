"""A CSV file compressed: by our sink, or by Python's `gzip` at level 6."""

import gzip
from pathlib import Path

from benchmarks.speed.stopwatch import job, measured

CHUNK = 1 << 20


def main() -> None:
    """Compress in chunks of 1 MiB."""
    what = job()
    if what["by"] == "ours":
        from export_pipelines.formats.sink import FileSink, compressed
    target = Path(f"{what['out']}.csv.gz")
    with Path(what["csv"]).open("rb") as source, target.open("wb") as file, measured(what) as more:
        if what["by"] == "gzip":
            sink = gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6)
            while data := source.read(CHUNK):
                sink.write(data)
            sink.close()
        else:
            inner = FileSink(file)
            wrapping = compressed(inner, "gzip", "rows.csv")
            while data := source.read(CHUNK):
                wrapping.write(data)
            wrapping.finish()
        file.flush()
        more["bytes"] = target.stat().st_size


if __name__ == "__main__":
    main()
