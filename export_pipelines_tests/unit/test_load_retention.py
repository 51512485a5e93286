"""Loading specs: which retention policy an export gets, from its entry, the section and the environment."""

from datetime import date
from pathlib import Path

import pytest

from export_pipelines.errors import ConfigurationError
from export_pipelines.spec.retention import ArchiveSpec, RetentionSpec
from export_pipelines.spec.stores import LocalStoreSpec
from export_pipelines_tests.unit.loading import export, lines, load, load_text

POLICIES = """
retention:
  default: {keep_days: 90, min_keep_days: 30, hold_until: 2027-01-01}
  short: {keep_last: 3}
  long: {keep_days: 3650, min_keep_days: 3650, hold_until: 2026-01-01}
"""


def policy(directory: Path, text: str, *files: str, **variables: str) -> RetentionSpec | None:
    load_text(directory, export(text), *files)
    return load(directory, **variables).exports["e"].retention


def test_an_export_without_one_gets_the_default(tmp_path: Path) -> None:
    expected = RetentionSpec(keep_days=90, min_keep_days=30, hold_until=date(2027, 1, 1))
    assert policy(tmp_path, "", POLICIES) == expected
    assert policy(tmp_path, "retention: default", POLICIES, EXPORT_RETENTION_DAYS="7") == expected


def test_its_own_replaces_the_default_except_for_minimum_and_hold(tmp_path: Path) -> None:
    hold = date(2027, 1, 1)
    assert policy(tmp_path, "retention: short", POLICIES) == RetentionSpec(
        keep_last=3, min_keep_days=30, hold_until=hold
    )
    assert policy(tmp_path, "retention: long", POLICIES) == RetentionSpec(
        keep_days=3650, min_keep_days=3650, hold_until=hold
    )
    placed = policy(tmp_path, "retention: {expire_after_hours: 24}", POLICIES)
    assert placed is not None
    assert placed.model_dump(exclude_defaults=True) == {
        "expire_after_hours": 24,
        "min_keep_days": 30,
        "hold_until": hold,
    }


def test_the_environment_stands_for_a_default_that_is_not_there(tmp_path: Path) -> None:
    assert policy(tmp_path, "", EXPORT_RETENTION_DAYS="30") == RetentionSpec(keep_days=30)
    assert policy(tmp_path, "retention: default", EXPORT_RETENTION_DAYS="30") == RetentionSpec(keep_days=30)
    assert policy(tmp_path, "retention: {keep_last: 3}", EXPORT_RETENTION_DAYS="30") == RetentionSpec(keep_last=3)


@pytest.mark.parametrize("days", ["", None])
def test_without_any_nothing_is_deleted(tmp_path: Path, days: str | None) -> None:
    variables = {} if days is None else {"EXPORT_RETENTION_DAYS": days}
    found = policy(tmp_path, "", **variables)
    assert found == RetentionSpec()
    assert not found.deletes
    found = policy(tmp_path, "retention: {}", EXPORT_RETENTION_DAYS="30")
    assert found is not None
    assert not found.deletes


@pytest.mark.parametrize("days", ["0", "-1", "1.5", "soon", "inf", "nan", "36501", "1e400"])
def test_a_number_of_days_that_is_none_is_refused(tmp_path: Path, days: str) -> None:
    with pytest.raises(ConfigurationError, match="EXPORT_RETENTION_DAYS"):
        policy(tmp_path, "", EXPORT_RETENTION_DAYS=days)


@pytest.mark.parametrize(
    "broken",
    [
        "retention: {default: {keep_dayz: 90}}",
        "retention: {default: {keep_days: 90}, default: {keep_days: 91}}",
        "retention: [default]",
        "retention: {default: [",
    ],
)
@pytest.mark.parametrize("own", ["", "retention: {keep_days: 7}"])
def test_a_default_that_cannot_be_read_leaves_the_policy_open_and_the_export_running(
    tmp_path: Path, broken: str, own: str
) -> None:
    assert policy(tmp_path, own, broken, EXPORT_RETENTION_DAYS="1") is None
    assert lines(load(tmp_path))


def test_an_export_that_names_a_broken_policy_is_left_out(tmp_path: Path) -> None:
    load_text(tmp_path, export("retention: short"), "retention: {short: {keep_last: 0}}")
    specs = load(tmp_path)
    assert dict(specs.exports) == {}
    assert [problem.path for problem in specs.quarantined["e"]] == ["retention.short.keep_last"]


def test_an_unknown_policy_is_reported_where_it_is_named(tmp_path: Path) -> None:
    load_text(tmp_path, export("retention: shrot"), POLICIES)
    assert lines(load(tmp_path)) == [
        "0.yaml:3 exports.e.retention: unknown retention policy 'shrot'; did you mean `short`?"
    ]


VAULT = "\nstores:\n  vault: {type: local, root: /srv/vault}\n"


def test_archives_go_where_the_policy_or_the_environment_says(tmp_path: Path) -> None:
    def archive(text: str, *files: str, **variables: str) -> object:
        found = policy(tmp_path, text, *files, **variables)
        assert found is not None
        return found.archive

    somewhere = {"EXPORT_ARCHIVE_PATH": str(tmp_path / "old")}
    assert archive("retention: {keep_last: 1}") is None
    assert archive("", **somewhere) == ArchiveSpec()
    assert archive("retention: {keep_last: 1}", **somewhere) == ArchiveSpec(store="archive")
    assert archive("retention: {keep_last: 1, archive: false}", **somewhere) is False
    own = "retention: {keep_last: 1, archive: {store: vault, format: tar.zst, per: month}}"
    assert archive(own, VAULT, **somewhere) == ArchiveSpec(store="vault", format="tar.zst", per="month")
    default = "\nretention:\n  default: {keep_days: 9, archive: {store: vault}}\n"
    assert archive("retention: {keep_last: 1}", VAULT, default, **somewhere) == ArchiveSpec(store="vault")
    assert archive("retention: {keep_last: 1, archive: false}", VAULT, default) is False


def test_the_store_of_the_environment_exists_only_with_it(tmp_path: Path) -> None:
    load_text(tmp_path, export(""))
    assert set(load(tmp_path).stores) == {"local"}
    stores = load(tmp_path, EXPORT_ARCHIVE_PATH="old").stores
    assert stores["archive"] == LocalStoreSpec(root="${env:EXPORT_ARCHIVE_PATH}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("retention: {keep_last: 1, archive: {}}", "unknown store 'archive'"),
        ("retention: {keep_last: 1, archive: {store: valt}}", "unknown store 'valt'; did you mean `vault`?"),
        ("retention: {keep_last: 1, archive: {store: vault, format: rar}}", "zip"),
        ("retention: {keep_last: 1, archive: true}", "True is not known; known: false"),
        ("retention: {keep_last: 1, archive: vault}", "archive"),
    ],
)
def test_mistakes_in_archive_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    found = load_text(tmp_path, export(text), VAULT)
    (problem,) = found.problems
    assert message in str(problem)
    assert "e" in found.quarantined


def test_a_default_whose_archive_is_unknown_keeps_everything(tmp_path: Path) -> None:
    default = "\nretention:\n  default: {keep_days: 9, archive: {store: valt}}\n"
    assert policy(tmp_path, "retention: {keep_last: 1}", default) is None


@pytest.mark.parametrize("path", ["out", "out/archive", "."])
def test_archives_and_files_do_not_lie_in_each_other(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigurationError, match="lie in each other"):
        policy(tmp_path, "", EXPORT_STORAGE_PATH=str(tmp_path / "out"), EXPORT_ARCHIVE_PATH=str(tmp_path / path))
