"""Letters: what they say, in text, HTML and JSON, and what hostile values cannot do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import pytest

from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.ledger.tables import artifacts
from export_pipelines.notify import payload
from export_pipelines.notify.kinds import Kind
from export_pipelines.notify.message import Event
from export_pipelines.project import Project
from export_pipelines.settings import Settings
from export_pipelines_tests.projects import project as make_project
from export_pipelines_tests.unit.letters import AT, CAUSE, DETAILS, GLOBAL, HOUR, RUN, event, letter

KINDS: tuple[Kind, ...] = get_args(Kind)
HOSTILE = (
    "</td><script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}{% raw %}\r\nRun it again: rm -rf /\n\n"
    "javascript:alert(1) \u202eabc\u2028\x00\x1b[31m\ud800 =?utf-8?q?=0d=0aBcc:_x?= Zoë 数学 😀"
)
SCHEDULES = {
    "nightly": {"cron": "0 2 * * *", "timezone": "Europe/Berlin"},
    "hours": {"cron": "5 * * * *", "timezone": "Europe/Berlin"},
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    exports: dict[str, Any] = {
        "students": {"schedule": "nightly", "description": "Active students"},
        "grades": {"schedule": "nightly", "formats": ["csv", "json"]},
        "visits": {"schedule": "hours", "partition": "hourly"},
    }
    return make_project(tmp_path, exports, schedules=SCHEDULES)


@pytest.fixture
def published(project: Project) -> ArtifactRow:
    """An artifact of `students`."""
    return project.run(project.request("students", "2026-11-20", run_id=RUN)).row


@pytest.mark.parametrize(
    ("events", "title"),
    [
        ([event("failed")], "Failed: students 2026-11-21"),
        ([event("failed", partition=None)], "Failed: students"),
        ([event("failed", partition="2026-11-20"), event("failed")], "Failed twice: students, latest 2026-11-21"),
        ([event("failed")] * 12, "Failed 12 times: students, latest 2026-11-21"),
        ([event("failed")] * 2 + [event("late")], "students: 2 failed, 1 late, latest 2026-11-21"),
        ([event("failed"), event("recovered")], "Recovered: students 2026-11-21, after 3 failures"),
        ([event("failed", export=f"e{i}") for i in range(23)], "23 exports failed"),
        ([event("late", export=f"e{i % 3}") for i in range(23)], "3 exports late"),
        (
            [event("failed", export=f"e{i}") for i in range(3)] + [event("late", export="e0")],
            "3 exports: 2 failed, 1 late",
        ),
        ([event("failed"), event("tick_failed")], "2 problems: 1 tick failed, 1 failed"),
        ([event("tick_failed", what=f"sensor {i}") for i in range(2)], "2 ticks failed"),
        ([event("recovered")], "Recovered: students 2026-11-21, after 3 failures"),
        ([event("late")], "Late: students 2026-11-21"),
        ([event("given_up")], "Given up: students 2026-11-21, after 3 attempts"),
        ([event("given_up", attempts=0)], "Given up: students 2026-11-21"),
        ([event("check_failed")], "Check failed: students 2026-11-21, rows"),
        ([event("escalated")], "Escalated: students 2026-11-21, failing since 2026-11-20 00:10 CET"),
        ([event("quarantined", partition=None)], "Quarantined: students, 1 mistake"),
        ([event("quarantined", export=None, partition=None)], "Quarantined: 1 mistake"),
        ([event("tick_failed")], "Tick failed: schedule nightly"),
        ([event("job_failed", run_id=RUN)], "Job failed: retention"),
        ([event("job_failed", run_id=RUN)] * 2, "Job failed twice: retention"),
        ([event("job_failed", what=what) for what in ("retention", "verify")], "2 jobs failed"),
        ([event("damaged")], "Damaged: students 2026-11-21"),
        ([event("interrupted")], "Interrupted: students 2026-11-21"),
        ([event("succeeded")], "Succeeded: students 2026-11-21"),
        ([event("cleanup")], "Cleanup: 24 artifacts deleted, 1.2 GB, 1 error"),
        ([event("cleanup", deleted=1, bytes=10, errors=[])] * 2, "Cleanup: 2 artifacts deleted, 20 B"),
        ([event("cleanup", deleted=0, errors=[])], "Cleanup: nothing deleted"),
        ([event("test")], "Test: notifications reach you"),
    ],
)
def test_titles(project: Project, events: list[Event], title: str) -> None:
    assert letter(project, *events).title == title


def test_a_failure_in_text(project: Project, published: ArtifactRow) -> None:
    found = letter(project, event("failed", since=(AT - 26 * HOUR).isoformat(), failures=3, cause=f"{CAUSE}, " * 3))
    directory = project.store("local").uri(published.directory)
    created = published.manifest.created_at.astimezone(
        project.request("students", "2026-11-20", run_id="x").window.start.tzinfo
    )
    assert (
        found.text
        == f"""\
