"""`exports prune`, `restore`, `pin`, `unpin` and `hold` on real artifacts."""

from __future__ import annotations

import getpass
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from export_pipelines_tests.integration.cli_project import Cli
from export_pipelines_tests.projects import published_files


def key(ago: int) -> str:
    """The partition of so many days ago."""
    return f"{datetime.now(UTC) - timedelta(days=ago):%Y-%m-%d}"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Ten daily artifacts, of yesterday and the nine days before."""
    made = Cli(tmp_path)
    made.use({"students": {"start": key(60), "retention": {"keep_days": 7}}})
    made("run", "students", "--from", key(10), "--to", key(1))
    return made


def policy(cli: Cli, **sections: Any) -> None:
    """Give the export another policy."""
    given = sections.pop("retention_of_students", None)
    cli.use({"students": {"start": key(60), **({} if given is None else {"retention": given})}}, **sections)


def partitions(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["partition"] for entry in entries]


def test_it_shows_what_stays_and_what_goes_and_deletes_nothing(cli: Cli) -> None:
    before = published_files(cli.root)
    document = cli.json("prune", "--dry-run", "students")
    assert partitions(document["delete"]) == [key(10), key(9), key(8)]
    assert partitions(document["keep"]) == [key(ago) for ago in range(1, 8)]
    assert document["keep"][0]["reasons"] == ["newest good of students", "within 7 days"]
    assert re.fullmatch(r"no rule keeps it: ended (9|9\.\d|10) days ago", document["delete"][0]["reason"])
    assert (document["ok"], document["refused"], document["notes"]) == (True, [], [])
    assert document["kept_bytes"] + document["delete_bytes"] == 10 * document["keep"][0]["bytes"]
    shown = cli("prune", "--dry-run")
    assert [line.split()[0] for line in shown.stdout.splitlines()[1:11]] == ["keep"] * 7 + ["delete"] * 3
    assert "7 artifacts kept" in shown.stdout
    assert "3 would be deleted" in shown.stdout
    assert "nothing was deleted" in shown.stderr
    assert published_files(cli.root) == before


def test_a_plan_that_deletes_too_much_is_refused_with_exit_code_1(cli: Cli) -> None:
    policy(cli, retention_of_students={"keep_last": 2})
    document = cli.json("prune", "--dry-run", code=1)
    assert (document["ok"], document["refused"][0]["export"]) == (False, "students")
    assert "Refused: 8 of 10 artifacts of students" in cli("prune", "--dry-run", code=1).stderr


def test_the_environment_is_the_policy_of_exports_without_one(cli: Cli) -> None:
    policy(cli)
    document = cli.json("prune", "--dry-run")
    assert document["delete"] == []
    assert document["notes"] == ["nothing of students is deleted: no policy says what may be"]
    assert len(cli.json("prune", "--dry-run", EXPORT_RETENTION_DAYS="8")["delete"]) == 2
    assert "EXPORT_RETENTION_DAYS" in cli("prune", "--dry-run", code=1, EXPORT_RETENTION_DAYS="soon").stderr


def test_exports_and_stores_that_the_specs_no_longer_have_keep_everything(cli: Cli) -> None:
    cli.use({"grades": {"retention": {"keep_last": 1}}})
    document = cli.json("prune", "--dry-run")
    assert (len(document["keep"]), document["delete"]) == (10, [])
    assert document["notes"] == ["10 artifacts of students kept: the specs do not have this export"]
    assert len(cli.json("prune", "--dry-run", "students")["keep"]) == 10


def test_a_mistake_in_the_policy_keeps_everything(cli: Cli) -> None:
    policy(cli, retention_of_students={"keep_dayz": 1})
    assert len(cli.json("prune", "--dry-run")["keep"]) == 10
    policy(cli, retention_of_students={"keep_days": 1}, retention={"default": {"keep_dayz": 1}})
    document = cli.json("prune", "--dry-run")
    assert len(document["keep"]) == 10
    assert "mistake in the specs" in document["notes"][0]


def test_a_pin_and_a_hold_each_keep_an_artifact(cli: Cli) -> None:
    oldest, next_one = (entry["artifact_id"] for entry in cli.json("prune", "--dry-run")["delete"][:2])
    assert "pinned" in cli("pin", oldest[:12], "--why", "reference").stdout
    document = cli.json("hold", next_one, "--until", "2999-12-31", "--why", "lawsuit")
    (row,) = document["pins"]
    assert (row["kind"], row["until"], row["by"], row["why"]) == ("hold", "2999-12-31", getpass.getuser(), "lawsuit")
    assert (row["ended_at"], document["artifact_id"], document["partition"]) == (None, next_one, key(9))
    plan = cli.json("prune", "--dry-run")
    assert partitions(plan["delete"]) == [key(8)]
    assert [entry["reasons"] for entry in plan["keep"][-2:]] == [["held until 2999-12-31"], ["pinned"]]
    cli("ledger", "rebuild")
    assert cli.json("prune", "--dry-run")["keep"] == plan["keep"]
    assert "no longer pinned" in cli("unpin", oldest, "--why", "superseded").stdout
    assert "1 hold released" in cli("hold", next_one, "--release", "--why", "settled").stdout
    assert partitions(cli.json("prune", "--dry-run")["delete"]) == [key(10), key(9), key(8)]


def test_unpinning_does_not_end_a_hold(cli: Cli) -> None:
    oldest = cli.json("prune", "--dry-run")["delete"][0]["artifact_id"]
    cli("hold", oldest, "--until", key(0), "--why", "lawsuit")
    assert "is not pinned" in cli("unpin", oldest, code=1).stderr
    assert key(10) in partitions(cli.json("prune", "--dry-run")["keep"])


def test_pinning_twice_keeps_the_first_pin(cli: Cli) -> None:
    oldest = cli.json("prune", "--dry-run")["delete"][0]["artifact_id"]
    cli("pin", oldest, "--why", "first")
    assert "pinned already, by" in cli("pin", oldest, "--why", "second").stdout
    assert [row["why"] for row in cli.json("pin", oldest)["pins"]] == ["first"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["pin", "0000"], 1, "no artifact with id '0000'"),
        (["unpin", "ID"], 1, "is not pinned"),
        (["hold", "ID", "--release", "--why", "x"], 1, "is not on hold"),
        (["hold", "ID", "--until", "2999-12-31"], 2, "Missing option '--why'"),
        (["hold", "ID", "--until", "2999-12-31", "--why", " "], 2, "must not be blank"),
        (["hold", "ID", "--until", "2020-01-01", "--why", "x"], 2, "2020-01-01 is over"),
        (["hold", "ID", "--until", "tomorrow", "--why", "x"], 2, "does not match the format"),
        (["hold", "ID", "--why", "x"], 2, "Give --until DATE, or --release"),
        (["hold", "ID", "--until", "2999-12-31", "--release", "--why", "x"], 2, "Give --until DATE, or --release"),
        (["prune", "studens"], 1, "Did you mean 'students'?"),
    ],
)
def test_what_cannot_be_done_says_why_and_changes_nothing(
    cli: Cli, arguments: list[str], code: int, message: str
) -> None:
    before = cli.json("prune", "--dry-run")
    artifact_id = before["delete"][0]["artifact_id"]
    done = cli(*(artifact_id if word == "ID" else word for word in arguments), code=code)
    assert message in done.stderr
    assert cli.json("prune", "--dry-run")["keep"] == before["keep"]


def test_nothing_published_is_said(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    assert "Nothing was published" in cli("prune", "--dry-run").stderr
    assert cli.json("prune", "--dry-run")["keep"] == []
