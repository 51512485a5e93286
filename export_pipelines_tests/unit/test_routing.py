"""Scopes of recipients, and quiet hours."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

import pytest

from export_pipelines.notify.quiet import after_quiet_hours
from export_pipelines.notify.routing import exports_of, policy, recipient
from export_pipelines.spec.load import SpecSet
from export_pipelines.spec.recipients import EmailRecipient, QuietHours
from export_pipelines_tests.projects import project

HOOK = {"type": "webhook", "url": "http://127.0.0.1:9/hook"}
NOTIFY = {
    "default": {"failure": ["ops"], "warning": ["ops"], "fold_minutes": 30},
    "org:school": {"failure": ["school"], "success": ["school"], "group_over": 5},
    "team:registrar": {"failure": ["registrar"], "include_statistics": False},
    "team:bursar": {"failure": ["bursar"]},
    "quiet@example.org": {"failure": [], "warning": []},
}
EXPORTS: dict[str, Any] = {
    "plain": {},
    "of_org": {"org": "school"},
    "of_team": {"org": "school", "owners": ["team:registrar"]},
    "of_two_teams": {"owners": ["team:registrar", "team:bursar"]},
    "of_ann": {"owners": ["ann@example.org"]},
    "of_ann_and_team": {"owners": ["ann@example.org", "team:registrar"]},
    "of_somebody_quiet": {"owners": ["quiet@example.org"]},
    "of_unknown_team": {"owners": ["team:nobody"]},
    "own": {"org": "school", "owners": ["team:registrar"], "notify": {"failure": ["bursar"], "fold_minutes": 5}},
    "silent": {"notify": {"failure": [], "warning": []}},
}


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> SpecSet:
    names = ("ops", "school", "registrar", "bursar")
    made = project(tmp_path_factory.mktemp("routing"), EXPORTS, recipients=dict.fromkeys(names, HOOK), notify=NOTIFY)
    return made.specs


@pytest.mark.parametrize(
    ("export", "failure", "warning", "success"),
    [
        ("plain", ["ops"], ["ops"], []),
        ("of_org", ["school"], ["ops"], ["school"]),
        ("of_team", ["registrar"], ["ops"], ["school"]),
        ("of_two_teams", ["registrar", "bursar"], ["ops"], []),
        ("of_ann", ["ann@example.org"], ["ann@example.org"], []),
        ("of_ann_and_team", ["ann@example.org", "registrar"], ["ann@example.org"], []),
        ("of_somebody_quiet", [], [], []),
        ("of_unknown_team", ["ops"], ["ops"], []),
        ("own", ["bursar"], ["ops"], ["school"]),
        ("silent", [], [], []),
        ("not_in_the_specs", ["ops"], ["ops"], []),
        (None, ["ops"], ["ops"], []),
    ],
)
def test_the_narrowest_scope_that_says_something_decides(
    specs: SpecSet, export: str | None, failure: list[str], warning: list[str], success: list[str]
) -> None:
    rules = policy(specs, export)
    assert (rules.to("failure"), rules.to("warning"), rules.to("success")) == (failure, warning, success)


def test_every_field_comes_from_the_narrowest_scope_too(specs: SpecSet) -> None:
    assert (policy(specs, "own").fold_minutes, policy(specs, "plain").fold_minutes) == (5, 30)
    assert (policy(specs, "of_org").group_over, policy(specs, "plain").group_over) == (5, 20)
    assert (policy(specs, "of_team").include_statistics, policy(specs, "plain").include_statistics) == (False, True)
    assert policy(specs, "plain").escalation is None


def test_scopes_know_their_exports(specs: SpecSet) -> None:
    assert exports_of(specs, "default") == sorted(EXPORTS)
    assert exports_of(specs, "org:school") == ["of_org", "of_team", "own"]
    assert exports_of(specs, "team:bursar") == ["of_two_teams"]


def test_an_address_is_a_recipient_and_an_unknown_name_is_none(specs: SpecSet) -> None:
    assert recipient(specs, "ann@example.org") == EmailRecipient(to=["ann@example.org"])
    assert recipient(specs, "nobody") is None


NIGHT = QuietHours(start=time(22), end=time(7), timezone="Europe/Berlin")
NOON = QuietHours(start=time(12), end=time(13), timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("hours", "instant", "expected"),
    [
        (NIGHT, "2026-03-04T20:59:59+00:00", None),
        (NIGHT, "2026-03-04T21:00:00+00:00", "2026-03-05T06:00:00+00:00"),
        (NIGHT, "2026-03-05T02:00:00+00:00", "2026-03-05T06:00:00+00:00"),
        (NIGHT, "2026-03-05T06:00:00+00:00", None),
        (NIGHT, "2026-03-28T23:00:00+00:00", "2026-03-29T05:00:00+00:00"),  # clocks go forward in this night
        (NIGHT, "2026-10-24T22:00:00+00:00", "2026-10-25T06:00:00+00:00"),  # and back in this one
        (NOON, "2026-03-05T11:30:00+00:00", "2026-03-05T12:00:00+00:00"),
        (NOON, "2026-03-05T12:00:00+00:00", None),
    ],
)
def test_quiet_hours_end_when_they_say(hours: QuietHours, instant: str, expected: str | None) -> None:
    at = datetime.fromisoformat(instant)
    assert after_quiet_hours(hours, "warning", at).astimezone(UTC) == (datetime.fromisoformat(expected or instant))
    assert after_quiet_hours(hours, "failure", at) == at
    assert after_quiet_hours(None, "warning", at) == at