Failed: students 2026-11-21
===========================

Export:        students - Active students
Partition:     2026-11-21
Since:         2026-11-20 00:10 CET (2026-11-19 23:10 UTC), 3 failures in a
               row
Latest:        2026-11-21 02:10 CET (01:10 UTC)
Cause:         connection 'school': the server does not answer, connection
               'school': the server does not answer, connection 'school': the
               server does not answer,
What to do:    Check the host
Run it again:  exports run students --partition 2026-11-21
Last good:     2026-11-20, 4 rows, created {created:%Y-%m-%d %H:%M %Z}
               {directory}

Run:    http://127.0.0.1:3000/runs/{RUN}
Asset:  http://127.0.0.1:3000/assets/exports/students?partition=2026-11-21

{"-" * 78}
Failure notification of export_pipelines for ops
"""
    )


def test_links_lead_to_where_dagster_is(project: Project) -> None:
    elsewhere = Project(
        Settings({**project.settings.variables, "EXPORT_DAGSTER_URL": "https://d.example.org/x/"}), project.specs
    )
    key = "2026-10-25-02:00+0100"
    found = letter(elsewhere, event("failed", export="visits", partition=key))
    assert found.data["links"] == {
        "run": f"https://d.example.org/x/runs/{RUN}",
        "asset": "https://d.example.org/x/assets/exports/visits?partition=2026-10-25-02%3A00%2B0100",
    }
    assert all(url in found.text and f'href="{url}"' in found.html for url in found.data["links"].values())
    assert found.data["command"] == f"exports run visits --partition {key}"


def test_without_a_run_there_is_no_link_to_it(project: Project) -> None:
    found = letter(project, event("late", run_id=None))
    assert found.data["links"]["run"] is None
    assert "/runs/" not in found.text + found.html
    assert found.data["events"][0]["run_id"] is None


def test_folded_events_are_counted_by_partition_and_cut(project: Project) -> None:
    events = [
        event(
            "failed", partition=f"2026-10-{1 + number // 2:02}", at=AT + timedelta(minutes=number), failures=number + 2
        )
        for number in range(46)
    ]
    events[-1] = event("failed", partition="2026-10-23", at=AT + HOUR, failures=47, cause="the disk is full")
    found = letter(project, *events)
    assert found.title == "Failed 46 times: students, latest 2026-10-23"
    assert "46 more failures of students since 2026-11-21 02:10 CET (01:10 UTC)." in found.text
    assert found.text.count("  2 failed\n") == 20
    assert "All 46, by partition" in found.text
    assert "\nand 3 more\n" in found.text
    assert "and 3 more" in found.html
    assert f"    {CAUSE}" in found.text  # below partitions that failed of something else
    assert found.data["counts"] == {"events": 46, "exports": 1, "kinds": {"failed": 46}}
    assert (len(found.data["events"]), len(found.data["partitions"])) == (46, 23)


def test_many_exports_are_a_table_by_cause(project: Project) -> None:
    events = [event("failed", export=f"export_{number:02}") for number in range(30)]
    events += [event("failed", export="export_00", partition="2026-11-22", cause="the disk is full", at=AT + HOUR)]
    found = letter(project, *events)
    assert "31 events between 2026-11-21 01:10 UTC and 2026-11-21 02:10 UTC." in found.text
    assert f"29 of 30\n    {CAUSE}\n" in found.text
    assert (
        "1 of 30\n    the disk is full\n\nExport     Partition\n---------  ---------------\nexport_00  2026-11-22 (+1)"
        in found.text
    )
    assert "\nand 9 more\n" in found.text
    assert found.data["counts"] == {"events": 31, "exports": 30, "kinds": {"failed": 31}}
    assert found.data["exports"] == [f"export_{number:02}" for number in range(30)]


def test_many_exports_with_many_causes_are_one_table(project: Project) -> None:
    events = [event("failed", export=f"export_{number:02}", cause=f"cause {number}") for number in range(60)]
    found = letter(project, *events)
    assert "export_49  2026-11-21\n    cause 49\n" in found.text
    assert "export_50" not in found.text
    assert "and 10 more" in found.text
    assert "and 10 more" in found.html


def test_thousands_of_events_make_a_letter_of_reasonable_size(project: Project) -> None:
    events = [event("failed", export=f"export_{number:05}", cause=f"{CAUSE} {number}") for number in range(3000)]
    found = letter(project, *events)
    assert found.title == "3,000 exports failed"
    assert (len(found.text), len(found.html)) < (20_000, 100_000)
    assert found.data["counts"]["events"] == 3000
    assert [item["export"] for item in found.data["events"]] == [f"export_{number:05}" for number in range(2000, 3000)]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (
            event("late"),
            ["Schedule:      nightly, tick of 2026-11-21 02:10 CET", "Due at:        2026-11-21 03:10 CET"],
        ),
        (event("check_failed"), ["Check:         rows (blocking: the run failed)", "3 rows, at least 10 expected"]),
        (event("check_failed", blocking=False), ["rows (not blocking: the run went on)"]),
        (event("interrupted"), ["Repeated:   yes, by itself"]),
        (event("interrupted", will_retry=False), ["Repeated:      no", "Run it again:  exports run students"]),
        (event("escalated"), ["12 failures in", "agree on who does"]),
        (event("quarantined"), ["List mistakes:  exports check", "specs/a.yaml:3 exports.students: is wrong"]),
        (event("damaged"), ["File:          2026-11-20/students/students.csv", "exports verify"]),
        (
            event("given_up"),
            ["Given up: students 2026-11-21, after 3 attempts", "3, and no further one", "exports run students"],
        ),
        (event("tick_failed"), ["What:        schedule nightly", "under Automation"]),
        (event("job_failed", run_id=RUN), ["Job:         retention", "remove the cause", f"/runs/{RUN}"]),
        (event("skipped"), ["Reason:     no rows, and `on_empty` is skip"]),
        (event("recovered"), ["Failed since:   2026-11-21 01:10 CET (00:10 UTC), 3 failures in a row"]),
        (event("recovered"), ["Produce it:     exports run students --partition 2026-11-19"]),
        (
            event("recovered", missing=[f"2026-10-{day:02}" for day in range(1, 26)]),
            ["25 partitions", "exports run students --from 2026-10-01 --to 2026-10-25", "\nand 5 more\n"],
        ),
        (event("cleanup"), ["Deleted:   24 artifacts, 1.2 GB", "Archived:  3", "Kept:      412", "Errors\n\nx\n"]),
        (event("test"), ["Recipient:  ops", "This is a test."]),
    ],
)
def test_each_kind_says_what_is_particular(project: Project, given: Event, shown: list[str]) -> None:
    found = letter(project, given)
    for text in shown:
        assert text in found.text
    words = re.findall(r"\w+", " ".join(shown[0].partition(":")[2].split()))
    assert all(word in found.html for word in words)


@pytest.mark.parametrize("kind", ["succeeded", "skipped", "recovered"])
def test_what_is_well_needs_no_remedy(project: Project, kind: Kind) -> None:
    found = letter(project, event(kind, missing=[]))
    assert "What to do" not in found.text
    assert "Run it again" not in found.text
    assert (found.data["advice"], found.data["command"]) == (None, None)


class Elements(HTMLParser):
    """Tags with the names of their attributes, in order, and all URLs."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []
        self.urls: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, *(name for name, _ in attrs)))
        self.urls += [value or "" for name, value in attrs if name in ("href", "src")]


