"""What a letter shows, part by part: labelled lines, tables, bars. Templates decide how the parts look."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from export_pipelines.notify.facts import ArtifactFacts, EventFacts, Statistics
from export_pipelines.notify.kinds import Kind
from export_pipelines.notify.words import WORDS
from export_pipelines.text import change, counted, duration, size

Form = Literal["text", "code", "link"]

LISTED = 20
"""Lines of a list, at most; the rest is counted."""


@dataclass(frozen=True)
class Line:
    """A label and a value: text, something to type, or a link."""

    label: str
    value: str
    form: Form = "text"


@dataclass(frozen=True)
class Row:
    """Cells of a table, and what stands below them over the whole width."""

    cells: Sequence[str]
    below: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table; headings that begin with `>` are over numbers, which are aligned right."""

    title: str
    note: str = ""
    """Stands below the title."""
    headings: Sequence[str]
    rows: Sequence[Row]
    more: int = 0
    """Rows that were left out."""


@dataclass(frozen=True)
class Bar:
    """A day of the chart; shares are per cent of the longest bar."""

    label: str
    succeeded: int
    failed: int
    succeeded_share: int
    failed_share: int


@dataclass(frozen=True, kw_only=True)
class Content:
    """The parts of a letter, in the order in which they are read."""

    intro: str = ""
    lines: Sequence[Line] = ()
    bars: Sequence[Bar] = ()
    tables: Sequence[Table] = ()
    links: Sequence[Line] = field(default=())


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was looked up for the event that a letter is mainly about."""

    description: str = ""
    artifact: ArtifactFacts | None = None
    """What the event's run published."""
    last_good: ArtifactFacts | None = None
    statistics: Statistics | None = None


def table(title: str, headings: Sequence[str], rows: Sequence[Row], *, note: str = "", longest: int = LISTED) -> Table:
    """The table, cut to its longest."""
    return Table(title=title, note=note, headings=headings, rows=rows[:longest], more=max(0, len(rows) - longest))


def event_content(event: EventFacts, findings: Findings) -> Content:
    """The parts of a letter about one event."""
    lines = [
        Line("Export", " - ".join(filter(None, (event.export, findings.description)))),
        Line("Partition", event.partition or ""),
        *_when(event),
        *_EXTRA.get(event.kind, _nothing)(event),
        Line("Reason" if event.kind == "skipped" else "Cause", event.cause or event.text("reason")),
        *remedy(event),
        *_correction(findings.artifact),
        *_artifact_lines("Files in", findings.artifact),
        *_statistics(findings.statistics),
        *_artifact_lines("Last good", findings.last_good, described=True),
    ]
    return Content(
        lines=[line for line in lines if line.value],
        tables=[*_lists(event), *_files(findings.artifact)],
        links=links(event),
    )


def remedy(event: EventFacts) -> list[Line]:
    """What to do, and what to type."""
    label = "List mistakes" if event.kind == "quarantined" else "Run it again"
    return [line for line in (Line("What to do", advice(event)), Line(label, command(event), "code")) if line.value]


def advice(event: EventFacts) -> str:
    """What to do about it; "" if nothing."""
    return "" if _is_settled(event) else event.advice or WORDS[event.kind].advice


def command(event: EventFacts) -> str:
    """What to type to do it; "" if there is nothing to be typed."""
    if event.kind == "quarantined":
        return "exports check"
    return "" if _is_settled(event) else event.command


def _is_settled(event: EventFacts) -> bool:
    return event.kind in ("succeeded", "skipped", "recovered") or bool(event.details.get("will_retry"))


def links(event: EventFacts) -> list[Line]:
    """Where to look in the Dagster UI."""
    found = [Line("Run", event.run_url, "link")]
    if event.kind != "quarantined":  # there is no such asset
        found.append(Line("Asset", event.asset_url, "link"))
    return [line for line in found if line.value]


