"""A partition that is published again: the new artifact says which one it replaces."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from export_pipelines.ledger import artifacts, runs
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.tables import artifacts as table
from export_pipelines.project import Project
from export_pipelines.rebuild import rebuild
from export_pipelines.storage.manifest import Manifest
from export_pipelines_tests.integration.cli_project import Cli
from export_pipelines_tests.projects import project, published_files

DAY, NEXT = "2026-01-05", "2026-01-06"


def run(made: Project, name: str = "students", partition: str = DAY, **options: Any) -> Manifest:
    number = len(runs.recent(made.ledger))
    return made.run(made.request(name, partition, run_id=f"{number:08x}0000", **options)).manifest


def corrected(ledger: Ledger) -> dict[str, str | None]:
    """Artifact -> the one that it replaces, as the ledger's column has it."""
    with ledger.read() as connection:
        return {row[0]: row[1] for row in connection.execute(select(table.c.artifact_id, table.c.corrects)).all()}


def test_each_version_names_the_one_before(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}, "others": {}})
    first, second, third = run(made), run(made), run(made)
    assert [one.corrects for one in (first, second, third)] == [None, first.artifact_id, second.artifact_id]
    assert run(made, partition=NEXT).corrects is None
    assert run(made, "others").corrects is None
    assert corrected(made.ledger)[third.artifact_id] == second.artifact_id
    written = [data for path, data in published_files(tmp_path).items() if path.endswith("metadata.json")]
    assert sum(f'"corrects": "{first.artifact_id}"'.encode() in data for data in written) == 1


def test_bad_and_deleted_ones_are_corrected_and_samples_neither_correct_nor_are_corrected(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}})
    sample = run(made, row_limit=1)
    first = run(made)
    artifacts.mark_bad(made.ledger, first.artifact_id)
    second = run(made)
    with made.ledger.write() as connection:
        artifacts.mark_deleted(connection, second.artifact_id, datetime.now(UTC))
    third, again = run(made), run(made, row_limit=1)
    assert [one.corrects for one in (sample, first, second, third, again)] == [
        None,
        None,
        first.artifact_id,
        second.artifact_id,
        None,
    ]


def test_an_artifact_that_combines_several_partitions_is_another_one(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}})
    first = run(made)
    with made.ledger.write() as connection:
        connection.exec_driver_sql(f"update export_artifacts set last_partition = '{NEXT}'")
    assert run(made).corrects is None
    assert artifacts.replaced(made.ledger, "students", DAY, last_partition=NEXT) == first.artifact_id


def test_a_rebuilt_ledger_knows_corrections(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}})
    run(made)
    run(made)
    before = corrected(made.ledger)
    (tmp_path / "state" / "ledger.db").unlink()
    again = project(tmp_path, {"students": {}})
    assert rebuild(again.store("local"), again.ledger) == (2, [])
    assert corrected(again.ledger) == before
    assert len(set(before.values())) == 2


def test_commands_tell_what_was_corrected(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    cli.use({"students": {}})
    cli("run", "students", "--partition", DAY)
    assert "Correction of" not in cli("artifacts").stdout
    (first,) = cli.json("artifacts")["artifacts"]
    assert (first["corrects"], "correction" in cli("show", "students").stdout) == (None, False)
    said = f"correction of {first['artifact_id'][:8]}"
    assert said in cli("run", "students", "--partition", DAY).stdout
    assert cli.json("artifacts")["artifacts"][0]["corrects"] == first["artifact_id"]
    head, newest, older = cli("artifacts").stdout.splitlines()
    assert "Correction of" in head
    assert (first["artifact_id"][:8] in newest, newest.count(first["artifact_id"][:8])) == (True, 1)
    assert older.startswith(first["artifact_id"][:8])
    assert said in cli("artifacts", "--files").stdout
    assert said in cli("show", "students", COLUMNS="200").stdout
