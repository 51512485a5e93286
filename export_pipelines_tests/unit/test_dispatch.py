"""Who is told, when, and in how many messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from export_pipelines.notify import incidents, outbox
from export_pipelines.notify.dispatch import dispatch, escalate_old
from export_pipelines.notify.events import Sighting, record
from export_pipelines.notify.kinds import Kind
from export_pipelines.notify.message import Message
from export_pipelines.project import Project
from export_pipelines_tests.projects import project

BEGIN = datetime(2026, 3, 4, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOOK = {"type": "webhook", "url": "http://127.0.0.1:9/hook"}


class World:
    """A project whose clock is set by the test."""

    def __init__(self, root: Path, notify: dict[str, Any], recipients: dict[str, Any] | None = None) -> None:
        names = ("ops", "boss", "partner")
        given = dict.fromkeys(names, HOOK) | (recipients or {})
        entries = {name: {"owners": ["team:registrar"], "org": "school"} for name in ("students", "grades")}
        self.project: Project = project(root, entries, recipients=given, notify=notify)
        self.now = BEGIN
        self._number = 0

    def see(self, kind: Kind, export: str | None = "students", partition: str = "2026-03-03", **details: Any) -> None:
        """Something happens now."""
        self._number += 1
        level = details.pop("level", None)
        record(
            self.project,
            [
                Sighting(
                    key=f"{kind}:{self._number}",
                    kind=kind,
                    level=level,
                    happened_at=self.now,
                    export=export,
                    partition=partition,
                    details=details,
                )
            ],
        )

    def fail(self, export: str = "students", **more: Any) -> None:
        self.see("failed", export, cause="disk full", **more)

    def after(self, minutes: float) -> list[Message]:
        """Let time pass, route what was seen; the messages made then."""
        self.now += minutes * MINUTE
        dispatch(self.project, self.now)
        made = outbox.pending(self.project.ledger, self.now, limit=1000)
        fresh = [message for message in made if message.created_at == self.now]
        return sorted(fresh, key=lambda message: (message.recipient, message.events[0].id))


def kinds(messages: list[Message]) -> list[tuple[str, list[str]]]:
    return [(message.recipient, [event.kind for event in message.events]) for message in messages]


def test_a_failure_goes_to_those_who_hear_of_failures(tmp_path: Path) -> None:
    world = World(tmp_path, {"default": {"failure": ["ops", "boss", "ops"], "success": ["partner"]}})
    world.fail()
    assert kinds(world.after(0)) == [("boss", ["failed"]), ("ops", ["failed"])]
    world.see("succeeded", "grades")
    assert kinds(world.after(1)) == [("partner", ["succeeded"])]


def test_the_same_thing_seen_twice_is_told_once(tmp_path: Path) -> None:
    world = World(tmp_path, {"default": {"failure": ["ops"]}})
    for _ in range(3):
        world._number = 0
        world.fail()
    assert kinds(world.after(0)) == [("ops", ["failed"])]
    assert kinds(world.after(600)) == []


def test_fifty_failures_in_an_hour_make_at_most_three_messages(tmp_path: Path) -> None:
    world = World(tmp_path, {"default": {"failure": ["ops"]}})
    made: list[Message] = []
    for _ in range(50):
        world.fail()
        made += world.after(1.2)
    made += world.after(60)
    assert len(made) <= 3
    assert [len(message.events) for message in made] == [1, 49]
    assert [message.events[-1].details["failures"] for message in made] == [1, 50]
    assert {message.events[-1].details["since"] for message in made} == {BEGIN.isoformat()}


def test_that_a_partition_is_given_up_comes_with_its_last_failure(tmp_path: Path) -> None:
    world = World(tmp_path, {"default": {"failure": ["ops"]}})
    made: list[Message] = []
    for minutes in (0, 10, 60):
        made += world.after(minutes)
        world.fail()
    world.see("given_up", cause="disk full", attempts=3)
    made += world.after(120)
    made += world.after(120)
    assert kinds(made) == [("ops", ["failed"]), ("ops", ["failed"]), ("ops", ["failed", "given_up"])]
    (incident,) = incidents.all_open(world.project.ledger)
    assert incident.failures == 3


def test_a_partition_that_is_given_up_without_a_failure_is_told_at_once(tmp_path: Path) -> None:
    world = World(tmp_path, {"default": {"failure": ["ops"]}})
    world.see("given_up", cause="its run was canceled", attempts=3)
    assert kinds(world.after(0)) == [("ops", ["given_up"])]


def test_a_flapping_export_makes_at_most_three_messages_an_hour(tmp_path: Path) -> None:
    world = World(tmp_path, {"default": {"failure": ["ops"]}})
    made: list[Message] = []
    for _ in range(25):
        world.fail()
        made += world.after(1)
        world.see("succeeded")
        made += world.after(1)
    made += world.after(60)
    assert len(made) == 3
    events = [event.kind for message in made for event in message.events]
    assert (events.count("failed"), events.count("recovered")) == (25, 25)


def test_a_recovery_is_told_at_once_to_whoever_heard_of_the_failure(tmp_path: Path) -> None:
    world = World(tmp_path, {"default": {"failure": ["ops"], "escalation": {"to": ["boss"], "after_failures": 2}}})
    world.fail()
    assert kinds(world.after(1)) == [("ops", ["failed"])]
    world.fail()
    assert kinds(world.after(1)) == [("boss", ["escalated"])]
    world.see("succeeded", artifact_id="a1")
    recovered = world.after(1)
    assert kinds(recovered) == [("boss", ["recovered"]), ("ops", ["failed", "recovered"])]
    told = recovered[0].events[0].details
    assert (told["failures"], told["since"], told["missing"], told["artifact_id"]) == (2, BEGIN.isoformat(), [], "a1")
    assert incidents.all_open(world.project.ledger) == []


def test_an_old_backfill_ends_no_incident_and_a_later_partition_tells_what_is_missing(tmp_path: Path) -> None:
    world = World(tmp_path, {"default": {"failure": ["ops"]}})
    world.fail()
    world.after(1)
    world.see("succeeded", partition="2026-01-01")
    assert world.after(1) == []
    assert len(incidents.all_open(world.project.ledger)) == 1
    world.see("succeeded", partition="2026-03-04")
    (message,) = world.after(1)
    assert message.events[-1].details["missing"] == ["2026-03-03"]


def test_an_incident_escalates_once_when_it_is_old(tmp_path: Path) -> None:
    world = World(tmp_path, {"default": {"failure": ["ops"], "escalation": {"to": ["boss"], "after_hours": 2}}})
    world.fail()
    world.after(0)
    for minutes, expected in ((60, []), (59, []), (2, [("boss", ["escalated"])]), (300, [])):
        world.now += minutes * MINUTE
        escalate_old(world.project, world.now)
        assert kinds(world.after(0)) == expected, minutes


def test_many_exports_that_fail_together_share_a_message(tmp_path: Path) -> None:
    world = World(tmp_path, {"default": {"failure": ["ops"], "group_over": 3}})
    for name in ("a", "b", "c"):
        world.fail(name)
    assert [len(message.events) for message in world.after(0)] == [1, 1, 1]
    for name in ("d", "e", "f", "g"):
        world.fail(name)
    assert [len(message.events) for message in world.after(1)] == [4]


def test_a_backfill_that_succeeds_is_one_message(tmp_path: Path) -> None:
    world = World(tmp_path, {"default": {"success": ["partner"], "group_over": 3}})
    for day in range(1, 6):
        world.see("succeeded", partition=f"2026-02-0{day}", artifact_id=f"a{day}")
    (message,) = world.after(0)
    assert [event.partition for event in message.events] == [f"2026-02-0{day}" for day in range(1, 6)]


def test_quiet_hours_hold_what_they_say(tmp_path: Path) -> None:
    quiet = {"start": "11:00", "end": "14:00", "timezone": "Europe/London"}
    world = World(
        tmp_path, {"default": {"failure": ["ops"], "warning": ["ops"]}}, {"ops": {**HOOK, "quiet_hours": quiet}}
    )
    world.see("empty")
    world.fail()
    assert kinds(world.after(0)) == [("ops", ["failed"])]
    assert kinds(world.after(119)) == []
    assert kinds(world.after(1)) == [("ops", ["empty"])]


def test_email_that_is_switched_off_is_recorded_and_not_sent(tmp_path: Path) -> None:
    world = World(tmp_path, {"default": {"failure": ["ann@example.org", "ops"]}})
    world.fail()
    assert kinds(world.after(0)) == [("ops", ["failed"])]
    states = {row.recipient: row.state for row in outbox.recent(world.project.ledger, limit=10)}
    assert states == {"ann@example.org": "off", "ops": "pending"}


def test_failed_ticks_fold_by_schedule(tmp_path: Path) -> None:
    world = World(tmp_path, {"default": {"failure": ["ops"]}})
    for what in ("schedule a", "schedule b", "schedule a"):
        world.see("tick_failed", None, what=what, cause="boom")
    assert [len(message.events) for message in world.after(0)] == [2, 1]
    world.see("tick_failed", None, what="schedule a", cause="boom")
    assert world.after(1) == []


def test_nobody_to_tell_is_no_error(tmp_path: Path) -> None:
    world = World(tmp_path, {})
    world.fail()
    assert world.after(0) == []
    assert len(incidents.all_open(world.project.ledger)) == 1


@pytest.mark.parametrize("blocking", [True, False])
def test_only_a_blocking_check_opens_an_incident(tmp_path: Path, blocking: bool) -> None:
    world = World(tmp_path, {"default": {"failure": ["ops"], "warning": ["partner"]}})
    level = "failure" if blocking else "warning"
    world.see("check_failed", level=level, blocking=blocking, check="rows", cause="3 rows, at least 10 expected")
    assert kinds(world.after(0)) == [("ops" if blocking else "partner", ["check_failed"])]
    assert len(incidents.all_open(world.project.ledger)) == int(blocking)
