"""Metrics: read by Prometheus' own parser, equal to the ledger, and enough for the dashboard and the alerts."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from export_pipelines.errors import OnEmptySkip, QueryError
from export_pipelines.ledger import pulses, runs, tables
from export_pipelines.monitoring.prometheus import ExportsCollector, text
from export_pipelines.notify.dispatch import dispatch
from export_pipelines.notify.events import Sighting, record
from export_pipelines.project import Project
from export_pipelines_tests.projects import environment, project, write_project

DEPLOY = Path(__file__).parents[2] / "deploy"
DAY = "2026-01-05"
NOTHING = {"datasets": {"n": {"sql": "select * from students where id < 0"}}, "on_empty": "skip"}
BROKEN = {"datasets": {"b": {"sql": "select * from no_such_table"}}}

Values = dict[tuple[str, str, str], float]


def scrape(made: Project) -> Values:
    """(name, export, status or state) -> value."""
    families = text_string_to_metric_families(text(ExportsCollector(lambda: made)).decode())
    samples = [sample for family in families for sample in family.samples]
    return {
        (s.name, s.labels.get("export", ""), s.labels.get("status") or s.labels.get("state") or ""): s.value
        for s in samples
    }


@pytest.fixture
def made(tmp_path: Path) -> Project:
    """A project in which everything has happened once."""
    formats = ["csv", "xlsx"]
    made = project(tmp_path, {"students": {"formats": formats}, "nothing": NOTHING, "broken": BROKEN, "idle": {}})
    for name, error in (("students", None), ("students", None), ("nothing", OnEmptySkip), ("broken", QueryError)):
        request = made.request(name, DAY, run_id=uuid.uuid4().hex)
        if error is None:
            made.run(request)
        else:
            with pytest.raises(error):
                made.run(request)
    runs.start(made.ledger, run_id="r", export="broken", partition=DAY, now=datetime.now(UTC))
    runs.start(made.ledger, run_id="r", export="broken", partition=DAY, now=datetime.now(UTC))
    now = datetime.now(UTC)
    pulses.put(made.ledger, now, observer=None, queued_runs=7, running_runs=2)
    late = {"kind": "late", "export": "idle", "partition": DAY, "happened_at": now, "details": {}}
    failed = {"kind": "failed", "export": "broken", "partition": DAY, "happened_at": now, "details": {"cause": "x"}}
    record(made, [Sighting(key="l", **late), Sighting(key="f", **failed)])
    dispatch(made, now)
    with made.ledger.write() as connection:
        for number, state in enumerate(("pending", "sent", "sent", "failed")):
            values = {"recipient": "ops", "state": state, "created_at": now, "attempts": 1, "next_attempt_at": now}
            connection.execute(tables.messages.insert().values(message_id=str(number), **values))
    return made


def test_values_equal_the_ledger(made: Project) -> None:
    found = scrape(made)
    published = runs.recent(made.ledger, export="students")
    last = published[0]
    for export, status, number in (
        ("students", "published", 2),
        ("students", "failed", 0),
        ("nothing", "skipped", 1),
        ("broken", "failed", 1),
        ("broken", "died", 1),
        ("idle", "published", 0),
    ):
        assert found["exports_runs_total", export, status] == number
    assert found["exports_rows_total", "students", ""] == 8
    assert found["exports_bytes_total", "students", ""] == sum(run.bytes or 0 for run in published)
    assert last.finished_at
    assert found["exports_last_success_timestamp_seconds", "students", ""] == pytest.approx(
        last.finished_at.timestamp()
    )
    assert found["exports_last_duration_seconds", "students", ""] == pytest.approx(last.seconds)
    assert found["exports_last_rows", "students", ""] == 4
    assert found["exports_success_ratio", "students", ""] == 1
    assert found["exports_success_ratio", "broken", ""] == 0
    assert {name for metric, name, _ in found if metric == "exports_late"} == {"students", "nothing", "broken", "idle"}
    assert [name for (metric, name, _), value in found.items() if metric == "exports_late" and value] == ["idle"]
    assert {name for (metric, name, _), value in found.items() if metric == "exports_incident_open" and value} == {
        "idle",
        "broken",
    }
    assert [found["exports_notifications", "", state] for state in ("pending", "sent", "failed", "off")] == [1, 2, 1, 0]
    assert (found["exports_queued_runs", "", ""], found["exports_running_runs", "", ""]) == (7, 2)
    seen = pulses.read(made.ledger)["observer"].at
    assert found["exports_daemon_last_seen_timestamp_seconds", "", ""] == pytest.approx(seen.timestamp())
    assert found["exports_healthy", "", ""] == 0


def test_files_and_disks_are_those_of_the_ledger_and_the_stores(made: Project, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with made.ledger.write() as connection:
        first, second = connection.execute(tables.artifacts.select()).all()
        for row, values in ((first, {"damaged_at": now}), (second, {"verified_at": now - timedelta(days=3)})):
            chosen = update(tables.artifacts).where(tables.artifacts.c.artifact_id == row.artifact_id)
            connection.execute(chosen.values(created_at=now - timedelta(days=2 if row is first else 9), **values))
    found = scrape(made)
    assert (found["exports_artifacts_damaged", "", ""], found["exports_archives_damaged", "", ""]) == (1, 0)
    assert found["exports_longest_unread_seconds", "", ""] == pytest.approx(3 * 86400, abs=60)
    disk = shutil.disk_usage(tmp_path)
    assert found["exports_store_free_bytes", "", ""] == pytest.approx(disk.free, rel=0.2)
    assert 0 <= found["exports_store_free_ratio", "", ""] <= 1


def test_what_is_not_known_is_left_out(made: Project) -> None:
    found = scrape(made)
    assert ("exports_last_rows", "idle", "") not in found
    assert ("exports_success_ratio", "idle", "") not in found


def test_everything_fine_is_healthy_and_without_a_daemon_there_is_no_sign_of_it(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}})
    assert not {metric for metric, _, _ in scrape(made)} & {
        "exports_queued_runs",
        "exports_daemon_last_seen_timestamp_seconds",
    }
    pulses.put(made.ledger, datetime.now(UTC), observer=None)
    assert scrape(made)["exports_healthy", "", ""] == 1


def test_a_counter_never_shrinks_when_a_run_is_repeated_until_it_works(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}})
    before = scrape(made)
    for state in ("failed", "failed", "published"):
        number = runs.start(made.ledger, run_id="one", export="students", partition=DAY, now=datetime.now(UTC))
        runs.finish(made.ledger, number, state, rows=1, bytes=1)
        after = scrape(made)
        counters = [key for key in after if key[0].endswith("_total")]
        assert all(after[key] >= before[key] for key in counters)
        before = after
    assert before["exports_runs_total", "students", "failed"] == 2


def test_the_ratio_forgets_what_is_older_than_a_day(made: Project) -> None:
    with made.ledger.write() as connection:
        old = datetime.now(UTC) - timedelta(hours=25)
        connection.execute(update(tables.runs).where(tables.runs.c.export == "broken").values(started_at=old))
    assert ("exports_success_ratio", "broken", "") not in scrape(made)


def test_a_ledger_that_is_down_is_not_healthy_and_nothing_else_is_said(tmp_path: Path) -> None:
    environ = environment(tmp_path, EXPORT_LEDGER_URL="postgresql://me:secret@127.0.0.1:1/ledger")
    made = Project.load(write_project(tmp_path, {"students": {}}, environ=environ))
    assert scrape(made) == {("exports_healthy", "", ""): 0}


def test_every_metric_explains_itself(made: Project) -> None:
    lines = text(ExportsCollector(lambda: made)).decode().splitlines()
    helped = {line.split()[2]: line.split(maxsplit=3)[3] for line in lines if line.startswith("# HELP")}
    assert set(helped) == {key[0] for key in scrape(made)}
    assert all(len(meaning.split()) > 2 for meaning in helped.values())


def expressions(node: Any) -> Iterator[str]:
    """Every PromQL expression of a dashboard or a file of rules."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("expr", "definition"):
                yield value
            yield from expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value)


