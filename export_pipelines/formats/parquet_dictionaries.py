"""Which columns of a Parquet file get a dictionary: those whose values repeat.

By itself the library makes one for every column, and pays for it three times where values are unique: the time to look
every value up, the dictionary with all of them, and the numbers that refer to it, which compress worse than values.
"""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

_SAMPLE_ROWS = 8192
_FEW_ROWS = 1024
"""Below this a dictionary costs nothing worth a thought, and a sample tells little."""
_REPEATED = 0.5  # at most this share of the sampled values differ from all others before them


def leaves_of(field: pa.Field) -> list[str]:
    """The paths of the field's columns in a Parquet file: one, or several of a nested field.

    Raises pa.ArrowInvalid, pa.ArrowNotImplementedError or OSError if Parquet cannot hold the field.
    """
    file = io.BytesIO()
    pq.ParquetWriter(file, pa.schema([field])).close()
    file.seek(0)
    schema = pq.ParquetFile(file).schema
    return [schema.column(place).path for place in range(len(schema))]


def with_dictionary(rows: pa.Table, leaves: list[list[str]]) -> list[str]:
    """The paths of the columns to be written with a dictionary, judged by the first `rows` of the file.

    `leaves` holds the paths of each field. The same rows always give the same answer.
    """
    step = max(1, rows.num_rows // _SAMPLE_ROWS)
    places = pa.array(range(0, rows.num_rows, step))
    columns = zip(rows.columns, leaves, strict=True)
    return [path for column, paths in columns if _repeats(column, places) for path in paths]


def _repeats(column: pa.ChunkedArray, places: pa.Array) -> bool:
    kind = column.type
    if len(column) < _FEW_ROWS or not _countable(kind):
        return True
    found = column.take(places).drop_null()
    return bool(pc.count_distinct(found).as_py() <= max(1, len(found)) * _REPEATED)


def _countable(kind: pa.DataType) -> bool:
    """Nested columns, dictionaries and rare types are left to the library."""
    return bool(types.is_primitive(kind) or types.is_decimal128(kind) or types.is_string(kind) or types.is_binary(kind))
