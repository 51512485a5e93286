"""Dagster's storage with connections that are used again: it stores what Dagster's own class stores."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import pytest
import yaml

from export_pipelines.orchestration.build import build_definitions
from export_pipelines_tests.e2e.test_live import REPOSITORY
from export_pipelines_tests.projects import project
from export_pipelines_tests.servers import PostgresServer

DAY = "2026-01-05"


@contextmanager
def instance(
    root: Path, url: str, monkeypatch: pytest.MonkeyPatch, *, pooled: bool = True
) -> Iterator[dg.DagsterInstance]:
    """The instance of the shipped configuration, or the same with Dagster's own class."""
    home = root / "dagster_home"
    home.mkdir()
    shutil.copy(REPOSITORY / "deploy" / "postgres" / "dagster.yaml", home)
    if not pooled:
        document = yaml.safe_load((home / "dagster.yaml").read_text())
        document["storage"] = {"postgres": document["storage"]["custom"]["config"]}
        (home / "dagster.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url.replace("postgresql://", "postgresql+psycopg2://", 1))
    with dg.DagsterInstance.from_config(str(home)) as made:
        yield made


def run(root: Path, made: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """Three exports, of which one is skipped, one fails a check, and all have a pool."""
    entries: dict[str, Any] = {
        "students": {},
        "few": {"datasets": {"b": {"table": "students", "checks": {"rows": {"min": 9}}}}},
    }
    entries["leavers"] = {"on_empty": "skip", "datasets": {"a": {"table": "students", "filters": {"status": "no"}}}}
    schedules = {"nightly": {"cron": "0 2 * * *"}}
    exports = {name: {**entry, "schedule": "nightly"} for name, entry in entries.items()}
    defs = build_definitions(project(root, exports, schedules=schedules))
    return defs.resolve_job_def("exports_nightly").execute_in_process(
        instance=made, partition_key=DAY, raise_on_error=False
    )


def stored(made: dg.DagsterInstance, run_id: str) -> dict[str, Any]:
    """What the storage tells of a run, without what differs from run to run."""
    events = [entry.dagster_event for entry in made.all_logs(run_id) if entry.dagster_event]
    keys = sorted(key.to_string() for key in made.all_asset_keys())
    found: dict[str, Any] = {
        "events": [(one.event_type_value, one.step_key, one.asset_key and one.asset_key.path) for one in events],
        "assets": keys,
        "status": made.get_run_by_id(run_id).status,  # type: ignore[union-attr]
    }
    for key in made.all_asset_keys():
        event = made.get_latest_materialization_event(key)
        partitions = made.get_materialized_partitions(key)
        found[key.to_string()] = sorted(event.asset_materialization.metadata) if event else None, partitions  # type: ignore[union-attr]
    return found


def test_it_stores_what_dagsters_class_stores_through_few_connections(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[bool, Any] = {}
    sessions: dict[bool, int] = {}
    for pooled in (True, False):
        root = tmp_path / str(pooled)
        root.mkdir()
        with postgres.database() as name, instance(root, postgres.url(name), monkeypatch, pooled=pooled) as made:
            opened = _sessions(postgres, name)
            result = run(root, made)
            found[pooled] = stored(made, result.run_id)
            sessions[pooled] = _sessions(postgres, name) - opened
    assert found[True] == found[False]
    assert found[True]["status"] == dg.DagsterRunStatus.SUCCESS
    assert sessions[True] <= 3
    assert sessions[False] > 50


def _sessions(server: PostgresServer, database: str) -> int:
    """How many connections the database has had."""
    query = "select sessions from pg_stat_database where datname = %s"
    return int(server.run(query, params=[database])[0][0])


def test_a_server_that_was_restarted_is_not_noticed(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with instance(tmp_path, postgres_url, monkeypatch) as made:
        result = run(tmp_path, made)
        with closing(psycopg2.connect(postgres_url)) as connection, connection.cursor() as cursor:
            others = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            cursor.execute(f"select count(pg_terminate_backend(pid)) {others}")
            assert cursor.fetchone()[0] >= 1  # type: ignore[index]
        assert made.get_run_by_id(result.run_id) is not None
        assert made.all_logs(result.run_id)
        made.add_run_tags(result.run_id, {"after": "restart"})
        assert made.get_run_by_id(result.run_id).tags["after"] == "restart"  # type: ignore[union-attr]


def test_a_column_that_is_missing_is_looked_for_again(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with instance(tmp_path, postgres_url, monkeypatch) as made:
        storage = made.event_log_storage
        assert storage.has_asset_key_col("cached_status_data")  # type: ignore[attr-defined]
        assert not storage.has_asset_key_col("later")  # type: ignore[attr-defined]
        with closing(psycopg2.connect(postgres_url)) as connection, connection.cursor() as cursor:
            cursor.execute("alter table asset_keys add column later text")
            connection.commit()
        assert storage.has_asset_key_col("later")  # type: ignore[attr-defined]
