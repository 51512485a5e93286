"""Exports in Dagster: assets, IO managers, schedules."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest

from export_pipelines.ledger import artifacts, runs
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.orchestration.assets import asset_key, export_asset
from export_pipelines.orchestration.build import build_definitions
from export_pipelines.orchestration.io_managers import LocalArtifactIOManager, io_manager
from export_pipelines.project import Project
from export_pipelines.spec.schedules import TAKEN
from export_pipelines.verify import verify
from export_pipelines_tests.projects import environment, project, published_files, write_project
from export_pipelines_tests.servers import PostgresServer

DAY = "2026-01-05"
DAILY = dg.DailyPartitionsDefinition("2026-01-01", timezone="Europe/Berlin")


def materialize(made: Project, *assets: Any, partition: str = DAY, **options: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        list(assets),
        partition_key=partition,
        resources={"artifacts_local": io_manager(made, "local")},
        raise_on_error=False,
        **options,
    )


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.get_step_failure_events()
    assert event.step_failure_data.error
    return event.step_failure_data.error.message


def test_a_materialization_shows_what_was_published(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {"formats": ["csv", "jsonl"]}})
    result = materialize(
        made, export_asset(made, made.export("students")), tags={"exports/scheduled_at": "2026-01-06T02:00:00+01:00"}
    )
    assert result.success
    (found,) = artifacts.find(made.ledger)
    assert found.manifest.run_id == result.run_id
    assert found.manifest.scheduled_at == datetime(2026, 1, 6, 1, tzinfo=UTC)
    (materialization,) = result.asset_materializations_for_node("exports__students")
    shown = {key: value.value for key, value in materialization.metadata.items()}
    assert shown["dagster/row_count"] == shown["dagster/partition_row_count"] == 4
    assert shown["bytes"] == found.manifest.total_bytes
    assert shown["artifact"] == found.manifest.artifact_id
    assert [record.data["sha256"] for record in shown["files"].records] == [f.sha256 for f in found.manifest.files]
    assert [column.name for column in shown["dagster/column_schema"].columns][:2] == ["id", "name"]
    assert Path(shown["path"]).is_dir()
    assert "Zoë Müller" in shown["preview of students"]


def test_an_asset_says_what_the_spec_says(tmp_path: Path) -> None:
    entry = {
        "description": "For the registrar",
        "owners": ["team:registrar"],
        "org": "lincoln-high",
        "tags": {"class": "pii"},
        "formats": ["csv", "pdf"],
        "retries": {"max_retries": 5, "delay_seconds": 2},
    }
    made = project(tmp_path, {"students": entry})
    asset = export_asset(made, made.export("students"))
    spec = asset.get_asset_spec(asset_key("students"))
    assert (spec.description, spec.owners, spec.group_name) == ("For the registrar", ["team:registrar"], "lincoln_high")
    assert spec.tags.items() >= {"class": "pii", "org": "lincoln-high"}.items()
    assert spec.kinds == {"csv", "pdf"}
    assert spec.code_version == made.export("students").spec_sha256[:12]
    assert [dep.asset_key.path for dep in spec.deps] == [["sources", "school", "students"]]
    assert asset.op.pool == "source_school"
    assert asset.op.retry_policy
    assert (asset.op.retry_policy.max_retries, asset.op.retry_policy.delay) == (5, 2)


def test_permanent_errors_are_not_retried(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {"datasets": {"students": {"sql": "select nonsense"}}}})
    result = materialize(made, export_asset(made, made.export("students")))
    assert not result.success
    assert "nonsense" in failure(result)
    assert len(runs.recent(made.ledger)) == 1


def test_errors_while_writing_are_not_retried_either(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {"max_rows": 2}})
    result = materialize(made, export_asset(made, made.export("students")))
    assert "more than 2 rows" in failure(result)
    assert len(runs.recent(made.ledger)) == 1
    assert published_files(tmp_path) == {}


def test_transient_errors_are_retried(tmp_path: Path) -> None:
    entry = {"retries": {"max_retries": 2, "delay_seconds": 0.01}}
    connections = {"school": {"url": "postgresql://nobody@127.0.0.1:1/none"}}
    made = project(tmp_path, {"students": entry}, connections=connections)
    result = materialize(made, export_asset(made, made.export("students")))
    assert not result.success
    assert [row.state for row in runs.recent(made.ledger)] == ["failed"] * 3


def test_a_skipped_export_is_green_and_has_no_materialization(tmp_path: Path) -> None:
    datasets = {"students": {"table": "students", "filters": {"id": 99}}}
    made = project(tmp_path, {"students": {"on_empty": "skip", "datasets": datasets}})
    result = materialize(made, export_asset(made, made.export("students")))
    assert result.success
    assert result.asset_materializations_for_node("exports__students") == []


def frame() -> pd.DataFrame:
    return pd.DataFrame({"id": [1, 2], "name": ["Ann", "=cmd()"]})


RETURNED = {
    "pandas": frame,
    "table": lambda: pa.Table.from_pandas(frame()),
    "reader": lambda: pa.Table.from_pandas(frame()).to_reader(),
    "several": lambda: {"first": frame(), "second": pa.Table.from_pandas(frame())},
}


@pytest.mark.parametrize("kind", RETURNED)
def test_hand_written_assets_are_published(tmp_path: Path, kind: str) -> None:
    made = project(tmp_path, {"students": {}})

    @dg.asset(
        partitions_def=DAILY, io_manager_key="artifacts_local", metadata={"exports/spec": {"formats": ["csv", "xlsx"]}}
    )
    def mine() -> Any:
        return RETURNED[kind]()

    result = materialize(made, mine)
    assert result.success
    (found,) = artifacts.find(made.ledger, export="mine")
    names = ["first.csv", "second.csv", "mine.xlsx"] if kind == "several" else ["mine.csv", "mine.xlsx"]
    assert [file.name for file in found.manifest.files] == names
    assert found.manifest.window.start == datetime(2026, 1, 4, 23, tzinfo=UTC)
    csv = next(data for path, data in published_files(tmp_path).items() if path.endswith(names[0]))
    assert csv == b"id,name\n1,Ann\n2,'=cmd()\n"
    assert verify(made.store("local"), made.ledger).problems == []


@pytest.mark.parametrize(("returned", "message"), [(42, "returned int"), ([frame()], "returned list")])
def test_hand_written_assets_that_return_something_else_are_told_what_to_return(
    tmp_path: Path, returned: Any, message: str
) -> None:
    made = project(tmp_path, {"students": {}})

    @dg.asset(partitions_def=DAILY, io_manager_key="artifacts_local")
    def mine() -> Any:
        return returned

    assert message in failure(materialize(made, mine))


def test_a_downstream_asset_gets_the_artifact_of_its_own_run(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}})
    seen: list[ArtifactRow] = []

    @dg.asset(
        partitions_def=dg.DailyPartitionsDefinition("2026-01-01"), ins={"artifact": dg.AssetIn(asset_key("students"))}
    )
    def sent(artifact: Any) -> None:
        seen.append(artifact)

    first = materialize(made, export_asset(made, made.export("students")))
    second = materialize(made, export_asset(made, made.export("students")), sent)
    assert first.success
    assert second.success
    assert [row.manifest.run_id for row in seen] == [second.run_id]


SCHEDULES = {
    "nightly": {"cron": "0 2 * * *", "timezone": "Europe/Berlin", "calendar": "office", "batch_size": 2},
    "hourly": {"cron": "10 * * * *"},
}
CALENDARS = {"office": {"country": "DE", "extra_holidays": ["2026-02-03"]}}
ENTRIES = {
    **{f"e{n}": {"schedule": "nightly"} for n in range(5)},
    "late": {"schedule": "nightly", "start": "2026-06-01"},
    "monthly_one": {"schedule": "nightly", "partition": "monthly"},
    "hours": {"schedule": "hourly", "partition": "hourly"},
    "inline": {"schedule": {"cron": "5 5 * * *"}},
    "on_request": {},
}


@pytest.fixture(scope="module")
def scheduled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.RepositoryDefinition]:
    made = project(tmp_path_factory.mktemp("scheduled"), ENTRIES, schedules=SCHEDULES, calendars=CALENDARS)
    definitions = build_definitions(made)
    dg.Definitions.validate_loadable(definitions)
    yield definitions.get_repository_def()


def tick(repository: dg.RepositoryDefinition, name: str, at: str) -> Any:
    scheduled = datetime.fromisoformat(at)
    with (
        dg.instance_for_test() as instance,
        dg.build_schedule_context(
            instance=instance, scheduled_execution_time=scheduled, repository_def=repository
        ) as context,
    ):
        return repository.get_schedule_def(name).evaluate_tick(context)


def test_one_schedule_and_job_per_timing_and_partitioning(scheduled: dg.RepositoryDefinition) -> None:
    names = {"nightly_daily", "nightly_daily_from_20260601", "nightly_monthly", "hourly", "inline_schedule"}
    assert {schedule.name for schedule in scheduled.schedule_defs} == names | {"retention", "verify"}
    assert {f"exports_{name}" for name in names} <= {job.name for job in scheduled.get_all_jobs()}


def test_names_of_ours_are_taken(tmp_path: Path) -> None:
    repository = build_definitions(project(tmp_path, {"a": {}})).get_repository_def()
    ours = [*repository.schedule_defs, *repository.sensor_defs]
    assert {definition.name for definition in ours} == TAKEN


def test_a_tick_requests_the_last_complete_partition_in_batches(scheduled: dg.RepositoryDefinition) -> None:
    requests = tick(scheduled, "nightly_daily", "2026-03-31T02:00:00+02:00").run_requests
    assert [request.partition_key for request in requests] == ["2026-03-30"] * 3
    assert [[key.path[-1] for key in request.asset_selection] for request in requests] == [
        ["e0", "e1"],
        ["e2", "e3"],
        ["e4"],
    ]
    assert len({request.run_key for request in requests}) == 3
    assert requests[0].tags["exports/scheduled_at"] == "2026-03-31T02:00:00+02:00"
    assert requests[0].tags["dagster/max_runtime"] == "7200"
    assert [request.asset_check_keys for request in requests] == [[], [], []]  # None would be all that there are


@pytest.mark.parametrize(
    ("name", "at", "reason"),
    [
        ("nightly_daily", "2026-02-03T02:00:00+01:00", "2026-02-03 is no working day: a day off of this calendar"),
        ("nightly_daily", "2026-02-07T02:00:00+01:00", "2026-02-07 is no working day: Saturday"),
        ("nightly_daily", "2026-04-03T02:00:00+02:00", "2026-04-03 is no working day: Good Friday"),
        (
            "nightly_daily_from_20260601",
            "2026-06-01T02:00:00+02:00",
            "2026-05-31 lies before the first one, 2026-06-01",
        ),
    ],
)
def test_a_tick_that_does_nothing_says_why(scheduled: dg.RepositoryDefinition, name: str, at: str, reason: str) -> None:
    result = tick(scheduled, name, at)
    assert result.run_requests == []
    assert reason in result.skip_message


def test_ticks_of_other_partitionings(scheduled: dg.RepositoryDefinition) -> None:
    assert [r.partition_key for r in tick(scheduled, "nightly_monthly", "2026-03-02T02:00:00+01:00").run_requests] == [
        "2026-02-01"
    ]
    assert [r.partition_key for r in tick(scheduled, "hourly", "2026-03-02T02:10:00+00:00").run_requests] == [
        "2026-03-02-01:00"
    ]


def test_a_requested_run_publishes(tmp_path: Path) -> None:
    schedules = {"nightly": {"cron": "0 2 * * *"}}
    made = project(tmp_path, {"a": {"schedule": "nightly"}, "b": {"schedule": "nightly"}}, schedules=schedules)
    repository = build_definitions(made).get_repository_def()
    (request,) = tick(repository, "nightly", "2026-01-06T02:00:00+00:00").run_requests
    with dg.DagsterInstance.ephemeral() as instance:
        job = repository.get_job("exports_nightly").get_subset(
            asset_selection=set(request.asset_selection), asset_check_selection=set(request.asset_check_keys)
        )
        result = job.execute_in_process(partition_key=request.partition_key, instance=instance, tags=request.tags)
    assert result.success
    assert {row.manifest.export for row in artifacts.find(made.ledger)} == {"a", "b"}
    assert {row.manifest.partition for row in artifacts.find(made.ledger)} == {DAY}


def test_one_failing_export_of_a_batch_does_not_stop_the_others(tmp_path: Path) -> None:
    bad = {"datasets": {"bad": {"sql": "select nonsense"}}}
    made = project(tmp_path, {"a": {}, "b": bad, "c": {}})
    result = materialize(made, *(export_asset(made, made.export(name)) for name in "abc"))
    assert not result.success
    assert {row.manifest.export for row in artifacts.find(made.ledger)} == {"a", "c"}


def test_definitions_load_in_a_fresh_interpreter_with_every_secret_unset(tmp_path: Path) -> None:
    connections = {"school": {"url": "postgresql://report:${env:DB_PASSWORD}@db.invalid/school"}}
    stores = {
        "lake": {
            "type": "s3",
            "bucket": "acme",
            "secret_access_key": "${env:S3_SECRET}",
            "access_key_id": "${file:/nonexistent/key}",
        }
    }
    variables = environment(tmp_path)
    write_project(
        tmp_path,
        {"students": {"store": "lake"}, "broken": {"colour": "red"}},
        environ=variables,
        connections=connections,
        stores=stores,
    )
    script = """
