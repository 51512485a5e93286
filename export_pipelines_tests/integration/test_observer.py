"""What happens in Dagster becomes events: each once, however late or often it is looked at."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickData, TickStatus
from dagster._core.test_utils import create_run_for_test

from export_pipelines.ledger import pulses, runs, tables, workers
from export_pipelines.notify import events
from export_pipelines.notify.message import Event
from export_pipelines.orchestration import instance_log
from export_pipelines.orchestration.assets import asset_key, export_asset
from export_pipelines.orchestration.build import build_definitions
from export_pipelines.orchestration.io_managers import io_manager
from export_pipelines.orchestration.observer import observe
from export_pipelines.project import Project
from export_pipelines_tests.projects import environment, project, write_project
from export_pipelines_tests.servers import PostgresServer

DAY = "2026-01-05"
BAD = {"datasets": {"bad": {"sql": "select nonsense"}}}
NOBODY = {"datasets": {"students": {"table": "students", "filters": {"id": 99}}}}
RETRIED = {"instance": {"run_retries": {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False}}}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(overrides=RETRIED["instance"]) as made:
        yield made


def materialize(made: Project, instance: dg.DagsterInstance, *names: str, extra: Any = ()) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [*(export_asset(made, made.export(name)) for name in names), *extra],
        partition_key=DAY,
        instance=instance,
        resources={"artifacts_local": io_manager(made, "local")},
        raise_on_error=False,
    )


def look(made: Project, instance: dg.DagsterInstance, since: datetime | None = None, *names: str) -> datetime:
    return observe(made, instance, since=since, names=names, now=datetime.now(UTC))


def seen(made: Project) -> list[Event]:
    now = datetime.now(UTC)
    return events.between(made.ledger, now - timedelta(days=9), now + timedelta(days=1))


def kinds(made: Project) -> list[tuple[str, str | None]]:
    return sorted((event.kind, event.export) for event in seen(made))


def test_how_each_export_of_a_run_ended(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"a": {}, "b": BAD, "c": {**NOBODY, "on_empty": "skip"}, "d": NOBODY})
    result = materialize(made, instance, "a", "b", "c", "d")
    cursor = look(made, instance)  # the first look ever: after the failure
    assert kinds(made) == [("empty", "d"), ("failed", "b"), ("skipped", "c"), ("succeeded", "a")]
    for _ in range(2):
        cursor = look(made, instance, cursor)
    look(made, instance)  # somebody has reset the cursor
    assert len(seen(made)) == 4
    (failed,) = (event for event in seen(made) if event.kind == "failed")
    assert (failed.partition, failed.run_id, failed.level) == (DAY, result.run_id, "failure")
    assert "nonsense" in failed.details["cause"]
    assert not failed.details["cause"].endswith(".")
    assert failed.details["advice"]
    (succeeded,) = (event for event in seen(made) if event.kind == "succeeded")
    assert len(succeeded.details["artifact_id"]) == 32


def test_a_retry_that_succeeds_is_no_failure(
    tmp_path: Path, instance: dg.DagsterInstance, postgres: PostgresServer
) -> None:
    """The server appears between the first attempt and the second one of the same step."""
    socket = tmp_path / "socket"
    connections = {"school": {"url": f"postgresql://postgres@/postgres?host={socket}"}}
    entry = {"retries": {"max_retries": 5, "delay_seconds": 0.2}, "datasets": {"one": {"sql": "select 1 as one"}}}
    made = project(tmp_path, {"a": entry}, connections=connections)

    def bring_back() -> None:
        while not runs.recent(made.ledger, states=["failed"]):
            time.sleep(0.02)
        socket.symlink_to(postgres.directory)

    with ThreadPoolExecutor(1) as pool:
        brought = pool.submit(bring_back)
        assert materialize(made, instance, "a").success
        brought.result()
    states = [row.state for row in runs.recent(made.ledger)]
    assert (states[0], set(states[1:])) == ("published", {"failed"})
    look(made, instance)
    assert kinds(made) == [("succeeded", "a")]


def test_a_run_that_dagster_will_retry_is_interrupted_and_not_failed(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    made = project(tmp_path, {"a": {}})
    run = create_run_for_test(
        instance,
        job_name="exports",
        status=dg.DagsterRunStatus.STARTED,
        asset_selection={asset_key("a")},
        tags={"dagster/partition": DAY},
    )
    instance_log.end_dead_runs(instance, [run.run_id], "gone")
    look(made, instance)
    (event,) = seen(made)
    assert (event.kind, event.level, event.partition) == ("interrupted", "warning", DAY)
    again = create_run_for_test(
        instance,
        job_name="exports",
        status=dg.DagsterRunStatus.STARTED,
        asset_selection={asset_key("a")},
        tags={"dagster/partition": DAY, "dagster/parent_run_id": run.run_id, "dagster/root_run_id": run.run_id},
        parent_run_id=run.run_id,
        root_run_id=run.run_id,
    )
    instance.report_run_failed(again, "gone again")
    look(made, instance)
    assert kinds(made) == [("failed", "a"), ("interrupted", "a")]
    (failed,) = (event for event in seen(made) if event.kind == "failed")
    assert failed.details["cause"] == "It was not started: gone again"


def test_failed_checks_notify_whether_they_block_or_not(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"a": {}, "b": {}})

    @dg.asset_check(asset=asset_key("a"))
    def looks_odd() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description="only 4 rows")

    @dg.asset_check(asset=asset_key("b"), blocking=True)
    def must_hold() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, description="a total differs")

    assert not materialize(made, instance, "a", "b", extra=[looks_odd, must_hold]).success
    cursor = look(made, instance)
    look(made, instance, cursor)
    checks = {event.export: event for event in seen(made) if event.kind == "check_failed"}
    assert {name: (event.level, event.partition) for name, event in checks.items()} == {
        "a": ("warning", DAY),
        "b": ("failure", DAY),
    }
    assert checks["a"].details["cause"] == "only 4 rows"
    assert checks["b"].details["blocking"] is True
    assert [kind for kind, _ in kinds(made)].count("failed") == 0


def test_failed_ticks_are_events(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"a": {"schedule": {"cron": "5 5 * * *"}}})
    repository = build_definitions(made).get_repository_def()
    schedule = repository.get_schedule_def("a_schedule")
    from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
    from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="x"), location_name="x")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), schedule.name)
    state = InstigatorState(
        origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, ScheduleInstigatorData("5 5 * * *")
    )
    instance.add_instigator_state(state)
    from dagster_shared.error import SerializableErrorInfo

    now = datetime.now(UTC).timestamp()
    for status, error in (
        (TickStatus.SUCCESS, None),
        (TickStatus.FAILURE, SerializableErrorInfo("ValueError: boom\n", [], None)),
    ):
        instance.create_tick(
            TickData(
                state.instigator_origin_id,
                schedule.name,
                InstigatorType.SCHEDULE,
                status,
                now,
                selector_id=state.selector_id,
                run_ids=[],
                error=error,
            )
        )
    look(made, instance, None, "another_schedule")
    assert seen(made) == []
    look(made, instance, None, schedule.name)
    look(made, instance, None, schedule.name)
    (event,) = seen(made)
    assert (event.kind, event.details) == ("tick_failed", {"what": "schedule a_schedule", "cause": "ValueError: boom"})


def job_named(name: str, error: str = "") -> dg.JobDefinition:
    @dg.op(name="work")
    def work(context) -> None:  # Dagster reads annotations, and not as text
        context.log_event(dg.AssetObservation(asset_key("a")))
        if error:
            raise dg.Failure(error, allow_retries=False)

    return dg.JobDefinition(name=name, graph_def=dg.GraphDefinition(name, node_defs=[work]))


def test_failed_jobs_that_look_after_exports_are_events_once(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"a": {}})
    ended = {
        name: job_named(name, error).execute_in_process(instance=instance, raise_on_error=False).run_id
        for name, error in (
            ("retention", "the store lake cannot be reached"),
            ("verify", ""),
            ("somebody_elses", "boom"),
        )
    }
    cursor = look(made, instance)
    look(made, instance, cursor)
    look(made, instance)
    (event,) = seen(made)
    assert (event.kind, event.level, event.export, event.run_id) == ("job_failed", "failure", None, ended["retention"])
    assert event.details == {"what": "retention", "cause": "the store lake cannot be reached"}


def test_a_job_whose_process_died_is_an_event_unless_it_is_repeated(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    made = project(tmp_path, {"a": {}})
    first = create_run_for_test(instance, job_name="verify", status=dg.DagsterRunStatus.STARTED)
    instance_log.end_dead_runs(instance, [first.run_id], "gone")
    look(made, instance)
    assert seen(made) == []
    tags = {"dagster/parent_run_id": first.run_id, "dagster/root_run_id": first.run_id}
    parents = {"parent_run_id": first.run_id, "root_run_id": first.run_id}
    status = dg.DagsterRunStatus.STARTED
    again = create_run_for_test(instance, job_name="verify", status=status, tags=tags, **parents)
    instance_log.end_dead_runs(instance, [again.run_id], "gone again")
    look(made, instance)
    (event,) = seen(made)
    assert (event.kind, event.details) == ("job_failed", {"what": "verify", "cause": "gone again"})


def test_quarantined_specs_are_events_once(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings = write_project(tmp_path, {"a": {}, "broken": {"colour": "red"}})
    made = Project.load(settings)
    look(made, instance)
    look(made, instance)
    (event,) = seen(made)
    assert (event.kind, event.export) == ("quarantined", "broken")
    assert "unknown key" in event.details["problems"][0]


def test_secrets_do_not_reach_events(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    connections = {"school": {"url": "postgresql://report:${env:DB_PASSWORD}@127.0.0.1:1/none"}}
    settings = write_project(
        tmp_path, {"a": {}}, environ=environment(tmp_path, DB_PASSWORD="canary-7f3a"), connections=connections
    )
    made = Project.load(settings)
    events.record(
        made,
        [
            events.Sighting(
                key="k",
                kind="failed",
                happened_at=datetime.now(UTC),
                details={"cause": "login canary-7f3a", "more": ["x canary-7f3a"]},
            )
        ],
    )
    assert [event.details for event in seen(made)] == [{"cause": "login ***", "more": ["x ***"]}]


def test_queue_and_sign_of_life_are_kept(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"a": {}})
    for status in (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED):
        create_run_for_test(instance, job_name="exports", status=status)
    began = datetime.now(UTC)
    look(made, instance)
    kept = pulses.read(made.ledger)
    assert (kept["queued_runs"].value, kept["running_runs"].value) == (2, 1)
    assert kept["observer"].at >= began


WORK = """
import sys, signal
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.workers import working
with working(Ledger(sys.argv[1]), sys.argv[2], "local", ttl_seconds=60):
    print("working", flush=True)
    signal.pause()
