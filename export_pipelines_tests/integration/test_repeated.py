"""Runs that continue one whose process died publish only what that one did not."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from export_pipelines.ledger import artifacts, runs
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.orchestration.assets import asset_key, export_asset
from export_pipelines.orchestration.io_managers import io_manager
from export_pipelines.project import Project
from export_pipelines_tests.projects import project, write_project

DAY = "2026-01-05"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as found:
        yield found


def materialize(made: Project, instance: dg.DagsterInstance, tags: dict[str, str]) -> dg.ExecuteInProcessResult:
    @dg.asset(key="reader", deps=[], ins={"found": dg.AssetIn(key=asset_key("students"))}, partitions_def=daily(made))
    def _reader(context: dg.AssetExecutionContext, found: ArtifactRow) -> str:
        return found.manifest.artifact_id

    return dg.materialize(
        [export_asset(made, made.export("students")), _reader],
        partition_key=DAY,
        resources={"artifacts_local": io_manager(made, "local"), "io_manager": dg.mem_io_manager},
        instance=instance,
        tags=tags,
    )


def daily(made: Project) -> dg.PartitionsDefinition:
    found = export_asset(made, made.export("students")).partitions_def
    assert found is not None
    return found


def continuing(run_id: str) -> dict[str, str]:
    """The tags that Dagster gives to a run that repeats what another one did not get done."""
    return {"dagster/parent_run_id": run_id, "dagster/root_run_id": run_id, "dagster/is_resume_retry": "true"}


def test_what_the_dead_run_published_is_shown_and_not_published_again(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    checked = {"students": {"table": "students", "checks": {"rows": {"min": 1}}}}
    made = project(tmp_path, {"students": {"datasets": checked}})
    first = materialize(made, instance, {})
    again = materialize(made, instance, continuing(first.run_id))
    third = materialize(made, instance, continuing(again.run_id))  # it died, too, after it had shown the artifact
    (row,) = artifacts.find(made.ledger)
    assert row.manifest.run_id == first.run_id
    for result in (again, third):
        assert result.success
        assert result.output_for_node("reader") == row.manifest.artifact_id
        (shown,) = result.asset_materializations_for_node("exports__students")
        assert shown.metadata["artifact"].value == row.manifest.artifact_id
        assert all(check.passed for check in result.get_asset_check_evaluations())
    assert [run.state for run in runs.recent(made.ledger)] == ["published"]


def test_a_run_that_begins_anew_publishes_anew(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"students": {}})
    first = materialize(made, instance, {})
    tags = continuing(first.run_id)
    del tags["dagster/is_resume_retry"]
    assert materialize(made, instance, tags).success
    assert len(artifacts.find(made.ledger)) == 2


def test_what_was_made_by_another_spec_is_published_anew(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = project(tmp_path, {"students": {}})
    first = materialize(made, instance, {})
    changed = Project.load(write_project(tmp_path, {"students": {"formats": ["jsonl"]}}))
    assert materialize(changed, instance, continuing(first.run_id)).success
    assert len(artifacts.find(made.ledger)) == 2
