"""What every source must do with watermarks: the rows between two values, to the last microsecond and digit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import product
from typing import Any, ClassVar

import pytest

from export_pipelines.incremental import Marks
from export_pipelines.sources.base import Source
from export_pipelines.sources.bounds import Bounds, from_text, to_text
from export_pipelines.spec.datasets import DatasetSpec
from export_pipelines.storage.manifest import Watermark
from export_pipelines_tests.contracts.source_rows import DAY, PRECISE, SCHEMA, STUDENTS

TYPES = {
    "small": "int64",
    "big": "int64",
    "amount": "decimal(12,2)",
    "precise": "decimal(30,10)",
    "born": "date",
    "seen": "timestamptz",
    "noted": "timestamp",
}
"""Columns of each kind; each has NULL in one row, and values at both ends of what there is."""

QUERY = "select id, {0} from students where {0} > :watermark and {0} <= :watermark_end"
TABLE = {"table": "students", "filters": {"id": {"ne": 3}}}


def between(source: Source, bounds: Bounds, **dataset: Any) -> tuple[set[int], Watermark]:
    """The ids of the students between the bounds, and the mark that a run would leave."""
    spec = DatasetSpec.model_validate({**dataset, "watermark": {"column": bounds.column, "initial": 0}})
    marks, datasets = Marks({"rows": bounds}), {"rows": spec}
    bound = marks.bind(datasets)
    with marks.follow(source.open(bound, values=DAY), bound) as snapshot:
        batches = list(snapshot.streams["rows"])
    return {number for batch in batches for number in batch.column("id").to_pylist()}, marks.results()["rows"]


def values(column: str) -> dict[int, Any]:
    """Id -> the value of the column, where there is one."""
    pairs = zip(STUDENTS["id"].to_pylist(), STUDENTS[column].to_pylist(), strict=True)
    return {number: value for number, value in pairs if value is not None}


class WatermarkContract(ABC):
    """Part of the contract of sources."""

    compares_text_as_numbers: ClassVar[bool] = True  # in SQL, where the column is kept as text

    @abstractmethod
    def source(self, **connection: Any) -> Source:
        """A source on a database with `STUDENTS`."""

    @pytest.mark.parametrize("column", TYPES)
    def test_a_table_between_any_two_values(self, column: str) -> None:
        for low, high in product([None, *values(column).values()], repeat=2):
            bounds = Bounds(column=column, after=low, until=high, since="earlier", before="later" if high else "")
            found, mark = between(self.source(), bounds, **TABLE, types=PRECISE)
            assert found == self._expected(column, low, high), (low, high)
            self._assert_mark(mark, column, low, found)

    @pytest.mark.parametrize("column", TYPES)
    def test_a_query_between_any_two_values(self, column: str) -> None:
        if column == "precise" and not self.compares_text_as_numbers:
            pytest.skip("SQLite keeps so many digits as text only")
        for low, high in product(values(column).values(), [None, *values(column).values()]):
            bounds = Bounds(column=column, after=low, until=high, since="earlier", before="later" if high else "")
            found, mark = between(self.source(), bounds, sql=QUERY.format(column), types={column: TYPES[column]})
            assert found == self._expected(column, low, high), (low, high)
            self._assert_mark(mark, column, low, found)

    def test_nothing_is_left_for_a_partition_before_the_first_mark(self) -> None:
        bounds = Bounds(column="seen", nothing=True, before="later")
        assert between(self.source(), bounds, **TABLE) == (
            set(),
            Watermark(column="seen", type="timestamp[us, tz=UTC]", after=None, up_to=None),
        )

    @staticmethod
    def _expected(column: str, low: Any, high: Any) -> set[int]:
        found = values(column).items()
        return {n for n, value in found if (low is None or value > low) and (high is None or value <= high)}

    @staticmethod
    def _assert_mark(mark: Watermark, column: str, low: Any, found: set[int]) -> None:
        highest = max((values(column)[number] for number in found), default=low)
        assert (mark.column, mark.type) == (column, str(SCHEMA.field(column).type))
        for text, value in ((mark.after, low), (mark.up_to, highest)):
            assert text is None if value is None else from_text(text or "", mark.type) == value
            assert text is None or to_text(from_text(text, mark.type)) == text