def bars(days: Sequence[tuple[str, int, int]]) -> list[Bar]:
    """One bar for each (label, succeeded, failed); the longest has 100 per cent, and no part is too small."""
    longest = max((succeeded + failed for _, succeeded, failed in days), default=0) or 1
    found = []
    for label, succeeded, failed in days:
        share = -(-100 * failed // longest)
        found.append(Bar(label, succeeded, failed, min(-(-100 * succeeded // longest), 100 - share), share))
    return found


def _when(event: EventFacts) -> list[Line]:
    if event.since.instant == event.at.instant and event.failures < 2:
        return [] if event.kind == "late" else [Line("When", event.at.both)]
    failures = f", {counted(event.failures, 'failure')} in a row" if event.failures > 1 else ""
    if event.kind == "recovered":
        return [Line("Failed since", f"{event.since.both}{failures}"), Line("Works since", event.at.both)]
    return [Line("Since", f"{event.since.both}{failures}"), Line("Latest", event.at.both)]


def _nothing(_event: EventFacts) -> list[Line]:
    return []


def _late(event: EventFacts) -> list[Line]:
    tick, due = event.moment("tick"), event.moment("due_at")
    schedule = event.text("schedule") + (f", tick of {tick.both}" if tick else "")
    return [Line("Schedule", schedule), Line("Due at", due.both if due else "")]


def _check(event: EventFacts) -> list[Line]:
    blocking = "blocking: the run failed" if event.details.get("blocking") else "not blocking: the run went on"
    return [Line("Check", f"{event.text('check')} ({blocking})")]


def _interrupted(event: EventFacts) -> list[Line]:
    again = event.details.get("will_retry")
    return [Line("Repeated", "yes, by itself: nothing needs to be done" if again else "no")]


def _damaged(event: EventFacts) -> list[Line]:
    return [Line("Store", event.text("store")), Line("File", event.text("path"))]


def _recovered(event: EventFacts) -> list[Line]:
    missing = sorted(event.texts("missing"))
    if not missing or not event.export:
        return []
    keys = [shlex.quote(key) for key in (missing[0], missing[-1])]
    span = f"--from {keys[0]} --to {keys[1]}" if len(missing) > 1 else f"--partition {keys[0]}"
    return [
        Line("Still missing", missing[0] if len(missing) == 1 else counted(len(missing), "partition")),
        Line(
            "Produce them" if len(missing) > 1 else "Produce it",
            f"exports run {shlex.quote(event.export)} {span}",
            "code",
        ),
    ]


def _attempts(event: EventFacts) -> list[Line]:
    """None were made of what has waited for others in vain."""
    number = event.number("attempts")
    return [Line("Attempts", f"{number:,}, and no further one")] if number else []


_EXTRA: Mapping[Kind, Callable[[EventFacts], list[Line]]] = {
    "late": _late,
    "given_up": _attempts,
    "check_failed": _check,
    "interrupted": _interrupted,
    "damaged": _damaged,
    "recovered": _recovered,
    "tick_failed": lambda event: [Line("What", event.text("what"))],
    "job_failed": lambda event: [Line("Job", event.text("what"))],
}


def _lists(event: EventFacts) -> list[Table]:
    missing = event.texts("missing")
    found = {"Mistakes": event.texts("problems"), "Missing partitions": missing if len(missing) > 1 else []}
    return [table(title, [""], [Row([item]) for item in items]) for title, items in found.items() if items]


def _correction(artifact: ArtifactFacts | None) -> list[Line]:
    return [Line("Correction", f"of artifact {artifact.corrects[:8]}")] if artifact and artifact.corrects else []


def _artifact_lines(label: str, artifact: ArtifactFacts | None, *, described: bool = False) -> list[Line]:
    if artifact is None:
        return []
    what = f"{artifact.partition}, {counted(artifact.rows, 'row')}, created {artifact.created.short}"
    place = Line("" if described else label, artifact.directory, "code")
    return [Line(label, what), place] if described else [place]


def _statistics(found: Statistics | None) -> list[Line]:
    """Values of this run; in brackets the means of the 7 days before."""
    if found is None:
        return []
    rows = _compared(f"{found.rows:,}", found.rows, found.mean_rows, lambda mean: f"{mean:,.0f}")
    time = _compared(duration(found.seconds), found.seconds, found.mean_seconds, duration)
    speed = found.rows_per_second
    lines = [Line("Rows", rows), Line("Time", time)]
    if speed is None:
        return lines
    per_second = _compared(
        f"{speed:,.0f} rows/s", speed, found.mean_rows_per_second, lambda mean: f"{mean:,.0f} rows/s"
    )
    return [*lines, Line("Speed", per_second)]


def _compared(shown: str, value: float, mean: float | None, show: Callable[[float], str]) -> str:
    return f"{shown} ({change(100 * (value / mean - 1))}; mean of 7 days: {show(mean)})" if mean else shown


def _files(artifact: ArtifactFacts | None) -> list[Table]:
    if artifact is None or not artifact.files:
        return []
    rows = [Row([file.name, f"{file.rows:,}", size(file.bytes)], f"SHA-256 {file.sha256}") for file in artifact.files]
    return [table("Files", ["File", ">Rows", ">Size"], rows)]
