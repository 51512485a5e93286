"""What every source must do. A source without a subclass of this contract does not merge."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from export_pipelines.errors import ColumnTypeError, PermanentError, QueryError, SpecError
from export_pipelines.sources.base import Source
from export_pipelines.spec.datasets import DatasetSpec
from export_pipelines_tests.contracts.source_rows import DAY, PRECISE, SCHEMA, STUDENTS, ids, read
from export_pipelines_tests.contracts.source_watermarks import WatermarkContract

WRITES = [
    "insert into students (id) values (99)",
    "update students set name = 'x'",
    "delete from students",
    "drop table students",
    "create table others (id integer)",
    "select 1 as a; delete from students",
    "select 1 as a; commit; delete from students",
    "with gone as (delete from students returning id) select * from gone",
    "-- only a comment before\ndelete from students",
]
HOSTILE = [
    "'; drop table students; --",
    'x" or 1=1 --',
    "\\'; delete from students; --",
    "%s %(x)s :y $1 ?",
    "{0}",
    "\u202e",
]


class SourceContract(WatermarkContract):
    """Subclass as `TestXyz` and provide `source`; the table `students` must be there."""

    folds_umlauts: ClassVar[bool] = True  # case is ignored for letters beyond ASCII, too

    @abstractmethod
    def source(self, **connection: Any) -> Source:
        """A source on a database with `STUDENTS`; `connection` are fields of its ConnectionSpec, such as batch_rows."""

    def test_types_and_values(self) -> None:
        found = read(self.source(), table="students", order_by=["id"], types=PRECISE)
        assert found.schema.equals(SCHEMA, check_metadata=True)
        assert found.to_pylist() == STUDENTS.to_pylist()

    def test_fields_carry_no_metadata(self) -> None:
        found = read(self.source(), table="students")
        assert found.schema.metadata is None
        assert all(field.metadata is None for field in found.schema)

    def test_sql_gives_what_the_table_gives(self) -> None:
        found = read(self.source(), sql="select id, name, note from students order by id")
        assert found.equals(STUDENTS.select(["id", "name", "note"]))

    @pytest.mark.parametrize("rows", [1, 2, 3, 5, 6])
    def test_batches_are_bounded_and_complete(self, rows: int) -> None:
        dataset = DatasetSpec(table="students", order_by=["id"], types=PRECISE)
        with self.source(batch_rows=rows).open({"rows": dataset}, values=DAY) as snapshot:
            batches = list(snapshot.streams["rows"])
        assert all(0 < batch.num_rows <= rows for batch in batches)
        assert pa.Table.from_batches(batches).to_pylist() == STUDENTS.to_pylist()

    def test_no_rows_keep_the_schema(self) -> None:
        found = read(self.source(), table="students", filters={"id": -1}, types=PRECISE)
        assert (found.num_rows, found.schema) == (0, SCHEMA)

    def test_a_column_that_begins_with_nulls_keeps_its_type(self) -> None:
        found = read(self.source(batch_rows=1), table="students", order_by=["name"], types=PRECISE)
        backwards = read(self.source(batch_rows=1), table="students", order_by=["-name"], types=PRECISE)
        assert backwards["id"][0].as_py() == 3
        assert found.schema == backwards.schema == SCHEMA

    def test_columns_come_in_the_order_asked_for(self) -> None:
        found = read(self.source(), table="students", columns=["note", "id"], order_by=["-id"])
        assert found.column_names == ["note", "id"]
        assert found["id"].to_pylist() == [5, 4, 3, 2, 1]

    def test_nulls_are_last_and_first_when_descending(self) -> None:
        assert ids(self.source(), order_by=["small"]) == [1, 2, 5, 4, 3]
        assert ids(self.source(), order_by=["-small"]) == [3, 4, 5, 2, 1]
        assert ids(self.source(), order_by=["-active", "-id"]) == [4, 3, 5, 1, 2]

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({"id": 2}, [2]),
            ({"name": None}, [3]),
            ({"name": "Ann Smith"}, [1]),
            ({"active": True}, [1, 5]),
            ({"active": False}, [2]),
            ({"id": [1, 4, 77]}, [1, 4]),
            ({"id": []}, []),
            ({"name": ["Ann Smith", None]}, [1, 3]),
            ({"name": {"ne": "Ann Smith"}}, [2, 3, 4, 5]),
            ({"name": {"ne": None}}, [1, 2, 4, 5]),
            ({"name": {"eq": None}}, [3]),
            ({"name": {"not_in": ["Ann Smith", "zoë"]}}, [2, 3, 4]),
            ({"name": {"not_in": ["Ann Smith", None]}}, [2, 4, 5]),
            ({"name": {"not_in": []}}, [1, 2, 3, 4, 5]),
            ({"name": {"in": [None]}}, [3]),
            ({"small": {"gt": -7, "le": 5}}, [2, 5]),
            ({"small": {"ge": 0}, "active": True}, [5]),
            ({"amount": {"lt": 0.5}}, [1, 2]),
            ({"amount": -12.5}, [1]),
            ({"score": {"ge": 0.1, "lt": 5}}, [1]),
            ({"big": 2**62}, [1]),
            ({"name": {"like": "Ann%"}}, [1]),
            ({"name": {"like": "ann%"}}, []),
            ({"name": {"like": "100\\% o\\_o %"}}, [4]),
            ({"name": {"like": "z__"}}, [5]),
            ({"name": {"like": "%[x]?"}}, [4]),
            ({"name": {"is_null": True}}, [3]),
            ({"name": {"is_null": False}}, [1, 2, 4, 5]),
            ({"born": DAY["window_start_date"].replace(month=2, day=29)}, [5]),
            ({"born": {"lt": DAY["window_start_date"]}}, [1, 2]),
            ({"seen": {"ge": DAY["window_end"]}}, [4]),
        ],
    )
    def test_filters(self, filters: dict[str, Any], expected: list[int]) -> None:
        assert ids(self.source(), filters=filters) == expected

    @pytest.mark.parametrize(
        ("term", "expected"),
        [("ann", [1]), ("ANN", [1]), ("0%", [4]), ("o_o", [4]), ("_", [4]), ("\\", [4]), ("*[X]?", [4]), ("o'h", [2]),
         ('"QUOTE"', [2]), ("'", [2]), ("%_\\'\"", []), ("🎈", [5]), ("日本", [5]), ("nobody", [])],
    )  # fmt: skip
    def test_search(self, term: str, expected: list[int]) -> None:
        assert ids(self.source(), search={"term": term, "columns": ["name", "note"]}) == expected

    def test_search_ignores_case_beyond_ascii(self) -> None:
        assert ids(self.source(), search={"term": "ZOË", "columns": ["name"]}) == [5] * self.folds_umlauts
        assert ids(self.source(), search={"term": "änne", "columns": ["name"]}) == [2] * self.folds_umlauts

    def test_search_looks_into_numbers(self) -> None:
        assert ids(self.source(), search={"term": "276", "columns": ["name", "small"]}) == [4]

    def test_window_includes_its_start_and_not_its_end(self) -> None:
        assert ids(self.source(), window="seen") == [1, 2]

    def test_window_as_sql(self) -> None:
        sql = "select id from students where seen >= :window_start and seen < :window_end order by id"
        assert read(self.source(), sql=sql)["id"].to_pylist() == [1, 2]
        sql = "select id from students where born >= :window_start_date and born < '2024-03-01' order by id"
        assert read(self.source(), sql=sql)["id"].to_pylist() == [5]

    def test_parameters_are_values(self) -> None:
        sql = "select id from students where name = :name or small >= :low or (id = 2 and :partition = '2024-01-01')"
        found = read(self.source(), sql=sql, params={"name": "Ann Smith", "low": 32767})
        assert sorted(found["id"].to_pylist()) == [1, 2, 4]

    def test_colons_in_text_are_no_parameters(self) -> None:
        sql = "select ':name' as a, '12:30' as b, id /* :c */ from students where id = :id -- :d"
        assert read(self.source(), sql=sql, params={"id": 1}).to_pylist() == [{"a": ":name", "b": "12:30", "id": 1}]

    def test_a_closing_semicolon_is_fine(self) -> None:
        assert read(self.source(), sql="select id from students where id = 1 ;\n").num_rows == 1

    def test_with_and_values(self) -> None:
        sql = "with chosen as (select id from students where id < :n) select * from chosen order by id"
        assert read(self.source(), sql=sql, params={"n": 3})["id"].to_pylist() == [1, 2]

    def test_declared_types_win(self) -> None:
        types = {"id": "int32", "amount": "decimal(38,4)", "small": "float64"}
        found = read(self.source(), table="students", columns=["id", "amount", "small"], types=types, order_by=["id"])
        assert found.schema.types == [pa.int32(), pa.decimal128(38, 4), pa.float64()]
        assert str(found["amount"][0].as_py()) == "-12.5000"
        assert found["small"].to_pylist() == [-7.0, 0.0, None, 32767.0, 5.0]

    def test_a_value_that_does_not_fit_its_declared_type(self) -> None:
        with pytest.raises(ColumnTypeError, match=r"dataset 'rows'.*'amount'.*-12\.5") as caught:
            read(self.source(), table="students", columns=["amount"], types={"amount": "int64"})
        assert caught.value.hint

    def test_types_of_unknown_columns(self) -> None:
        with pytest.raises(SpecError, match=r"nmae.*id, name"):
            read(self.source(), table="students", columns=["id", "name"], types={"nmae": "string"})

    @pytest.mark.parametrize("value", HOSTILE)
    def test_hostile_values_are_only_values(self, value: str) -> None:
        assert ids(self.source(), filters={"name": value}) == []
        assert ids(self.source(), search={"term": value, "columns": ["name", "note"]}) == []
        assert read(self.source(), sql="select id from students where name = :v", params={"v": value}).num_rows == 0
        assert read(self.source(), table="students").num_rows == 5

    @pytest.mark.parametrize(
        "name", ['name" from students; drop table students; --', "na me", "name) or (1=1", "%s", ":x"]
    )
    def test_hostile_names_are_unknown_columns(self, name: str) -> None:
        for dataset in ({"columns": [name]}, {"filters": {name: 1}}, {"order_by": [name]}, {"window": name}):
            with pytest.raises(QueryError):
                read(self.source(), table="students", **dataset)
        assert read(self.source(), table="students").num_rows == 5

    def test_nul_characters_are_refused(self) -> None:
        for dataset in (
            {"table": "students", "filters": {"name": "a\0b"}},
            {"table": "students", "search": {"term": "a\0b", "columns": ["name"]}},
            {"table": "students", "columns": ["na\0me"]},
            {"sql": "select :x as x", "params": {"x": "\0"}},
            {"sql": "select '\0' as x"},
        ):
            with pytest.raises(SpecError, match="NUL"):
                read(self.source(), **dataset)

    @pytest.mark.parametrize("sql", WRITES)
    def test_writes_are_refused_and_change_nothing(self, sql: str) -> None:
        with pytest.raises(PermanentError):
            read(self.source(), sql=sql)
        assert read(self.source(), table="students", order_by=["id"], types=PRECISE).to_pylist() == STUDENTS.to_pylist()
        with pytest.raises(QueryError, match="others"):
            read(self.source(), table="others")

    def test_unknown_parameter(self) -> None:
        with pytest.raises(SpecError, match=r":minimum.*partition"):
            read(self.source(), sql="select id from students where small > :minimum")

    def test_unknown_table_and_column(self) -> None:
        with pytest.raises(QueryError, match=r"connection 'school'.*dataset 'rows'.*teachers"):
            read(self.source(), table="teachers")
        with pytest.raises(QueryError, match="salary"):
            read(self.source(), table="students", columns=["salary"])
        with pytest.raises(QueryError):
            read(self.source(), sql="select from where")

    def test_two_columns_of_one_name(self) -> None:
        with pytest.raises(QueryError, match="'id'"):
            read(self.source(), sql="select a.id, b.id from students a join students b on a.id = b.id")

    def test_datasets_are_read_side_by_side(self) -> None:
        source = self.source(batch_rows=1)
        one = DatasetSpec(table="students", columns=["id"], order_by=["id"])
        two = DatasetSpec(sql="select name from students order by id")
        with source.open({"b": one, "a": two}, values=DAY) as snapshot:
            assert list(snapshot.streams) == ["b", "a"]
            pairs = list(zip(snapshot.streams["b"], snapshot.streams["a"], strict=True))
        assert [(b["id"][0].as_py(), a["name"][0].as_py()) for b, a in pairs] == [
            (row["id"], row["name"]) for row in STUDENTS.to_pylist()
        ]

    def test_a_failing_dataset_closes_the_others(self) -> None:
        source = self.source()
        with pytest.raises(QueryError):
            source.open({"a": DatasetSpec(table="students"), "b": DatasetSpec(table="teachers")}, values=DAY)
        assert read(source, table="students").num_rows == 5

    def test_closing_early_and_reading_again(self) -> None:
        source = self.source(batch_rows=1)
        snapshot = source.open({"rows": DatasetSpec(table="students")}, values=DAY)
        stream = snapshot.streams["rows"]
        assert next(iter(stream)).num_rows == 1
        stream.close()
        snapshot.close()
        snapshot.close()
        assert read(source, table="students").num_rows == 5

    def test_no_datasets(self) -> None:
        with self.source().open({}, values=DAY) as snapshot:
            assert snapshot.streams == {}