def hostile(value: Any) -> Any:
    if isinstance(value, str):
        return f"{value} {HOSTILE}"
    if isinstance(value, dict):
        return {key: hostile(item) for key, item in value.items()}
    return [hostile(item) for item in value] if isinstance(value, list) else value


def shaped(kind: Kind, shape: str, change: Callable[[Any], Any]) -> list[Event]:
    """Events of the kind with every text changed: one, several of one export, or of two exports."""
    times = ("since", "until", "tick", "due_at", "timezone")
    details = {name: value if name in times else change(value) for name, value in DETAILS[kind].items()}
    about = {} if kind in GLOBAL else {"export": change("students"), "partition": change("2026-11-21")}
    first = event(kind, **{**about, "run_id": change(RUN), **details})
    if shape == "grouped":
        other = {"what": change("sensor x")} if kind in ("tick_failed", "job_failed") else {"export": change("grades")}
        return [first, event(kind, **{**about, **details, **other})]
    return [first] * (3 if shape == "folded" else 1)


@pytest.mark.parametrize("shape", ["one", "folded", "grouped"])
@pytest.mark.parametrize("kind", KINDS)
def test_hostile_values_are_text(project: Project, kind: Kind, shape: str) -> None:
    harmless = letter(project, *shaped(kind, shape, lambda value: value))
    bad = letter(project, *shaped(kind, shape, hostile))
    elements = Elements(bad.html)
    assert elements.found == Elements(harmless.html).found
    assert all(re.fullmatch(r"http://127\.0\.0\.1:3000/[\w/?=%~.-]+", url) for url in elements.urls)
    assert bad.title.isprintable()
    assert len(bad.title) <= 200
    assert not re.search(r"^Run it again: +rm", bad.text, re.MULTILINE)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e\ud800-\udfff]", bad.text + bad.html)
    assert json.loads(json.dumps(bad.data)) == bad.data
    json.dumps(bad.data, ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize("kind", KINDS)
def test_text_keeps_to_78_columns(project: Project, kind: Kind) -> None:
    events = [event(kind), event(kind, at=AT + HOUR, cause="a long cause with many words " * 20)]
    for number in (1, 2):
        lines = letter(project, *events[-number:]).text.splitlines()
        assert [line for line in lines if len(line) > 78 and "http://" not in line] == []


def test_numbers_that_json_does_not_have(project: Project) -> None:
    found = letter(project, event("failed", ratio=float("nan"), most=float("inf"), deep=[{"x": float("-inf")}]))
    details = found.data["events"][0]["details"]
    assert (details["ratio"], details["most"], details["deep"]) == (None, None, [{"x": None}])


class TestArtifacts:
    def test_files_and_statistics_as_asked(self, project: Project) -> None:
        done = project.run(project.request("grades", "2026-11-20", run_id=RUN)).row.manifest
        for files in (True, False):
            for statistics in (True, False):
                given = event("succeeded", export="grades", partition="2026-11-20", artifact_id=done.artifact_id)
                found = letter(project, given, files=files, statistics=statistics)
                for entry in done.files:
                    assert (f"SHA-256 {entry.sha256}" in found.text) is files
                    assert (entry.sha256 in found.html) is files
                listed = [file["sha256"] for file in found.data["artifact"]["files"]]
                assert listed == ([entry.sha256 for entry in done.files] if files else [])
                assert ("Speed:" in found.text) is statistics
                assert (found.data["statistics"] is not None) is statistics
                assert found.data["artifact"]["rows"] == done.total_rows == 4

    def test_statistics_are_compared_with_the_week_before(self, project: Project) -> None:
        for rows in (1, 3):
            request = project.request("students", "2026-11-19", run_id=f"run-{rows}", row_limit=rows)
            project.run(request)
        done = project.run(project.request("students", "2026-11-20", run_id=RUN)).row.manifest
        found = letter(project, event("succeeded", artifact_id=done.artifact_id))
        assert found.data["statistics"]["rows"] == 4
        assert found.data["statistics"]["mean_rows"] == 2
        assert found.data["statistics"]["mean_seconds"] > 0
        assert re.search(r"^Rows: +4 \(\+100 %; mean of 7 days: 2\)$", found.text, re.MULTILINE)

    def test_a_correction_says_what_it_corrects(self, project: Project, published: ArtifactRow) -> None:
        first = published.manifest
        again = project.run(project.request("students", first.partition, run_id="again")).row.manifest
        told = [letter(project, event("succeeded", artifact_id=one.artifact_id)) for one in (first, again)]
        assert [found.data["artifact"]["corrects"] for found in told] == [None, first.artifact_id]
        assert "Correction" not in told[0].text + told[0].html
        assert re.search(rf"^Correction: +of artifact {first.artifact_id[:8]}$", told[1].text, re.MULTILINE)
        assert f"of artifact {first.artifact_id[:8]}" in told[1].html

    def test_the_first_run_is_compared_with_nothing(self, project: Project, published: ArtifactRow) -> None:
        found = letter(project, event("succeeded", artifact_id=published.manifest.artifact_id))
        assert re.search(r"^Rows: +4$", found.text, re.MULTILINE)
        assert found.data["statistics"]["mean_rows"] is None

    def test_the_last_good_artifact_is_neither_a_sample_nor_objected_to(
        self, project: Project, published: ArtifactRow
    ) -> None:
        project.run(project.request("students", "2026-11-21", run_id="sample", row_limit=1))
        bad = project.run(project.request("students", "2026-11-22", run_id="bad")).row.manifest.artifact_id
        with project.ledger.write() as connection:
            connection.execute(artifacts.update().where(artifacts.c.artifact_id == bad).values(good=False))
        found = letter(project, event("check_failed", artifact_id=bad))
        assert found.data["last_good"]["artifact_id"] == published.manifest.artifact_id
        assert found.data["artifact"]["artifact_id"] == bad
        assert "Last good:     2026-11-20, 4 rows" in found.text

    def test_an_artifact_is_not_shown_twice(self, project: Project, published: ArtifactRow) -> None:
        given = event("check_failed", blocking=False, artifact_id=published.manifest.artifact_id)
        found = letter(project, given)
        assert found.data["artifact"]["artifact_id"] == published.manifest.artifact_id
        assert found.data["last_good"] is None
        assert "Last good" not in found.text

    def test_what_is_no_longer_there_is_left_out(self, project: Project, published: ArtifactRow) -> None:
        gone = letter(project, event("succeeded", export="gone", artifact_id="b" * 32))
        assert (gone.data["artifact"], gone.data["statistics"]) == (None, None)
        with project.ledger.write() as connection:
            connection.execute(artifacts.update().values(store="elsewhere"))
        moved = letter(project, event("failed"))
        assert moved.data["last_good"]["directory"] == f"elsewhere:{published.directory}"
        with project.ledger.write() as connection:
            connection.execute(artifacts.update().values(manifest="{}"))
        assert letter(project, event("failed")).data["last_good"] is None


def test_the_documented_fields_are_those_that_are_sent(project: Project, published: ArtifactRow) -> None:
    text = payload.__doc__ or ""
    fields = [name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    found = letter(project, event("check_failed", artifact_id=published.manifest.artifact_id))
    assert list(found.data) == fields
    paragraphs = {part.split(" has ")[0].split()[-1]: part for part in text.split("\n\n") if " has `" in part}
    for name, data in (("artifact", found.data["artifact"]), ("event", found.data["events"][0])):
        documented = set(re.findall(r"`(\w+)`", paragraphs[name]))
        assert set(data) <= documented
    assert set(found.data["artifact"]["files"][0]) <= set(re.findall(r"`(\w+)`", paragraphs["artifact"]))
