"""Old runs of Dagster are forgotten; what Dagster shows of the files that are there stays."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from export_pipelines.errors import ConfigurationError
from export_pipelines.ledger import artifacts, runs
from export_pipelines.orchestration.assets import asset_key, export_asset
from export_pipelines.orchestration.history import Forgotten, forget_old_runs, tidy
from export_pipelines.orchestration.io_managers import io_manager
from export_pipelines.project import Project
from export_pipelines_tests.projects import environment, project, write_project
from export_pipelines_tests.servers import PostgresServer

DAYS = ("2026-01-05", "2026-01-06")
LATER = datetime.now(UTC) + timedelta(days=100)
BAD = {"datasets": {"bad": {"sql": "select nonsense"}}}
CHECKED = {"datasets": {"students": {"table": "students", "checks": {"rows": {"min": 1}}}}}


@pytest.fixture(params=["sqlite", "postgresql"])
def instance(request: pytest.FixtureRequest) -> Iterator[dg.DagsterInstance]:
    overrides: dict[str, Any] = {}
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        name = request.getfixturevalue("postgres_database")
        overrides = {"storage": {"postgres": {"postgres_url": server.url(name, driver="psycopg2")}}}
    with dg.instance_for_test(overrides) as made:
        yield made


@pytest.fixture
def plain() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def materialize(made: Project, instance: dg.DagsterInstance, partition: str, *names: str, extra: Any = ()) -> str:
    result = dg.materialize(
        [*(export_asset(made, made.export(name)) for name in names), *extra],
        partition_key=partition,
        instance=instance,
        resources={"artifacts_local": io_manager(made, "local")},
        raise_on_error=False,
    )
    return result.run_id


def delete_files(made: Project, run_id: str) -> None:
    """The retention has deleted what the run published."""
    with made.ledger.write() as connection:
        for row in artifacts.find(made.ledger, run_id=run_id):
            artifacts.mark_deleted(connection, row.manifest.artifact_id, datetime.now(UTC))


def forget(made: Project, instance: dg.DagsterInstance, **options: Any) -> Forgotten:
    return forget_old_runs(made, instance, LATER, **{"days": 90, **options})


def known(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def shown(instance: dg.DagsterInstance, name: str) -> tuple[set[str], str | None]:
    """The partitions that Dagster shows as materialized, and the run of the catalogue's latest materialization."""
    latest = instance.get_latest_materialization_event(asset_key(name))
    return instance.get_materialized_partitions(asset_key(name)), latest.run_id if latest else None


def test_a_run_is_shown_as_long_as_its_files_are_there(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"a": CHECKED})
    old, new = (materialize(made, instance, day, "a") for day in DAYS)
    assert forget(made, instance) == Forgotten(kept=2)
    delete_files(made, old)
    assert forget(made, instance) == Forgotten(deleted=1, kept=1)
    assert known(instance) == {new}
    assert shown(instance, "a") == ({DAYS[1]}, new)
    delete_files(made, new)
    assert forget(made, instance) == Forgotten(deleted=1)
    assert forget(made, instance) == Forgotten()
    assert shown(instance, "a") == (set(), new)  # the catalogue remembers by itself what came last
    (check,) = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(asset_key("a"), "rows"), limit=1
    )
    assert check.run_id == new  # and how checks ended
    assert [row.state for row in runs.recent(made.ledger)] == ["published", "published"]


def test_a_run_stays_whose_artifact_the_ledger_has_lost(tmp_path: Path, plain: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"a": {}})
    run_id = materialize(made, plain, DAYS[0], "a")
    with made.ledger.write() as connection:
        artifacts.forget_others(connection, "local", [])
    assert forget(made, plain) == Forgotten(kept=1)
    assert known(plain) == {run_id}


def test_what_dagster_leaves_on_disk_goes_too(tmp_path: Path, plain: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"a": BAD, "b": {}})
    gone, stays = materialize(made, plain, DAYS[0], "a"), materialize(made, plain, DAYS[1], "b")
    home = Path(plain.root_directory)
    before = {path.relative_to(home) for path in home.rglob("*") if gone in str(path)}
    assert len(before) > 2
    assert forget(made, plain) == Forgotten(deleted=1, kept=1)
    assert [path for path in home.rglob("*") if gone in str(path) and path.is_file()] == []
    assert [path for path in home.rglob("*") if stays in str(path) and path.is_file()] != []
    assert plain.get_records_for_run(stays).records != []


def test_failed_skipped_and_young_runs(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    nobody = {"datasets": {"s": {"table": "students", "filters": {"id": 99}}}, "on_empty": "skip"}
    made = project(tmp_path, {"a": BAD, "b": nobody, "c": {}})
    ids = {materialize(made, instance, DAYS[0], name) for name in ("a", "b")}
    started = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, asset_selection={asset_key("a")})
    assert forget_old_runs(made, instance, datetime.now(UTC) + timedelta(days=89), days=90) == Forgotten()
    assert known(instance) == {*ids, started.run_id}
    assert forget(made, instance) == Forgotten(deleted=2)
    assert known(instance) == {started.run_id}


