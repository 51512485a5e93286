"""A report as one HTML page that needs nothing else: no scripts, no other files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from export_pipelines.ledger.runs import RunRow
from export_pipelines.monitoring.chart import Chart, stacked
from export_pipelines.monitoring.report import FAILURES, Report
from export_pipelines.text import change, counted, duration, first_sentence, percent, printable, size

_DIED = "The process ended without a word: killed, out of memory, or the machine went down"


def render(report: Report) -> str:
    """The page. Whatever texts of the ledger hold is shown as text."""
    environment = Environment(
        loader=PackageLoader("export_pipelines.monitoring"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    zone = ZoneInfo(report.timezone)
    filters: dict[str, Callable[..., Any]] = {
        "size": size,
        "percent": percent,
        "change": change,
        "seconds": lambda value: "–" if value is None else duration(value),
        "number": lambda value: "–" if value is None else f"{value:,.0f}",
        "local": lambda instant: _local(instant, zone),
        "printable": printable,
        "cause": _cause,
        "breakable": lambda name: Markup("_<wbr>").join(name.split("_")),
        "points": lambda value: f"{value:+.1f} points",
    }
    environment.filters.update(filters)
    template = environment.get_template("report.html.j2")
    return template.render(report=report, period=_period(report), charts=_charts(report), most=FAILURES)


def _charts(report: Report) -> list[tuple[str, list[tuple[str, str]], Chart]]:
    """Heading, legend (kind and meaning) and chart."""
    days = report.days
    dates = [day.day for day in days]
    ended = {"ok": [day.succeeded for day in days], "bad": [day.failed for day in days]}
    return [
        (
            "Runs per day",
            [("ok", "succeeded"), ("bad", "failed")],
            stacked(
                dates, ended, shown=_short, hint=lambda i: f"{days[i].succeeded:,} succeeded, {days[i].failed:,} failed"
            ),
        ),
        (
            "Rows per day",
            [],
            stacked(
                dates, {"rows": [day.rows for day in days]}, shown=_short, hint=lambda i: counted(days[i].rows, "row")
            ),
        ),
        (
            "Time spent per day",
            [],
            stacked(
                dates, {"time": [day.seconds for day in days]}, shown=_time, hint=lambda i: duration(days[i].seconds)
            ),
        ),
    ]


def _period(report: Report) -> str:
    """`16 – 22 November 2026`."""
    zone = ZoneInfo(report.timezone)
    first, last = report.since.astimezone(zone).date(), report.until.astimezone(zone).date()
    end = f"{last:%-d %B %Y}"
    if first == last:
        return end
    begin = (
        "%-d"
        if (first.year, first.month) == (last.year, last.month)
        else "%-d %B"
        if first.year == last.year
        else "%-d %B %Y"
    )
    return f"{first:{begin}} – {end}"


def _local(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%a %-d %b, %H:%M}"


def _cause(run: RunRow) -> str:
    """Why a run failed, without what to do about it."""
    if run.state == "died":
        return _DIED
    text = (run.error or "no reason was recorded").removesuffix(run.hint or "").strip()
    return first_sentence(text)


def _short(value: float) -> str:
    """`0`, `120`, `5k`, `1.2M`."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:g}{unit}"
    return f"{value:g}"


def _time(seconds: float) -> str:
    """`0`, `30 s`, `5 min`, `2 h`."""
    for factor, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds:g} s" if seconds else "0"
