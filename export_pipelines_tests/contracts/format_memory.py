"""Run as a module: prints by how many bytes the peak memory grows after the first quarter of the rows."""

from __future__ import annotations

import json
import os
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter

from export_pipelines.spec.formats import FormatSpec
from export_pipelines_tests.contracts.format_writing import stream_file

_BATCH_ROWS = 1_000
_SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string())])


class _Nowhere:
    def write(self, data: bytes | memoryview, /) -> int:
        return len(data)


def _batches(rows: int, peaks: list[int]) -> Iterator[pa.RecordBatch]:
    offsets = pa.py_buffer((np.arange(_BATCH_ROWS + 1, dtype=np.int32) * 192).tobytes())
    for start in range(0, rows, _BATCH_ROWS):
        if start >= rows // 4 and not peaks:
            peaks.append(_peak())
        text = pa.py_buffer(os.urandom(96 * _BATCH_ROWS).hex().encode())  # incompressible and never shared
        ids = pa.array(range(start, start + _BATCH_ROWS), pa.int64())
        texts = pa.StringArray.from_buffers(_BATCH_ROWS, offsets, text)
        yield pa.RecordBatch.from_arrays([ids, texts], schema=_SCHEMA)


def _peak() -> int:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # On Linux ru_maxrss begins with the parent's peak, which would hide all growth.
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    peaks: list[int] = []
    spec = TypeAdapter(FormatSpec).validate_python(given["spec"])
    stream_file(_Nowhere(), spec, {"rows": (_SCHEMA, _batches(given["rows"], peaks))})
    sys.stdout.write(str(_peak() - peaks[0]))