def test_a_run_stays_if_the_ledger_does_not_know_how_an_export_ended(tmp_path: Path, plain: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"a": BAD, "b": {}})
    status = dg.DagsterRunStatus.FAILURE
    nothing = create_run_for_test(plain, status=status, asset_selection={asset_key("a")}).run_id
    partly = create_run_for_test(plain, status=status, asset_selection={asset_key("a"), asset_key("b")}).run_id
    running = create_run_for_test(plain, status=status, asset_selection={asset_key("b")}).run_id
    for run_id, name in ((partly, "a"), (running, "b")):
        number = runs.start(made.ledger, run_id=run_id, export=name, partition=DAYS[0], now=datetime.now(UTC))
        if name == "a":
            runs.finish(made.ledger, number, "failed")
    assert forget(made, plain) == Forgotten(kept=3)
    beyond = datetime.now(UTC) + timedelta(days=401)  # the ledger has forgotten by then, too
    assert forget_old_runs(made, plain, beyond, days=90) == Forgotten(deleted=2, kept=1)
    assert known(plain) == {running}
    assert nothing not in known(plain)


def test_a_run_of_other_assets_stays(tmp_path: Path, plain: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"a": BAD})

    @dg.asset(partitions_def=dg.DailyPartitionsDefinition("2026-01-01"))
    def mine() -> None: ...

    both = materialize(made, plain, DAYS[0], "a", extra=[mine])
    alone = materialize(made, plain, DAYS[0], extra=[mine])
    assert forget(made, plain) == Forgotten(kept=1)
    assert known(plain) == {both, alone}


def test_jobs_that_look_after_exports_are_forgotten_and_others_are_not(
    tmp_path: Path, plain: dg.DagsterInstance
) -> None:
    made = project(tmp_path, {"a": {}})

    @dg.op
    def look(context: dg.OpExecutionContext) -> None:
        context.log_event(dg.AssetObservation(asset_key("a")))

    for name in ("retention", "verify", "somebody_elses"):
        job = dg.JobDefinition(name=name, graph_def=dg.GraphDefinition(name, node_defs=[look]))
        assert job.execute_in_process(instance=plain).success
    assert forget(made, plain) == Forgotten(deleted=2)
    assert [run.job_name for run in plain.get_runs()] == ["somebody_elses"]


def test_a_run_stays_as_long_as_a_retry_of_it(tmp_path: Path, plain: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"a": {}})
    failed = {"status": dg.DagsterRunStatus.FAILURE, "asset_selection": {asset_key("a")}}
    root = create_run_for_test(plain, **failed).run_id
    tags = {"dagster/parent_run_id": root, "dagster/root_run_id": root}
    retry = create_run_for_test(plain, **failed, tags=tags, parent_run_id=root, root_run_id=root).run_id
    for run_id in (root, retry):
        number = runs.start(made.ledger, run_id=run_id, export="a", partition=DAYS[0], now=datetime.now(UTC))
        runs.finish(made.ledger, number, "failed")
    assert forget(made, plain) == Forgotten(deleted=1, kept=1)
    assert known(plain) == {root}
    assert forget(made, plain) == Forgotten(deleted=1)


def test_a_pass_is_bounded_and_the_next_one_goes_on(tmp_path: Path, plain: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"a": {}})
    for _ in range(7):
        run = create_run_for_test(plain, status=dg.DagsterRunStatus.SUCCESS, asset_selection={asset_key("a")})
        number = runs.start(made.ledger, run_id=run.run_id, export="a", partition=DAYS[0], now=datetime.now(UTC))
        runs.finish(made.ledger, number, "skipped")
    assert forget(made, plain, limit=3) == Forgotten(deleted=3, remaining=4)
    assert forget(made, plain, limit=4) == Forgotten(deleted=4)


def test_both_histories_in_one_call(tmp_path: Path, plain: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"a": BAD})
    for _ in range(2):
        materialize(made, plain, DAYS[0], "a")
    later = datetime.now(UTC) + timedelta(days=401)
    done = tidy(made, plain, later)
    assert done.dagster == Forgotten(deleted=2)
    assert done.ledger is not None
    assert done.ledger.attempts == 1
    off = environment(tmp_path, EXPORT_HISTORY_DAYS="off", EXPORT_RUN_LOG_DAYS="off")
    done = tidy(Project.load(write_project(tmp_path, {"a": BAD}, environ=off)), plain, later)
    assert (done.ledger, done.dagster) == (None, None)


@pytest.mark.parametrize("name", ["EXPORT_HISTORY_DAYS", "EXPORT_RUN_LOG_DAYS"])
def test_a_wrong_number_of_days_deletes_nothing(tmp_path: Path, plain: dg.DagsterInstance, name: str) -> None:
    made = Project.load(write_project(tmp_path, {"a": BAD}, environ=environment(tmp_path, **{name: "0"})))
    materialize(made, plain, DAYS[0], "a")
    with pytest.raises(ConfigurationError, match=f"{name} is '0'"):
        tidy(made, plain, LATER)
    assert len(known(plain)) == 1
