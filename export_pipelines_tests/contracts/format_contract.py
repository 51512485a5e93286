"""What every format must do. A format without a subclass of this contract does not merge."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from export_pipelines.errors import ColumnTypeError, FormatError
from export_pipelines_tests.contracts.format_writing import (
    AWKWARD_TEXTS,
    BERLIN,
    FORMULAS,
    HARMLESS,
    TYPED,
    dataset,
    write_file,
)

Rows = list[dict[str, Any]]


class FormatContract(ABC):
    """Subclass as `TestXyz`, provide `spec` and `read`, and say below what the format can express."""

    shows_columns_without_rows: ClassVar[bool] = True  # a file with no rows still tells its columns
    keeps_null: ClassVar[bool] = True  # NULL can be told from an empty string
    nested_columns: ClassVar[bool] = True  # list and struct columns are rendered; else they are refused
    guards_formulas: ClassVar[bool] = False  # spreadsheet_safe has a meaning here
    bytes_follow_batches: ClassVar[bool] = False  # the bytes may depend on where batches end
    texts: ClassVar[tuple[str, ...]] = AWKWARD_TEXTS  # narrow it only for what the format cannot hold
    memory_rows: ClassVar[int] = 200_000  # rows of 200 bytes written in the memory check; fewer for slow formats
    memory_bytes: ClassVar[int] = 12 * 2**20  # how far the peak may grow after the first quarter of them

    @abstractmethod
    def spec(self) -> Any:
        """The format's spec under test."""

    @abstractmethod
    def read(self, data: bytes) -> dict[str, Rows] | None:
        """{dataset: rows} as an independent reader sees the file, or None if it cannot be read back.

        A format without dataset names inside returns its rows under the name "rows".
        """

    def columns(self, data: bytes) -> list[str]:
        """The column names that the file shows for its first dataset."""
        found = self.read(data)
        return list(next(iter(found.values()))[0]) if found else []

    def expected(self, value: Any, kind: pa.DataType) -> Any:
        """What `read` must return for a cell that holds the Python `value`; by default the value itself."""
        return value

    def neutral(self, text: str) -> str:
        """What `read` must return for the formula `text` in a file that is safe for spreadsheets."""
        return "'" + text

    # --- the checks ---------------------------------------------------------------------------------------------

    def test_a_file_without_rows_keeps_its_columns(self) -> None:
        schema = pa.schema([("id", pa.int64()), ("name", pa.string())])
        for batches in ([], [pa.RecordBatch.from_pylist([], schema=schema)]):
            data = write_file(self.spec(), {"rows": (schema, batches)})
            found = self._read(data)
            assert not any(found.values())
            if self.shows_columns_without_rows:
                assert self.columns(data) == ["id", "name"]

    def test_rows_of_many_batches_are_complete_and_in_order(self) -> None:
        table = pa.table({"id": pa.array(range(2_500), pa.int64()), "name": [f"n{i}" for i in range(2_500)]})
        self._check(table, batch_rows=97)

    def test_one_file_holds_all_datasets_or_exactly_one(self) -> None:
        first, second = pa.table({"a": ["x", "y"]}), pa.table({"b": ["z"], "c": ["w"]})
        wanted = {"first": (first, 1), "empty": (first.slice(0, 0), 1), "second": (second, 1)}
        if not self.spec().combines:
            wanted = {"first": (first, 1)}
        data = write_file(self.spec(), {name: dataset(table, rows) for name, (table, rows) in wanted.items()})
        found = self._read(data)
        assert len(found) == len(wanted)
        for name, (table, _) in wanted.items():
            self._same(found.get(name, found.get("rows")), table)

    def test_awkward_text_survives(self) -> None:
        self._check(pa.table({"id": [str(i) for i in range(len(self.texts))], "text": list(self.texts)}))

    def test_awkward_headers_survive(self) -> None:
        names = ['say "x"', "a,b;c", "Ünïcödé 漢字", "with space", "it's"]
        table = pa.table({name: ["v"] for name in names})
        data = write_file(self.spec(), {"rows": dataset(table)})
        self._same(next(iter(self._read(data).values())), table)
        assert self.columns(data) == names

    def test_null_differs_from_empty_text(self) -> None:
        data = write_file(self.spec(), {"rows": dataset(pa.table({"id": ["1", "2", "3"], "text": ["", None, "x"]}))})
        empty, null, _ = (row["text"] for row in next(iter(self._read(data).values())))
        assert (empty != null) is self.keeps_null

    @pytest.mark.parametrize("column", TYPED.column_names)
    def test_values_of_each_type_are_exact(self, column: str) -> None:
        keys = pa.array([str(i) for i in range(TYPED.num_rows)])
        self._check(pa.table({"key": keys, column: TYPED[column]}))

    @pytest.mark.parametrize("unit", ["s", "ms", "ns"])
    def test_times_of_every_unit_are_the_same_instant(self, unit: str) -> None:
        moments = [datetime(2024, 2, 29, 12, 30, 1, tzinfo=UTC), datetime(1969, 7, 20, tzinfo=UTC)]
        table = pa.table({"at": pa.array(moments, pa.timestamp(unit, "UTC"))})
        data = write_file(self.spec(), {"rows": dataset(table)})
        self._same(next(iter(self._read(data).values())), table.cast(pa.schema([("at", pa.timestamp("us", "UTC"))])))

    def test_local_times_keep_their_instant(self) -> None:
        instants = [datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)]
        local = [instant.astimezone(BERLIN) for instant in instants]  # the same wall clock twice
        self._check(pa.table({"at": pa.array(local, pa.timestamp("us", "Europe/Berlin"))}))

    def test_not_a_number_and_infinity_follow_the_documented_policy(self) -> None:
        self._check(pa.table({"key": ["a", "b", "c"], "x": [math.nan, math.inf, -math.inf]}))

    def test_binary_is_readable(self) -> None:
        self._check(pa.table({"key": ["a", "b", "c"], "raw": pa.array([b"\x00\xff\x10", b"", None], pa.binary())}))

    def test_dictionary_columns_look_like_their_values(self) -> None:
        plain = pa.table({"kind": ["red", "blue", None, "red"], "key": ["1", "2", "3", "4"]})
        coded = plain.set_column(0, "kind", plain["kind"].dictionary_encode())
        data = write_file(self.spec(), {"rows": dataset(coded)})
        self._same(next(iter(self._read(data).values())), plain)

    @pytest.mark.parametrize(
        "nested",
        [
            pa.array([["a", "b"], [], None], pa.list_(pa.string())),
            pa.array([{"x": 1, "y": "z"}, {"x": None, "y": ""}, None]),
        ],
        ids=["list", "struct"],
    )
    def test_nested_columns_are_rendered_or_refused(self, nested: pa.Array) -> None:
        table = pa.table({"key": ["1", "2", "3"], "tags": nested})
        if self.nested_columns:
            self._check(table)
        else:
            with pytest.raises((ColumnTypeError, FormatError), match="tags"):
                write_file(self.spec(), {"rows": dataset(table)})

    def test_formulas_in_text_are_neutralised_only_where_asked(self) -> None:
        texts = FORMULAS + HARMLESS
        table = pa.table({"key": [str(i) for i in range(len(texts))], "text": list(texts)})
        for safe in (True, False):
            data = write_file(self.spec(), {"rows": dataset(table)}, spreadsheet_safe=safe)
            found = [row["text"] for row in next(iter(self._read(data).values()))]
            change = self.neutral if safe and self.guards_formulas else str
            assert found[: len(FORMULAS)] == [self.expected(change(text), pa.string()) for text in FORMULAS]
            assert found[len(FORMULAS) :] == [self.expected(text, pa.string()) for text in HARMLESS]

    def test_formulas_in_headers_are_neutralised(self) -> None:
        table = pa.table({"=1+1": ["x"], "@SUM(A1)": ["y"], "plain": ["z"]})
        data = write_file(self.spec(), {"rows": dataset(table)})
        self._read(data)
        change = self.neutral if self.guards_formulas else str
        assert self.columns(data) == [change("=1+1"), change("@SUM(A1)"), "plain"]

    def test_numbers_are_never_neutralised(self) -> None:
        self._check(pa.table({"key": ["a", "b"], "whole": [-5, 5], "real": [-1.5, 2.5]}))

    def test_writing_twice_gives_identical_bytes(self) -> None:
        first, second = (write_file(self.spec(), {"rows": dataset(TYPED)}) for _ in range(2))
        assert first == second

    def test_batch_boundaries_do_not_change_the_file(self) -> None:
        table = pa.concat_tables([TYPED] * 5).combine_chunks()
        whole, pieces = (write_file(self.spec(), {"rows": dataset(table, rows)}) for rows in (1_000, 3))
        if self.bytes_follow_batches:
            assert self._read(whole) == self._read(pieces)
        else:
            assert whole == pieces

    def test_two_columns_of_one_name_are_refused(self) -> None:
        table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["id", "id"])
        with pytest.raises(FormatError, match="'id'"):
            write_file(self.spec(), {"rows": dataset(table)})

    def test_memory_does_not_grow_with_rows(self) -> None:
        command = [sys.executable, "-m", "export_pipelines_tests.contracts.format_memory"]
        given = json.dumps({"spec": self.spec().model_dump(mode="json"), "rows": self.memory_rows})
        result = subprocess.run([*command, given], capture_output=True, text=True, check=False, timeout=120)
        assert result.returncode == 0, result.stderr
        assert int(result.stdout) < self.memory_bytes

    # --- what the checks share ----------------------------------------------------------------------------------

    def _read(self, data: bytes) -> dict[str, Rows]:
        found = self.read(data)
        if found is None:
            pytest.skip("this format cannot be read back")
        return found

    def _check(self, table: pa.Table, batch_rows: int = 1_000) -> None:
        data = write_file(self.spec(), {"rows": dataset(table, batch_rows)})
        self._same(next(iter(self._read(data).values())), table)

    def _same(self, found: Rows | None, table: pa.Table) -> None:
        kinds = {field.name: field.type for field in table.schema}
        wanted = [{k: self.expected(v, kinds[k]) for k, v in row.items()} for row in table.to_pylist()]
        assert repr(found) == repr(wanted) if "nan" in repr(wanted) else found == wanted
