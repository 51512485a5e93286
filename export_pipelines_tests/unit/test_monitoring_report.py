"""The report: its figures are those of the statistics, its page needs nothing else and shows hostile text as text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export_pipelines.errors import QueryError
from export_pipelines.ledger import runs
from export_pipelines.monitoring.chart import HEIGHT, stacked
from export_pipelines.monitoring.page import render
from export_pipelines.monitoring.report import make_report, usual_timezone
from export_pipelines.monitoring.stats import total_stats
from export_pipelines.project import Project
from export_pipelines_tests.projects import project

EVIL = '<script>alert("x")</script><img src=http://evil.example/x onerror=alert(1)> \x1b[2J \u202e & "\''
VOID = {"meta", "img", "br", "wbr", "link", "line", "rect"}


class Page(HTMLParser):
    """Tags with their attributes, and the text outside of styles; tags must be closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


@pytest.fixture
def made(tmp_path: Path) -> Project:
    berlin = {"schedule": {"cron": "0 2 * * *", "timezone": "Europe/Berlin"}}
    broken = {"datasets": {"b": {"sql": "select * from no_such_table"}}}
    made = project(tmp_path, {"students": berlin, "grades_of_all_courses": berlin, "broken": broken})
    made.run(made.request("students", "2026-01-05", run_id="one"))
    with pytest.raises(QueryError):
        made.run(made.request("broken", "2026-01-05", run_id="two"))
    return made


def test_the_report_covers_whole_days_of_the_usual_timezone(made: Project) -> None:
    now = datetime.now(UTC)
    report = make_report(made, days=7, now=now)
    assert report.timezone == usual_timezone(made) == "Europe/Berlin"
    assert (report.since.hour, report.since.minute, len(report.days)) == (0, 0, 7)
    assert report.total == replace(total_stats(made.ledger, since=report.since, until=now))
    assert [row.export for row in report.failures] == ["broken"]
    assert [row.export for row in report.slowest] == ["students"]
    assert (report.days[-1].succeeded, report.days[-1].failed, report.days[-1].rows) == (1, 1, 4)
    assert make_report(made, days=1, now=now, timezone="Asia/Tokyo").timezone == "Asia/Tokyo"


def test_the_page_needs_no_other_file_and_no_script(made: Project) -> None:
    html = render(make_report(made, days=30, now=datetime.now(UTC)))
    page = Page(html)
    assert not {"script", "img", "link", "iframe", "object", "a"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?:|//|url\(|@import", html.replace("<!doctype html>", ""))
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        ET.fromstring(svg)
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_the_page_says_what_failed_why_and_what_to_do(made: Project) -> None:
    (failed,) = runs.recent(made.ledger, states=("failed",))
    text = " ".join(Page(render(make_report(made, days=7, now=datetime.now(UTC)))).text.split())
    assert "no such table: no_such_table" in text
    assert failed.hint
    assert failed.hint in text
    assert text.count(failed.hint) == 1
    assert "50.0 %" in text
    assert "The Dagster daemon has never been seen" in text


def test_hostile_text_is_shown_as_text(made: Project) -> None:
    number = runs.start(made.ledger, run_id="evil", export="students", partition=EVIL[:60], now=datetime.now(UTC))
    runs.finish(made.ledger, number, "failed", error=EVIL, hint=EVIL)
    html = render(make_report(made, days=7, now=datetime.now(UTC)))
    page = Page(html)
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert '<script>alert("x")</script>' in page.text
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_an_empty_ledger_makes_a_page_too(tmp_path: Path) -> None:
    made = project(tmp_path, {"students": {}})
    text = Page(render(make_report(made, days=7, now=datetime.now(UTC)))).text
    assert "Nothing ran in this time." in text
    assert "No run failed." in text


@pytest.mark.parametrize(
    ("days", "now", "period"),
    [
        (1, datetime(2026, 3, 10, 12, tzinfo=UTC), "10 March 2026"),
        (7, datetime(2026, 3, 10, 12, tzinfo=UTC), "4 – 10 March 2026"),
        (30, datetime(2026, 3, 10, 12, tzinfo=UTC), "9 February – 10 March 2026"),
        (7, datetime(2026, 1, 2, 12, tzinfo=UTC), "27 December 2025 – 2 January 2026"),
    ],
)
def test_the_heading_names_the_days(tmp_path: Path, days: int, now: datetime, period: str) -> None:
    text = Page(render(make_report(project(tmp_path, {"students": {}}), days=days, now=now))).text
    assert f"{period}, made on" in text


amounts = st.lists(st.integers(0, 10**12) | st.floats(0.001, 1e9), min_size=1, max_size=366)


@given(ok=amounts, bad=amounts)
def test_bars_are_in_proportion_and_stay_inside(ok: list[float], bad: list[float]) -> None:
    length = min(len(ok), len(bad))
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(length)]
    chart = stacked(days, {"ok": ok[:length], "bad": bad[:length]}, shown=str, hint=str)
    totals = [one + other for one, other in zip(ok, bad, strict=False)]
    heights = [sum(bar.height for bar in day.bars) for day in chart.days]
    assert max(heights) <= HEIGHT + 0.02
    assert max(heights) >= HEIGHT / 2 or not max(totals)
    highest = max(totals)
    if highest:
        assert heights == pytest.approx([max(heights) * total / highest for total in totals], abs=0.05)
    right = [bar.left + bar.width for day in chart.days for bar in day.bars]
    assert all(edge <= 100.001 for edge in right)
    assert sum(bool(day.label) for day in chart.days) <= 7
    assert chart.days[-1].label