import sys, dagster as dg
from export_pipelines.definitions import defs
loaded = defs()
dg.Definitions.validate_loadable(loaded)
print(sorted(key.to_user_string() for key in loaded.get_repository_def().asset_graph.executable_asset_keys))
print(sorted({"pandas", "polars", "boto3", "reportlab", "duckdb"} & set(sys.modules)))
"""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    done = subprocess.run(
        [sys.executable, "-c", script], env=kept | variables, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['exports/students']", "[]"]
    assert "exports.broken.colour: unknown key" in done.stderr


def test_the_io_manager_is_the_stores(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}})
    with dg.build_resources({"store": io_manager(made, "local")}) as resources:
        assert isinstance(resources.store, LocalArtifactIOManager)


def test_pool_limits_follow_the_specs(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}}, connections={"school": {"url": "sqlite:///x.db", "max_concurrent": 2}})
    definitions = build_definitions(made)
    with dg.instance_for_test() as instance:
        sensor = definitions.get_repository_def().get_sensor_def("pool_limits")

        def evaluate() -> str:
            result = sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
            return result.skip_message

        assert evaluate() == "pool source_school: 2 at once, before the default"
        assert evaluate() == "all limits are as the specs say"
        instance.event_log_storage.set_concurrency_slots("source_school", 9)
        assert evaluate() == "pool source_school: 2 at once, before 9"
        assert instance.event_log_storage.get_concurrency_info("source_school").slot_count == 2


def test_no_secret_reaches_what_dagster_or_the_ledger_keep(tmp_path: Path, postgres: PostgresServer) -> None:
    variables = environment(tmp_path, DB_PASSWORD="canary-7f3a", DB_HOST=postgres.url().partition("host=")[2])
    connections = {
        "refused": {"url": "postgresql://nobody:${env:DB_PASSWORD}@/none?host=${env:DB_HOST}"},
        "down": {"url": "postgresql://nobody:${env:DB_PASSWORD}@127.0.0.1:1/none"},
    }
    retries = {"max_retries": 0}
    entries = {name: {"source": name, "retries": retries} for name in connections}
    made = Project.load(write_project(tmp_path, entries, environ=variables, connections=connections))
    made.specs.require_valid()
    (tmp_path / "home").mkdir()
    with dg.instance_for_test(temp_dir=str(tmp_path / "home")) as instance:
        result = materialize(made, *(export_asset(made, made.export(name)) for name in entries), instance=instance)
        assert len(result.get_step_failure_events()) == 2
        kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert [row.state for row in runs.recent(made.ledger)] == ["failed", "failed"]
    assert any(b"nobody" in data for path, data in kept.items() if path.suffix == ".db")
    assert [path for path, data in kept.items() if b"canary" in data] == []
