"""Exports of what is new: what each partition gets, what moves the mark and what does not, and what is refused."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from export_pipelines.errors import (
    ColumnTypeError,
    ExportError,
    OnEmptySkip,
    QueryError,
    RowLimitExceededError,
    SpecError,
)
from export_pipelines.incremental import Marks
from export_pipelines.ledger import artifacts
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.opening import marks_of
from export_pipelines.orchestration.build import build_definitions
from export_pipelines.project import Project
from export_pipelines.rebuild import rebuild
from export_pipelines_tests.integration.cli_project import Cli
from export_pipelines_tests.news import (
    BY_ID,
    BY_TIME,
    DATASETS,
    ids_of,
    insert,
    news_project,
    once,
    run,
    times_exported,
)
from export_pipelines_tests.projects import project

MON, TUE, WED, THU = (f"2026-01-0{day}" for day in (5, 6, 7, 8))


def by_id(made: Project, partition: str, **options: Any) -> list[int]:
    """The ids that a run of the partition gets, alike by both watermarks."""
    found = ids_of(made, run(made, partition, **options).row)
    assert found["by_id"] == found["by_time"]
    return found["by_id"]


def only(root: Path, dataset: dict[str, Any], **entry: Any) -> Project:
    """A project whose export `news` has this dataset only."""
    return news_project(root, datasets={"rows": dataset}, **entry)


def execute(root: Path, *statements: str) -> None:
    with closing(sqlite3.connect(root / "school.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


class TestRanges:
    def test_each_partition_gets_what_came_since_the_one_before(self, tmp_path: Path) -> None:
        made = news_project(tmp_path)
        insert(tmp_path, [1, 2, 3])
        assert by_id(made, MON) == [1, 2, 3]
        insert(tmp_path, [4, 5])
        assert by_id(made, TUE) == [4, 5]
        assert by_id(made, WED) == []
        insert(tmp_path, [6])
        assert by_id(made, THU) == [6]
        assert times_exported(made) == once(range(1, 7))

    def test_the_manifest_says_between_which_values_its_rows_are(self, tmp_path: Path) -> None:
        made = news_project(tmp_path)
        insert(tmp_path, [1, 2, 3])
        run(made, MON)
        insert(tmp_path, [4])
        marks = json.loads(run(made, TUE).manifest.to_json())["watermarks"]
        assert marks == {
            "by_id": {"column": "id", "type": "int64", "after": "3", "up_to": "4"},
            "by_time": {
                "column": "seen",
                "type": "timestamp[us, tz=UTC]",
                "after": "2026-01-01T00:00:00.000003+00:00",
                "up_to": "2026-01-01T00:00:00.000004+00:00",
            },
        }

    def test_a_partition_that_is_produced_again_reproduces_its_rows(self, tmp_path: Path) -> None:
        made = news_project(tmp_path)
        for partition, ids in ((MON, [1, 2]), (TUE, [3, 4]), (WED, [5])):
            insert(tmp_path, ids)
            run(made, partition)
        insert(tmp_path, [6])
        assert [by_id(made, partition) for partition in (TUE, MON, WED)] == [[3, 4], [1, 2], [5, 6]]
        assert times_exported(made) == once(range(1, 7))

    def test_a_partition_that_was_missed_finds_its_rows_exported(self, tmp_path: Path) -> None:
        made = news_project(tmp_path)
        insert(tmp_path, [1])
        run(made, TUE)
        insert(tmp_path, [2, 3])
        run(made, THU)
        insert(tmp_path, [4])
        assert [by_id(made, partition) for partition in (MON, WED, THU)] == [[], [], [2, 3, 4]]
        assert times_exported(made) == once(range(1, 5))

    def test_rows_that_come_late_are_found_by_the_partition_that_they_belong_to(self, tmp_path: Path) -> None:
        made = news_project(tmp_path)
        insert(tmp_path, [1, 3])
        run(made, MON)
        insert(tmp_path, [4])
        run(made, TUE)
        insert(tmp_path, [2])
        assert by_id(made, WED) == []
        assert by_id(made, MON) == [1, 2, 3]
        assert times_exported(made) == once(range(1, 5))

    def test_initial_is_where_the_first_run_begins(self, tmp_path: Path) -> None:
        made = only(tmp_path, {**BY_ID, "watermark": {"column": "id", "initial": 2}})
        insert(tmp_path, [1, 2, 3])
        assert ids_of(made, run(made, TUE).row) == {"rows": [3]}
        insert(tmp_path, [4])
        assert [ids_of(made, run(made, day).row)["rows"] for day in (WED, MON)] == [[4], []]

    @pytest.mark.parametrize("kind", ["sql", "table"])
    def test_initial_may_be_a_date_where_the_column_has_instants(self, tmp_path: Path, kind: str) -> None:
        by_table = {"table": "news", "watermark": BY_TIME["watermark"]}
        made = only(tmp_path, BY_TIME if kind == "sql" else by_table)
        insert(tmp_path, [0, 1])  # the first at midnight, which is not above the date
        assert [ids_of(made, run(made, partition).row)["rows"] for partition in (TUE, MON)] == [[1], []]


class TestMarks:
    """What moves the mark, and what does not."""

    def test_a_failed_run_does_not(self, tmp_path: Path) -> None:
        insert_into = news_project(tmp_path)
        insert(tmp_path, [1, 2, 3])
        with pytest.raises(RowLimitExceededError):
            run(news_project(tmp_path, max_rows=2), MON)
        assert by_id(insert_into, TUE) == [1, 2, 3]

    def test_a_blocking_check_that_fails_does_not(self, tmp_path: Path) -> None:
        made = news_project(tmp_path)
        insert(tmp_path, [1, 2, 3])
        checked = {**BY_ID, "checks": {"rows": {"max": 2}, "blocking": ["rows"]}}
        assert not run(news_project(tmp_path, datasets={**DATASETS, "by_id": checked}), MON).row.good
        assert by_id(made, TUE) == [1, 2, 3]
        assert by_id(made, MON) == []

    def test_a_run_of_the_first_rows_does_not(self, tmp_path: Path) -> None:
        made = news_project(tmp_path)
        insert(tmp_path, [1, 2, 3])
        limited = run(made, MON, row_limit=2)
        assert limited.manifest.watermarks == {}
        assert by_id(made, TUE) == [1, 2, 3]
        assert by_id(made, TUE, row_limit=2) == [1, 2]
        insert(tmp_path, [4])
        assert by_id(made, WED, row_limit=2) == [4]

    def test_a_look_does_not_and_shows_what_is_new(self, tmp_path: Path) -> None:
        made = news_project(tmp_path)
        insert(tmp_path, [1, 2])
        run(made, MON)
        insert(tmp_path, [3])
        for _ in range(2):
            shown = made.preview(made.request("news", TUE, run_id="preview"), rows=5)
            assert [table["id"].to_pylist() for table in shown.values()] == [[3], [3]]
        assert by_id(made, TUE) == [3]

    def test_nothing_new_and_skipped_does_not(self, tmp_path: Path) -> None:
        made = news_project(tmp_path, on_empty="skip")
        with pytest.raises(OnEmptySkip):
            run(made, MON)
        insert(tmp_path, [1])
        assert by_id(made, TUE) == [1]
        with pytest.raises(OnEmptySkip):
            run(made, WED)
        assert times_exported(made) == once([1])

    def test_files_that_were_deleted_still_count(self, tmp_path: Path) -> None:
        made = news_project(tmp_path)
        insert(tmp_path, [1, 2])
        row = run(made, MON).row
        with made.ledger.write() as connection:
            artifacts.mark_deleted(connection, row.manifest.artifact_id, row.manifest.created_at)
        insert(tmp_path, [3])
        assert by_id(made, TUE) == [3]

    def test_a_ledger_made_anew_knows_it(self, tmp_path: Path) -> None:
        made = news_project(tmp_path)
        for partition, ids in ((MON, [1, 2]), (WED, [3, 4])):
            insert(tmp_path, ids)
            run(made, partition)
        anew = Ledger(f"sqlite:///{tmp_path}/anew.db")
        assert rebuild(made.store("local"), anew) == (2, [])
        for partition in (MON, TUE, WED, THU):
            request = made.request("news", partition, run_id="look")
            assert marks_of(request, anew).bounds == marks_of(request, made.ledger).bounds != {}

    def test_another_column_or_kind_begins_anew(self, tmp_path: Path) -> None:
        made = only(tmp_path, BY_ID)
        insert(tmp_path, [1, 2])
        run(made, MON)
        by_time = only(tmp_path, {"table": "news", "watermark": "seen"})
        assert ids_of(by_time, run(by_time, TUE).row) == {"rows": [1, 2]}
        insert(tmp_path, [3])
        assert ids_of(made, run(made, WED).row) == {"rows": [3]}
        renamed = {
            **BY_TIME,
            "sql": BY_TIME["sql"].replace("*", "id as number, seen as id").replace(" order by id", ""),
        }
        renamed["watermark"] = {"column": "id", "initial": "2026-01-01"}
        made = only(tmp_path, {**renamed, "types": {"id": "timestamptz"}})
        assert run(made, THU).manifest.rows == {"rows": 3}

    def test_it_counts_for_the_hash_of_the_spec(self, tmp_path: Path) -> None:
        plain = {"table": "news"}
        kinds = [plain, {**plain, "watermark": "id"}, {**plain, "watermark": {"column": "id", "initial": 5}}]
        hashes = [only(tmp_path, kind).export("news").spec_sha256 for kind in kinds]
        assert len(set(hashes)) == 3
        assert only(tmp_path, {**plain, "watermark": {"column": "id"}}).export("news").spec_sha256 == hashes[1]


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


class TestShown:
    def test_by_commands(self, tmp_path: Path) -> None:
        made, cli = news_project(tmp_path), Cli(tmp_path)
        cli.environ["EXPORT_SPECS"] = str(tmp_path / "specs")
        (first, second) = cli.json("show", "news")["watermarks"]
        nothing = {"type": None, "after": None, "up_to": None, "partition": None, "artifact_id": None}
        assert first == {"dataset": "by_id", "column": "id", **nothing}
        insert(tmp_path, [1, 2])
        run(made, MON)
        insert(tmp_path, [3])
        row = run(made, TUE).row
        run(made, MON)
        held = {"dataset": "by_id", "column": "id", "type": "int64", "after": "2", "up_to": "3"}
        (first, second) = cli.json("show", "news")["watermarks"]
        assert first == {**held, "partition": TUE, "artifact_id": row.manifest.artifact_id}
        assert (second["up_to"], second["partition"]) == ("2026-01-01T00:00:00.000003+00:00", TUE)
        assert cli.json("artifacts", "news", "--partition", TUE)["artifacts"][0]["watermarks"][0] == held
        assert "id up to 3, by partition 2026-01-06" in cli("show", "news").stdout
        assert "by_id: id above 2, up to 3" in cli("artifacts", "news", "--files").stdout

    def test_by_dagster(self, tmp_path: Path) -> None:
        made = news_project(tmp_path)
        insert(tmp_path, [1, 2])
        defs = build_definitions(made)
        job = defs.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection={dg.AssetKey(["exports", "news"])}
        )
        with dg.DagsterInstance.ephemeral() as instance:
            result = job.execute_in_process(partition_key=MON, instance=instance)
            (event,) = result.get_asset_materialization_events()
        metadata = event.materialization.metadata
        assert metadata["watermark of by_id"].value == {"column": "id", "type": "int64", "after": None, "up_to": "2"}
        assert metadata["watermark of by_time"].value["up_to"] == "2026-01-01T00:00:00.000002+00:00"


def test_exports_without_watermarks_ask_the_ledger_nothing(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}})
    unreachable = Ledger("postgresql://nobody@127.0.0.1:1/none")
    assert marks_of(made.request("students", MON, run_id="x"), unreachable).bounds == Marks().bounds == {}
