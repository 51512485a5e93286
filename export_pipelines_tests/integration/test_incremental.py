"""Exports of what is new: what each partition gets, what moves the mark and what does not, and what is refused."""

import json
import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from export_pipelines.errors import (
    OnEmptySkip,
    RowLimitExceededError,
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
    execute,
    ids_of,
    insert,
    news_project,
    once,
    only,
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


def test_the_examples_of_the_page_are_valid(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "incremental.md").read_text("utf-8")
    examples = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    assert len(examples) == 4
    made = project(tmp_path, {f"export_{number}": example for number, example in enumerate(examples)})
    assert len(made.specs.exports) == 4


def test_a_margin_leaves_young_rows_to_the_next_partition(tmp_path: Path) -> None:
    """As the page advises: 3 has a lower number than 4 and is committed when the first run is over."""
    sql = """
        select * from news where id > :watermark and id <= :watermark_end
        and id < (select coalesce(min(id), 9223372036854775807) from news where seen >= :window_end) order by id
    """
    made = only(tmp_path, {"sql": sql, "watermark": {"column": "id", "initial": 0}})
    rows = [(1, "2026-01-05 10:00:00+00:00"), (2, "2026-01-05 23:59:59+00:00"), (4, "2026-01-06 00:00:01+00:00")]
    execute(tmp_path, *(f"insert into news values ({number}, '{seen}', '')" for number, seen in rows))
    assert ids_of(made, run(made, MON).row) == {"rows": [1, 2]}
    execute(tmp_path, "insert into news values (3, '2026-01-06 00:00:00+00:00', '')")
    assert ids_of(made, run(made, TUE).row) == {"rows": [3, 4]}
    assert [ids_of(made, run(made, partition).row)["rows"] for partition in (MON, TUE)] == [[1, 2], [3, 4]]
