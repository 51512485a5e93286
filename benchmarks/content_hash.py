"""What `only_if: changed` costs: CPU time of the hash, beside that of writing the same million rows.

python benchmarks/content_hash.py
"""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from export_pipelines.content import ContentHash
from export_pipelines.formats.base import Document
from export_pipelines.formats.fileset import FileSet, plan_files
from export_pipelines.spec.exports import ExportSpec

ROWS = 1_000_000
BATCH_ROWS = 65_536
FORMATS = ("csv", "jsonl", "parquet")


def table() -> pa.Table:
    """Eight columns of the usual types; a tenth of the amounts and two thirds of the remarks are null."""
    chance = np.random.default_rng(1)
    numbers = np.arange(ROWS)
    amounts = pa.array(numbers, mask=numbers % 10 == 0).cast(pa.decimal128(38, 0)).cast(pa.decimal128(38, 2))
    return pa.table(
        {
            "id": numbers,
            "name": pa.array([f"name of {number}" for number in range(ROWS)]),
            "amount": amounts,
            "born": pa.array(chance.integers(0, 20_000, ROWS, np.int32)).cast(pa.date32()),
            "seen_at": pa.array(chance.integers(0, 10**15, ROWS)).cast(pa.timestamp("us", "UTC")),
            "remark": pa.array([None if n % 3 else f"a longer remark, number {n}" for n in range(ROWS)]),
            "score": chance.random(ROWS),
            "active": chance.random(ROWS) > 0.5,
        }
    )


def hashing(batches: list[pa.RecordBatch]) -> float:
    """CPU seconds of hashing; the best of three."""
    best = float("inf")
    for _ in range(3):
        content, began = ContentHash(), time.process_time()
        content.begin("d", batches[0].schema)
        for batch in batches:
            content.add(batch)
        content.hexdigest()
        best = min(best, time.process_time() - began)
    return best


def writing(batches: list[pa.RecordBatch], form: str, directory: Path) -> float:
    """CPU seconds of writing them in one format."""
    spec = ExportSpec.model_validate({"source": "s", "formats": [form], "datasets": {"d": {"table": "d"}}})
    now = datetime.now(UTC)
    document = Document(
        export="e",
        partition="p",
        description="",
        window_start=now,
        window_end=now,
        created_at=now,
        spreadsheet_safe=True,
    )
    planned = plan_files(spec.formats, ["d"], export="e")
    files = FileSet(planned, create=lambda name: (directory / name).open("wb"), document=document)
    began = time.process_time()
    files.begin("d", batches[0].schema)
    for batch in batches:
        files.write(batch)
    files.end()
    files.finish()
    return time.process_time() - began


def main() -> None:
    """Print the seconds and the ratios."""
    batches = table().to_batches(max_chunksize=BATCH_ROWS)
    cost = hashing(batches)
    print(f"{ROWS:,} rows, 8 columns: hash {cost:.3f} s of CPU time")
    with tempfile.TemporaryDirectory() as directory:
        for form in FORMATS:
            written = writing(batches, form, Path(directory))
            print(f"{form:8} {written:.2f} s, the hash is {100 * cost / written:.0f} per cent of it")


if __name__ == "__main__":
    main()
