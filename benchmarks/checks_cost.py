"""What checks cost: CPU time for a million rows, and the memory of `unique` for ten million.

python benchmarks/checks_cost.py
"""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from export_pipelines.checks.run import RunChecks
from export_pipelines.checks.unique import Repetitions
from export_pipelines.spec.exports import ExportSpec
from export_pipelines.storage.manifest import Column

ROWS = 1_000_000
BATCH_ROWS = 65_536
CHECKS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "rows, not_null": {"rows": {"min": 1}, "not_null": ["id", "name"]},
    "control_total": {"control_total": {"column": "amount", "sql": "select 1"}},
    "unique: id": {"unique": ["id"]},
    "unique: name": {"unique": ["name"]},
    "unique: id, name, amount": {"unique": ["id", "name", "amount"]},
}


def table() -> pa.Table:
    """Integers, texts of 32 characters and decimals."""
    made = random.Random(1)
    numbers = pa.array(np.arange(ROWS))
    names = pa.array([f"{made.getrandbits(128):032x}" for _ in range(ROWS)])
    amounts = numbers.cast(pa.decimal128(38, 0)).cast(pa.decimal128(38, 2)).cast(pa.decimal128(12, 2))
    return pa.table({"id": numbers, "name": names, "amount": amounts})


def milliseconds(rows: pa.Table, checks: dict[str, Any] | None) -> float:
    """CPU time of measuring and judging; the best of five."""
    dataset = {"table": "d"} | ({"checks": checks} if checks else {})
    spec = ExportSpec.model_validate({"source": "s", "formats": ["csv"], "datasets": {"d": dataset}})
    batches, columns = rows.to_batches(max_chunksize=BATCH_ROWS), {"d": [Column.of(field) for field in rows.schema]}
    best = float("inf")
    for _ in range(5):
        run, began = RunChecks(spec, active=True), time.process_time()
        run.begin("d", rows.schema)
        for batch in batches:
            run.add(batch)
        run.results({"d": ROWS}, columns, totals={}, earlier=lambda: None)
        best = min(best, time.process_time() - began)
    return best * 1000


def bytes_a_row(rows: int, repeated: bool) -> float:
    """Peak memory of `unique` over one column of integers; to be called in a fresh process."""
    pl.DataFrame({"x": [1]}).hash_rows()  # what the libraries need for themselves
    keys = Repetitions(["x"])
    before = peak_bytes()
    for start in range(0, rows, BATCH_ROWS):
        numbers = np.arange(start, min(start + BATCH_ROWS, rows))
        keys.add(pa.RecordBatch.from_arrays([pa.array(numbers // 2 if repeated else numbers)], names=["x"]))
    assert keys.count() == (rows // 2 if repeated else 0)
    return (peak_bytes() - before) / rows


def peak_bytes() -> int:
    """The most memory that this process has used (Linux)."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    rows = table()
    for name, checks in CHECKS.items():
        print(f"{name:26} {milliseconds(rows, checks):8.3f} ms for {ROWS:,} rows")
    for repeated in (False, True):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peak = pool.apply(bytes_a_row, (10 * ROWS, repeated))
        print(f"unique, {'each row twice' if repeated else 'no row twice':14} {peak:8.1f} bytes a row at most")
