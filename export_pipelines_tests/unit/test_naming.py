"""Names of directories and files: nothing that a spec or a partition key says leads out of the store."""

import string
from datetime import UTC, datetime, timedelta, timezone
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export_pipelines.errors import UnsafePathError
from export_pipelines.spec.naming import (
    DEFAULT_PATHS,
    PLACEHOLDERS,
    check_path,
    check_path_template,
    is_reserved,
    safe_partition,
    stamp,
)
from export_pipelines.timing.partitions import key_of

DEVICES = ["con", "PRN", "aux", "NUL", "com1", "LPT9", "Com0"]

HOSTILE = [
    "..",
    ".",
    "",
    "/",
    "/etc",
    "a//b",
    "a/",
    "../a",
    "a/../b",
    "a/./b",
    "..\\a",
    "a\\b",
    "C:\\x",
    "c:x",
    "~",
    "~root",
    "-rf",
    ".hidden",
    "a/.hidden",
    "trailing.",
    "trailing ",
    " leading",
    "a b",
    "a\0b",
    "a\nb",
    "a\r",
    "a\tb",
    "a:b",
    "a|b",
    "a*",
    "a?",
    'a"b',
    "a<b",
    "$HOME",
    "`id`",
    "${x}",
    "%2e%2e",
    "x" * 201,
    "．．",  # full-width dots
    "a／b",  # full-width slash
    "a∕b",  # division slash
    "‥",  # two-dot leader
    "а",  # Cyrillic a
    "é",
    "e\u0301",
    "ａ",  # full-width a
    "a\u200bb",  # zero width space
    "a\u202egnp",  # right-to-left override
    "١",  # Arabic-Indic digit
    "\ud800",
    *DEVICES,
    "a/con/b",
    "nul.csv",
    "aux.tar.gz",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_hostile_paths_are_refused(path: str) -> None:
    with pytest.raises(UnsafePathError):
        check_path(path)


@pytest.mark.parametrize(
    "path", ["a", "a/b", "year=2026/month=01", "a.b-c_d", "x" * 200, "con1", "console", "0", "a..b"]
)
def test_plain_paths_pass_unchanged(path: str) -> None:
    assert check_path(path) == path


@given(st.text(max_size=30) | st.text(string.ascii_letters + string.digits + "./\\_-=: ", max_size=30))
def test_a_path_that_passes_stays_below_the_root_on_every_system(path: str) -> None:
    try:
        check_path(path)
    except UnsafePathError:
        return
    for root in (PurePosixPath("/srv/exports"), PureWindowsPath("C:\\exports")):
        joined = root / path
        assert joined.is_relative_to(root)
        assert ".." not in joined.parts
        assert len(joined.parts) == len(root.parts) + path.count("/") + 1
    assert path.isascii()
    assert path.isprintable()


@pytest.mark.parametrize(
    "template",
    [
        "{export}",
        "{org}/{export}/{partition}/{stamp}_{run8}",
        "year={year}/month={month}/day={day}/{run_id}",
        "fixed/name",
        *DEFAULT_PATHS.values(),
    ],
)
def test_templates_of_known_placeholders_pass(template: str) -> None:
    assert check_path_template(template) == template


@pytest.mark.parametrize(
    "template",
    [
        "{unknown}",
        "{}",
        "{0}",
        "{export.__class__}",
        "{export.__class__.__init__.__globals__}",
        "{export[0]}",
        "{export!r}",
        "{export:>1000000000}",
        "{export:{org}}",
        "{{export}}",
        "{export",
        "export}",
        "{ export }",
        "{Export}",
        "../{export}",
        "{export}/..",
        "{export}/../x",
        "/{export}",
        "{export}/",
        "{export}//{run8}",
        "./{export}",
        "{export}\\{run8}",
        "{export}\0",
        "{export}\n",
        "{export}.",
        "~/{export}",
        "C:/{export}",
        "con/{export}",
        "{export}/nul.txt",
        "{ｅxport}",
        "{export}／{run8}",
        "${HOME}/{export}",
        "-{export}",
    ],
)
def test_hostile_templates_are_refused(template: str) -> None:
    with pytest.raises(ValueError, match="path"):
        check_path_template(template)


def test_the_message_lists_the_known_placeholders() -> None:
    with pytest.raises(ValueError, match=r"unknown placeholder \{exprt\}; known: \{export\}, \{partition\}") as caught:
        check_path_template("{exprt}")
    assert all(f"{{{name}}}" in str(caught.value) for name in PLACEHOLDERS)


@pytest.mark.parametrize("name", DEVICES)
def test_windows_devices_are_known_with_any_extension(name: str) -> None:
    assert is_reserved(name)
    assert is_reserved(f"{name}.tar.gz")
    assert not is_reserved(f"{name}x")


class TestSafePartition:
    @pytest.mark.parametrize(
        ("key", "segment"),
        [
            ("2026-01-31", "2026-01-31"),
            ("2026-01-31-13:00", "2026-01-31-1300"),
            ("2026-10-25-02:00+0100", "2026-10-25-0200p0100"),
            ("2026-11-01-01:00-0500", "2026-11-01-0100-0500"),
        ],
    )
    def test_keys_become_one_segment(self, key: str, segment: str) -> None:
        assert safe_partition(key) == segment

    @pytest.mark.parametrize(
        "key", ["", "..", "../x", "a/b", "2026/01/31", "/", "a\\b", "a\0", "2026-01-31\n", "é", ".x", "-x", "nul", "::"]
    )
    def test_hostile_keys_are_refused(self, key: str) -> None:
        with pytest.raises(UnsafePathError):
            safe_partition(key)

    @given(st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]), st.integers(0, 24 * 366))
    def test_keys_of_different_hours_give_different_segments(self, zone: str, hours: int) -> None:
        from zoneinfo import ZoneInfo

        start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
        keys = [key_of("hourly", (start + timedelta(hours=n)).astimezone(ZoneInfo(zone))) for n in range(3)]
        assert len({safe_partition(key).lower() for key in keys}) == 3


def test_a_stamp_is_in_utc() -> None:
    local = datetime(2026, 1, 1, 0, 30, 5, tzinfo=timezone(timedelta(hours=2)))
    assert stamp(local) == "20251231_223005"
