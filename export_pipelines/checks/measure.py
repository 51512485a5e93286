"""What checks need to know of a dataset's rows, measured on the batches that the formats write."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from export_pipelines.checks.sums import Sum
from export_pipelines.checks.unique import Repetitions
from export_pipelines.spec.checks import DatasetChecks


class Measure:
    """Counts and sums over one dataset, in one pass.

    Columns that the dataset does not have are not measured; `missing` tells them.
    """

    def __init__(self, checks: DatasetChecks, schema: pa.Schema) -> None:
        self._names = set(schema.names)
        self.nulls = {column: 0 for column in checks.not_null if column in self._names}
        """Column -> NULLs so far."""
        self.repetitions = Repetitions(checks.unique) if checks.unique and not self.missing(checks.unique) else None
        wanted = checks.control_total
        summed = wanted.column if wanted and wanted.column in self._names else None
        self.sum = Sum(summed, schema.field(summed).type) if summed else None
        """Of the column with a control total."""

    @property
    def needed(self) -> bool:
        """Whether there is anything to measure."""
        return bool(self.nulls or self.repetitions or self.sum)

    def missing(self, columns: Iterable[str]) -> list[str]:
        """The columns that the dataset does not have."""
        return [column for column in columns if column not in self._names]

    def add(self, batch: pa.RecordBatch) -> None:
        """Measure the rows of one batch."""
        for column in self.nulls:
            self.nulls[column] += batch.column(column).null_count
        if self.repetitions:
            self.repetitions.add(batch)
        if self.sum:
            self.sum.add(batch)
