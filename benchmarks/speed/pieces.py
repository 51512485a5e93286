"""Where the time of PostgreSQL → CSV goes: microseconds of CPU per row, for each piece of the way and for `psql`.

    python -m benchmarks.speed.pieces [--rows 1000000] [--rounds 3]

The median of the rounds is printed. What an export does once (connecting, ledger, manifest) is not part of it.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.speed import data
from benchmarks.speed.stopwatch import own_cpu, server_cpu
from export_pipelines.formats.cells import neutralise
from export_pipelines.formats.pieces import Pieces
from export_pipelines.formats.render import Frames, as_text
from export_pipelines.sources import postgres as source
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.datasets import DatasetSpec


class Laps:
    """CPU seconds by name: of this process and its children, and of the server."""

    def __init__(self, postmaster: int) -> None:
        self._postmaster = postmaster
        self.found: dict[str, float] = {}

    def time(self, name: str, work: Callable[[], Any], *, server: str = "") -> Any:
        """Do the work; the server's part goes to the name `server`, if there is one."""
        served, began = server_cpu(self._postmaster), own_cpu()
        result = work()
        self._add(name, own_cpu() - began)
        if server:
            self._add(server, server_cpu(self._postmaster) - served)
        return result

    def _add(self, name: str, seconds: float) -> None:
        self.found[name] = self.found.get(name, 0.0) + seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as directory, data.postgres(options.rows) as server:
        for _ in range(options.rounds + 1):
            laps = Laps(server["postmaster"])
            _export(laps, server["url"])
            _psql(laps, server["url"], Path(directory) / "rows.csv")
            rounds.append(laps.found)
    for name in rounds[0]:  # the first round warmed up
        seconds = statistics.median(found[name] for found in rounds[1:])
        print(f"{seconds / options.rows * 1e6:6.2f}  {name}")


def _export(laps: Laps, url: str) -> None:
    opened = source.PostgresSource("data", ConnectionSpec(url=url), url)
    kept: list[Iterable[pa.RecordBatch]] = []

    def conform(batches: Iterable[pa.RecordBatch], schema: pa.Schema, **options: Any) -> Iterable[pa.RecordBatch]:
        kept.append(batches)
        return ordinary(batches, schema, **options)

    ordinary, source.conform = source.conform, conform
    try:
        with opened.open({"rows": DatasetSpec(sql="select * from rows")}, values={}) as snapshot:
            schema = snapshot.streams["rows"].schema
            raw = laps.time("export: ADBC", lambda: list(kept[0]), server="export: server, binary COPY")
    finally:
        source.conform = ordinary
    batches = laps.time("export: types, ranges", lambda: list(ordinary(raw, schema, valid_text=True)))
    plan = Frames("rows", schema, render=as_text, prepare=neutralise)
    frames = laps.time("export: text of values, formulas", lambda: [f for batch in batches for f in plan.of(batch)])
    pieces = laps.time("export: CSV", lambda: [_csv(frame) for frame in frames])
    total = hashlib.sha256()
    laps.time("export: SHA-256", lambda: [total.update(piece) for text in pieces for piece in text])


def _csv(frame: Any) -> list[bytes]:
    text = Pieces()
    frame.write_csv(text.file, include_header=False, quote_style="necessary")
    return list(text)


def _psql(laps: Laps, url: str, path: Path) -> None:
    command = [str(data.PSQL), url, "-q", "-c", f"\\copy (select * from rows) to '{path}' with (format csv, header)"]
    laps.time("psql: client", lambda: subprocess.run(command, check=True), server="psql: server, CSV COPY")
    sum_ = ["sha256sum", str(path)]
    laps.time("psql: sha256sum", lambda: subprocess.run(sum_, check=True, stdout=subprocess.DEVNULL))


if __name__ == "__main__":
    main()