"""


def test_a_run_whose_process_was_killed_is_ended_and_one_at_work_is_not(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    made = project(tmp_path, {"a": {}})
    ids = [
        create_run_for_test(
            instance, job_name="e", status=dg.DagsterRunStatus.STARTED, asset_selection={asset_key("a")}
        ).run_id
        for _ in range(2)
    ]
    url = made.settings.ledger_url
    processes = [
        subprocess.Popen([sys.executable, "-c", WORK, url, run_id], stdout=subprocess.PIPE, text=True) for run_id in ids
    ]
    try:
        for process in processes:
            assert process.stdout
            assert process.stdout.readline() == "working\n"
        assert workers.silent(made.ledger) == []
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait()
        sensor = build_definitions(made).get_repository_def().get_sensor_def("dead_runs")
        skipped = [sensor.evaluate_tick(dg.build_sensor_context(instance=instance)).skip_message for _ in range(2)]
        assert skipped == [f"ended: {ids[0]}", "every run's process answers"]
        states = {run.run_id: run.status for run in instance.get_runs()}
        assert states == {ids[0]: dg.DagsterRunStatus.FAILURE, ids[1]: dg.DagsterRunStatus.STARTED}
    finally:
        for process in processes:
            process.kill()
            process.wait()


def silence(made: Project, run_id: str, *, seconds: float) -> None:
    """A process of another machine that should have renewed so many seconds ago, and its lease."""
    other = "elsewhere/boot:1/7/8"
    with made.ledger.write() as connection:
        until = made.ledger.now(connection) - seconds
        worker = {"run_id": run_id, "store": "local", "holder": other, "expires_at": until}
        connection.execute(tables.workers.delete())
        connection.execute(tables.workers.insert().values(worker))
        connection.execute(tables.leases.delete())
        lease = {"export": "a", "partition": DAY, "fence": 7, "holder": other, "expires_at": until}
        connection.execute(tables.leases.insert().values(lease))


def test_a_process_of_another_machine_is_given_time_to_come_back(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """As after an outage of the ledger, when nobody could renew anything."""
    settings = write_project(tmp_path, {"a": {}}, environ=environment(tmp_path, EXPORT_LEASE_SECONDS="2"))
    made = Project.load(settings)
    run = create_run_for_test(
        instance, job_name="e", status=dg.DagsterRunStatus.STARTED, asset_selection={asset_key("a")}
    )
    sensor = build_definitions(made).get_repository_def().get_sensor_def("dead_runs")
    cursor: str | None = None

    def tick() -> str | None:
        nonlocal cursor
        result = sensor.evaluate_tick(dg.build_sensor_context(instance=instance, cursor=cursor))
        cursor = result.cursor
        return result.skip_message

    silence(made, run.run_id, seconds=10)
    assert [tick(), tick()] == ["1 do not answer at the moment"] * 2
    silence(made, run.run_id, seconds=-10)  # it has renewed
    time.sleep(1.1)
    assert tick() == "every run's process answers"
    silence(made, run.run_id, seconds=5)
    assert tick() == "1 do not answer at the moment"
    time.sleep(1.1)
    assert tick() == f"ended: {run.run_id}"
    with made.ledger.read() as connection:
        lease = connection.execute(tables.leases.select()).one()
    assert (lease.holder, lease.fence) == (None, 7)


def test_a_run_says_that_it_is_alive_while_it_works(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"a": {}})
    alive: list[str] = []

    @dg.asset(deps=[asset_key("a")])
    def probe() -> None:
        with made.ledger.read() as connection:
            alive.extend(connection.exec_driver_sql("select run_id from export_workers").scalars())

    result = materialize(made, instance, "a", extra=[probe])
    assert alive == [result.run_id]
    with made.ledger.read() as connection:
        assert connection.exec_driver_sql("select count(*) from export_workers").scalar() == 0
