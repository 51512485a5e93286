"""What formats share about columns: names that a row can have."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from export_pipelines.errors import FormatError


def check_columns(dataset: str, schema: pa.Schema) -> None:
    """Refuse a dataset whose rows no reader could tell apart: two columns of one name, or no column at all.

    Raises FormatError if so.
    """
    twice = [name for name, count in Counter(schema.names).items() if count > 1]
    if twice:
        names = ", ".join(map(repr, twice))
        raise FormatError(
            f"dataset {dataset!r} has several columns named {names}", hint="Name each once, with AS in the query"
        )
    if not schema.names:
        raise FormatError(f"dataset {dataset!r} has no columns", hint="Select at least one")
