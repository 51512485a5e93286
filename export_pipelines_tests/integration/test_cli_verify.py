"""verify and ledger rebuild."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from export_pipelines.ledger import artifacts
from export_pipelines.ledger.ledger import Ledger
from export_pipelines_tests.integration.cli_project import Cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path)
    made.use({"students": {"formats": ["csv", "jsonl"]}, "pupils": {}})
    for name in ("students", "pupils"):
        made("run", name, "--partition", "2026-01-05")
    return made


def directory(cli: Cli, name: str) -> Path:
    return Path(cli("path", name).stdout.strip())


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_intact_files_are_fine(cli: Cli) -> None:
    assert "2 artifacts, 3 files" in cli("verify").stdout
    assert "every file is as published" in cli("verify").stdout
    document = cli.json("verify", "students")
    assert (document["ok"], document["artifacts"], document["files"], document["findings"]) == (True, 1, 2, [])
    sizes = [path.stat().st_size for path in directory(cli, "students").iterdir() if path.name != "metadata.json"]
    assert document["bytes"] == sum(sizes)


def test_a_damaged_file_is_named(cli: Cli) -> None:
    broken = directory(cli, "students") / "students.jsonl"
    flip_a_byte(broken)
    result = cli("verify", code=1)
    assert f"damaged {broken}: sha256" in result.stdout
    assert str(directory(cli, "students") / "students.csv") not in result.stdout
    (finding,) = cli.json("verify", "students", code=1)["findings"]
    assert (finding["kind"], finding["uri"], finding["export"]) == ("damaged", str(broken), "students")
    identifier = cli.json("path", "students")["artifact_id"]
    assert f"damaged {broken}" in cli("verify", identifier[:10], code=1).stdout
    cli("verify", "pupils")
    cli("verify", cli.json("path", "pupils")["artifact_id"])


def test_missing_and_foreign_files_are_named(cli: Cli) -> None:
    gone, foreign = directory(cli, "students") / "students.csv", cli.root / "out" / "notes.txt"
    gone.unlink()
    foreign.write_text("mine")
    kinds = {finding["uri"]: finding["kind"] for finding in cli.json("verify", code=1)["findings"]}
    assert kinds == {str(gone): "missing", str(foreign): "unlisted"}
    assert list(cli.json("verify", "students", code=1)["findings"][0].values()).count("missing") == 1


def test_what_is_neither_export_nor_artifact_is_an_error(cli: Cli) -> None:
    assert "Did you mean 'students'?" in cli("verify", "studens", code=1).stderr
    assert "no artifact with id 'deadbeef'" in cli("verify", "deadbeef", code=1).stderr


def test_a_store_that_cannot_be_read_does_not_hide_the_others(cli: Cli) -> None:
    cli.use(
        {"students": {}, "pupils": {}},
        stores={"away": {"type": "local", "root": "${file:/nonexistent/root}"}},
    )
    document = cli.json("verify", code=1)
    assert document["artifacts"] == 2
    assert [error["store"] for error in document["errors"]] == ["away"]
    stores = {entry["store"]: entry for entry in cli.json("ledger", "rebuild", code=1)["stores"]}
    assert stores["local"]["artifacts"] == 2
    assert "/nonexistent/root" in stores["away"]["error"]


def test_what_was_read_is_recorded_and_damage_is_told_by_health_until_it_is_repaired(cli: Cli) -> None:
    broken = directory(cli, "students") / "students.csv"
    right = broken.read_bytes()
    flip_a_byte(broken)
    (found,) = cli.json("verify", "students", code=1)["findings"]
    assert found["artifact_id"] == cli.json("path", "students")["artifact_id"]
    damaged = "1 artifact is damaged: students 2026-01-05; see: exports verify"
    assert damaged in cli("health", code=1).stdout
    broken.write_bytes(right)
    assert damaged in cli("health", code=1).stdout
    cli("verify", found["artifact_id"])
    assert damaged not in cli("health", code=1).stdout


def test_a_store_whose_disk_is_not_mounted_is_an_error_and_no_damage(cli: Cli) -> None:
    (cli.root / "out").rename(cli.root / "unplugged")
    (cli.root / "out").mkdir()
    document = cli.json("verify", code=1)
    assert (document["findings"], [error["store"] for error in document["errors"]]) == ([], ["local"])
    assert "is damaged" not in cli("health", code=1).stdout


def test_a_deleted_artifact_has_no_files_to_read(cli: Cli) -> None:
    identifier = cli.json("path", "students")["artifact_id"]
    with Ledger(f"sqlite:///{cli.root}/state/ledger.db").write() as connection:
        artifacts.mark_deleted(connection, identifier, datetime(2026, 3, 1, tzinfo=UTC))
    assert "was deleted at 2026-03-01 00:00 UTC" in cli("verify", identifier[:8], code=1).stderr


def test_a_lost_ledger_is_rebuilt_from_the_manifests(cli: Cli) -> None:
    before = cli.json("artifacts")
    assert len(before["artifacts"]) == 2
    for file in (cli.root / "state").glob("ledger.db*"):
        file.unlink()
    assert cli.json("artifacts")["artifacts"] == []
    lost = cli.json("verify", code=1)["findings"]
    assert [finding["kind"] for finding in lost] == ["unregistered", "unregistered"]
    assert "exports ledger rebuild" in lost[0]["message"]
    assert "Store local: 2 artifacts registered" in cli("ledger", "rebuild").stdout
    assert cli.json("artifacts") == before
    cli("verify")
    assert cli.json("ledger", "rebuild")["stores"][0]["artifacts"] == 2
    assert cli.json("artifacts") == before


def test_rebuild_names_a_manifest_that_cannot_be_read_and_registers_the_rest(cli: Cli) -> None:
    manifest = directory(cli, "students") / "metadata.json"
    manifest.write_text("{")
    document = cli.json("ledger", "rebuild", code=1)
    (store,) = document["stores"]
    assert (document["ok"], store["artifacts"]) == (False, 1)
    assert store["unreadable"][0]["uri"] == str(manifest)
    assert str(manifest) in cli("ledger", "rebuild", code=1).stderr
