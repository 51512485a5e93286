"""Watermarks: what is refused, and what SQLite needs."""

from pathlib import Path
from typing import Any

import pytest

from export_pipelines.errors import ColumnTypeError, ExportError, QueryError, SpecError
from export_pipelines.ledger import artifacts
from export_pipelines_tests.news import BY_ID, BY_TIME, execute, ids_of, insert, only, run

MON, TUE, WED = (f"2026-01-0{day}" for day in (5, 6, 7))


class TestRefusals:
    @pytest.mark.parametrize(
        ("dataset", "error", "message"),
        [
            ({"table": "news", "watermark": "name"}, ColumnTypeError, "'name' is string, which.*types: {name: timestamptz}"),
            ({"table": "news", "watermark": "idd"}, ExportError, "idd"),
            (
                {"sql": "select name from news where id > :watermark", "watermark": {"column": "id", "initial": 0}},
                SpecError,
                "'id' is no column of the result. It has: name",
            ),
            (
                {"sql": "select id * 1.5 as x from news where id > :watermark", "watermark": {"column": "x", "initial": 0}},
                ColumnTypeError,
                "'x' is double, which databases compare in different ways",
            ),
            (
                {"table": "news", "watermark": {"column": "seen", "initial": 0}},
                SpecError,
                "'seen' is timestamp.*`initial` is 0",
            ),
        ],
    )  # fmt: skip
    def test_columns_that_can_be_none(
        self, tmp_path: Path, dataset: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        made = only(tmp_path, dataset)
        insert(tmp_path, [1])
        with pytest.raises(error, match=message):
            run(made, MON)
        assert artifacts.find(made.ledger) == []

    @pytest.mark.parametrize(
        "dataset", [BY_ID, {**BY_TIME, "sql": f"{BY_TIME['sql']}".replace("where", "where seen is null or")}]
    )
    def test_null_is_never_left_out_in_silence(self, tmp_path: Path, dataset: dict[str, Any]) -> None:
        made = only(tmp_path, dataset)
        insert(tmp_path, [1])
        run(made, MON)
        execute(tmp_path, "insert into news values (null, null, 'lost')")
        for partition in (TUE, MON):
            with pytest.raises(ColumnTypeError, match=r"is NULL in 1 row.*is[_ ]n"):
                run(made, partition)

    def test_null_may_be_left_out_on_purpose(self, tmp_path: Path) -> None:
        made = only(tmp_path, {**BY_ID, "filters": {"id": {"is_null": False}}})
        insert(tmp_path, [1])
        execute(tmp_path, "insert into news values (null, null, 'lost')")
        assert ids_of(made, run(made, MON).row) == {"rows": [1]}

    def test_sql_that_gives_a_row_again(self, tmp_path: Path) -> None:
        sql = "select * from news where id >= :watermark"
        made = only(tmp_path, {"sql": sql, "watermark": {"column": "id", "initial": 0}})
        insert(tmp_path, [1, 2])
        run(made, MON)
        with pytest.raises(QueryError, match=r"'id' is 2 in a row, and partition 2026-01-05.*up to 2.*id > :watermark"):
            run(made, TUE)

    def test_sql_that_cannot_end(self, tmp_path: Path) -> None:
        open_end = {"sql": "select * from news where id > :watermark", "watermark": {"column": "id", "initial": 0}}
        made = only(tmp_path, open_end)
        insert(tmp_path, [1])
        run(made, MON)
        insert(tmp_path, [2])
        run(made, TUE)
        with pytest.raises(SpecError, match=r"belong to partition 2026-01-06.*id <= :watermark_end"):
            run(made, MON)
        too_far = open_end | {"sql": f"{open_end['sql']} and id < :watermark_end + 5"}
        with pytest.raises(QueryError, match="is 2 in a row, and that belongs to partition 2026-01-06"):
            run(only(tmp_path, too_far), MON)

    def test_a_column_whose_type_has_changed(self, tmp_path: Path) -> None:
        made = only(tmp_path, BY_ID)
        insert(tmp_path, [1])
        run(made, MON)
        execute(tmp_path, "drop table news", "create table news (id date)", "insert into news values ('2026-01-01')")
        with pytest.raises(
            ColumnTypeError, match=r"'id' is date32\[day\], but partition 2026-01-05 was exported with 1"
        ):
            run(made, TUE)

    def test_a_sum_that_another_query_confirms(self, tmp_path: Path) -> None:
        total = {"column": "id", "sql": "select sum(id) from news where id > :watermark and id <= :watermark_end"}
        checks = {"control_total": total, "blocking": ["control_total"]}
        made = only(tmp_path, {**BY_ID, "watermark": {"column": "id", "initial": 0}, "checks": checks})
        for partition, ids in ((MON, [1, 2]), (TUE, [3, 4])):
            insert(tmp_path, ids)
            assert run(made, partition).row.good
        assert run(made, MON).row.good


class TestSqlite:
    """SQLite compares timestamps as text, and numbers in columns of text too."""

    @pytest.mark.parametrize(
        "form", ["2026-01-05 {}+00:00", "2026-01-05 {}", "2026-01-05 {}Z", "2026-01-05T{}", "2026-01-05T{}Z"]
    )
    @pytest.mark.parametrize("fraction", [".000000", ".000001", ".5", ".500000", ""])
    def test_tables_with_timestamps_in_any_form(self, tmp_path: Path, form: str, fraction: str) -> None:
        made = only(tmp_path, {"table": "news", "columns": ["id", "seen"], "watermark": "seen"})
        times = [f"{hour}:00:00{fraction}" for hour in ("09", "10", "11")]
        for partition, number in ((MON, 0), (TUE, 1), (WED, 2)):
            execute(tmp_path, f"insert into news values ({number}, '{form.format(times[number])}', '')")
            assert ids_of(made, run(made, partition).row) == {"rows": [number]}
        found = [ids_of(made, run(made, partition).row)["rows"] for partition in (TUE, MON, WED)]
        assert found == [[1], [0], [2]]

    def test_numbers_that_are_kept_as_text(self, tmp_path: Path) -> None:
        execute(tmp_path, "create table texts (id text)", "insert into texts values ('9'), ('8')")
        dataset = {"table": "texts", "watermark": "id", "types": {"id": "decimal(10,0)"}}
        made = only(tmp_path, dataset)
        run(made, MON)
        execute(tmp_path, "insert into texts values ('10'), ('11')")
        assert ids_of(made, run(made, TUE).row) == {"rows": [10, 11]}
        assert ids_of(made, run(made, MON).row) == {"rows": [9, 8]}

    def test_a_computed_column_without_rows(self, tmp_path: Path) -> None:
        sql = "select name, max(id) as top from news where id > :watermark and id <= :watermark_end group by name"
        made = only(tmp_path, {"sql": sql, "watermark": {"column": "top", "initial": 0}})
        assert run(made, MON).manifest.watermarks["rows"].up_to == "0"
        insert(tmp_path, [1, 2])
        assert run(made, TUE).manifest.rows == {"rows": 2}
        assert run(made, WED).manifest.watermarks["rows"].up_to == "2"