DASHBOARD = json.loads((DEPLOY / "grafana" / "exports.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())


@pytest.mark.parametrize("document", [DASHBOARD, ALERTS], ids=["dashboard", "alerts"])
def test_what_is_asked_for_exists(made: Project, document: Any) -> None:
    known = scrape(made)
    names = {key[0] for key in known}
    labels = {"export", "status", "state", "store"}
    found = list(expressions(document))
    assert len(found) >= 5
    for expression in found:
        used = set(re.findall(r"\bexports_[a-z_]+", expression))
        assert used, expression
        assert used <= names, expression
        assert set(re.findall(r"([a-z]+)\s*=~?\s*\"", expression)) <= labels
        for values in re.findall(r'(?:state|status)=~?"([^"]*)"', expression):
            assert set(values.split("|")) <= {key[2] for key in known}


def test_the_dashboard_shows_every_metric_and_no_panel_lies_on_another() -> None:
    shown = set(re.findall(r"\bexports_[a-z_]+", json.dumps(DASHBOARD)))
    assert shown >= {"exports_success_ratio", "exports_late", "exports_runs_total", "exports_last_duration_seconds"}
    assert shown >= {"exports_partitions_missing"}
    assert shown >= {"exports_rows_total", "exports_bytes_total", "exports_queued_runs", "exports_notifications"}
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_alert_says_what_it_is_about() -> None:
    rules = [rule for group in ALERTS["groups"] for rule in group["rules"]]
    assert len(rules) == len({rule["alert"] for rule in rules}) == 9
    assert "exports_partitions_missing > 0" in {rule["expr"] for rule in rules}
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
