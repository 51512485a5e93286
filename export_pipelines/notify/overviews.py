"""The parts of letters about several events, and of summaries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from export_pipelines.notify.content import (
    Bar,
    Content,
    Findings,
    Line,
    Row,
    Table,
    advice,
    bars,
    command,
    event_content,
    table,
)
from export_pipelines.notify.facts import EventFacts, Group, by_partition, by_subject
from export_pipelines.notify.moments import Moment
from export_pipelines.notify.summaries import DailyFacts, ExportWeek, WeeklyFacts
from export_pipelines.notify.words import WORDS, kinds_in_words
from export_pipelines.text import counted, duration, percent, size

_GROUPS = 50
_CAUSES = 8
_SLOWEST = 5


def folded_content(events: Sequence[EventFacts], findings: Findings) -> Content:
    """Several events of one export: the last one in full, then all by partition, with causes that are others."""
    latest = events[-1]
    one = event_content(latest, findings)
    rows = [
        Row(
            [group.name or "-", kinds_in_words(group.kinds)],
            "" if group.latest.cause == latest.cause else group.latest.cause,
        )
        for group in by_partition(events)
    ]
    return Content(
        intro=_fold_intro(events),
        lines=one.lines,
        tables=[table(f"All {len(events):,}, by partition", ["Partition", "What"], rows), *one.tables],
        links=one.links,
    )


def grouped_content(events: Sequence[EventFacts]) -> Content:
    """Events of many exports: a table of export, partition and cause, or one for each cause if there are few."""
    groups = by_subject(events)
    first, last = events[0].at, events[-1].at
    span = f"on {first.both}" if first.short == last.short else f"between {first.both} and {last.both}"
    return Content(
        intro=f"{counted(len(events), 'event')} {span}.",
        lines=_shared_remedy(groups),
        tables=_by_cause(groups),
    )


def _by_cause(groups: Sequence[Group]) -> list[Table]:
    headings, mixed = ["Export", "Partition"], len({group.latest.kind for group in groups}) > 1
    rows: dict[str, list[Row]] = {}
    for group in groups:
        rows.setdefault(_cause(group, mixed=mixed), []).append(Row([group.name or "-", _partitions(group)]))
    if len(rows) > _CAUSES or len(rows) * 2 > len(groups):
        below = [replace(row, below=cause) for cause, found in rows.items() for row in found]
        return [table("", headings, sorted(below, key=lambda row: row.cells[0]), longest=_GROUPS)]
    return [
        table(f"{len(found):,} of {len(groups):,}", headings, found, note=cause)
        for cause, found in sorted(rows.items(), key=lambda item: -len(item[1]))
    ]


def cleanup_content(events: Sequence[EventFacts]) -> Content:
    """What retention deleted."""
    deleted, octets, archived, kept = (
        sum(event.number(name) for event in events) for name in ("deleted", "bytes", "archived", "kept")
    )
    lines = [
        Line("When", events[-1].at.both),
        Line("Deleted", f"{counted(deleted, 'artifact')}, {size(octets)}"),
        Line("Archived", f"{archived:,}"),
        Line("Kept", f"{kept:,}"),
    ]
    found = {name: [text for event in events for text in event.texts(name)] for name in ("errors", "items")}
    return Content(
        lines=lines,
        tables=[
            table(title, [""], [Row([text]) for text in found[name]])
            for title, name in (("Errors", "errors"), ("Deleted", "items"))
            if found[name]
        ],
    )


def daily_content(facts: DailyFacts) -> Content:
    """The warnings of a day."""
    rows = [
        Row(
            [group.name or "-", kinds_in_words(group.kinds)],
            f"{WORDS[group.latest.kind].head}: "
            + ", ".join(filter(None, (group.latest.partition, group.latest.cause))),
        )
        for group in facts.warnings
    ]
    return Content(
        lines=[_span(facts.since, facts.until), Line("Warnings", f"{facts.number:,}")],
        tables=[table("", ["Export", "Warnings; the latest below"], rows)] if rows else [],
    )


def weekly_content(facts: WeeklyFacts) -> Content:
    """The runs of a week."""
    lines = [
        _span(facts.since, facts.until),
        Line("Runs", f"{facts.ended:,}, of which {facts.failed:,} failed"),
        Line("Success", percent(facts.success_rate)),
        Line("Published", f"{counted(facts.rows, 'row')}, {size(facts.bytes)}"),
        Line("Late", f"{counted(len(facts.late), 'export')}" if facts.late else "none"),
    ]
    return Content(lines=lines, bars=_bars(facts), tables=list(_weekly_tables(facts)))


def test_content(event: EventFacts, recipient: str, *, url: str) -> Content:
    """A letter that only has to arrive."""
    lines = [Line("Recipient", recipient), Line("When", event.at.both)]
    return Content(
        intro="This is a test. If you read it, notifications reach you.",
        lines=lines,
        links=[Line("Runs", f"{url}/runs", "link")],
    )


def _fold_intro(events: Sequence[EventFacts]) -> str:
    latest, failures = events[-1], [event for event in events if event.failures]
    more = "more " if failures and failures[0].failures > 1 else ""
    what = counted(len(events), more + ("failure" if latest.level == "failure" else "event"))
    if latest.kind == "recovered":
        return ""
    of = f" of {latest.subject}" if latest.subject else ""
    return f"{what}{of} since {events[0].at.both}."


def _partitions(group: Group) -> str:
    keys = group.partitions
    return f"{keys[0]} (+{len(keys) - 1:,})" if len(keys) > 1 else "".join(keys) or "-"


def _cause(group: Group, *, mixed: bool) -> str:
    """Why; if exports met with different things, beginning with what happened."""
    latest = group.latest
    return ": ".join(filter(None, (WORDS[latest.kind].head, latest.cause))) if mixed else latest.cause


def _shared_remedy(groups: Sequence[Group]) -> list[Line]:
    """What to do, if that is the same for all of them, and what to type."""
    advices = {advice(group.latest) for group in groups}
    lines = [Line("What to do", advices.pop())] if len(advices) == 1 else []
    if any(command(group.latest) for group in groups):
        lines.append(Line("Run one again", "exports run EXPORT --partition KEY", "code"))
    return [line for line in lines if line.value]


def _span(since: Moment, until: Moment) -> Line:
    return Line("Span", f"{since.short} to {until.short}")


def _bars(facts: WeeklyFacts) -> list[Bar]:
    return bars([(f"{day.day:%a} {day.day.day} {day.day:%b}", day.succeeded, day.failed) for day in facts.days])


def _weekly_tables(facts: WeeklyFacts) -> Iterator[Table]:
    if facts.exports:
        rows = [Row([week.stats.export, *_numbers(week)], _amounts(week)) for week in facts.exports]
        yield table("Exports", ["Export", ">Runs", ">OK", ">Late"], rows)
    slow = [Row([week.stats.export, duration(week.stats.slowest_seconds or 0)]) for week in facts.slowest[:_SLOWEST]]
    if slow:
        yield table("Slowest", ["Export", ">Slowest run"], slow)
    if facts.holidays:
        off = [Row([f"{day.day:%A}, {day.day}", day.reason, day.calendar]) for day in facts.holidays]
        yield table("Holidays in the next 7 days", ["Day", "Holiday", "Calendar"], off)


def _numbers(week: ExportWeek) -> list[str]:
    return [f"{week.ended:,}", percent(week.stats.success_rate), f"{week.late:,}" if week.late else "-"]


def _amounts(week: ExportWeek) -> str:
    slowest = week.stats.slowest_seconds
    parts = [counted(week.stats.rows, "row"), size(week.stats.bytes)]
    return ", ".join([*parts, f"slowest {duration(slowest)}"] if slowest else parts)
