"""The words for each kind of event, and titles made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from export_pipelines.notify.facts import EventFacts, Group, by_subject, kinds_of
from export_pipelines.notify.headers import one_line
from export_pipelines.notify.kinds import Kind
from export_pipelines.notify.summaries import DailyFacts, WeeklyFacts
from export_pipelines.text import counted, percent, size


@dataclass(frozen=True)
class Words:
    """How one kind of event is called."""

    head: str
    """Begins titles: `Failed: students 2026-11-21`."""
    short: str
    """Follows numbers of exports: `23 exports failed`."""
    advice: str = ""
    """What to do where the event does not say."""
    noun: str = ""
    """What is counted, if not exports: `2 ticks failed`."""


WORDS: Mapping[Kind, Words] = {
    "succeeded": Words("Succeeded", "succeeded"),
    "skipped": Words("Skipped", "skipped"),
    "empty": Words("Empty", "empty", "Check whether the data has arrived, then run the partition again"),
    "failed": Words("Failed", "failed", "Remove the cause, then run the partition again"),
    "interrupted": Words("Interrupted", "interrupted", "Find out what ended the process, then run the partition again"),
    "check_failed": Words(
        "Check failed", "with failed checks", "Look at the files; correct the data or the check, then run it again"
    ),
    "late": Words(
        "Late", "late", "See in the Dagster UI whether the run waits, works or was never started; or run it here"
    ),
    "given_up": Words(
        "Given up", "given up", "Remove the cause, then run the partition yourself: it is not tried again"
    ),
    "recovered": Words("Recovered", "recovered"),
    "escalated": Words("Escalated", "escalated", "Nobody has ended this yet: agree on who does, and remove the cause"),
    "quarantined": Words("Quarantined", "quarantined", "Correct the spec; until then the export does not run"),
    "damaged": Words(
        "Damaged",
        "damaged",
        "Run the partition again, check the disk or bucket, and look for more damage: exports verify",
    ),
    "tick_failed": Words(
        "Tick failed", "failed", "Read the tick's error in the Dagster UI under Automation", noun="tick"
    ),
    "job_failed": Words(
        "Job failed",
        "failed",
        "Look at the run in the Dagster UI, remove the cause, then launch the job again",
        noun="job",
    ),
    "cleanup": Words("Cleanup", "cleanups"),
    "daily_summary": Words("Daily summary", "daily summaries"),
    "weekly_report": Words("Weekly report", "weekly reports"),
    "test": Words("Test", "tests"),
}


def title_of(events: Sequence[EventFacts]) -> str:
    """The title of a message about exports: one line."""
    groups = by_subject(events)
    if len(events) == 1:
        return one_line(_single(events[0]))
    return one_line(_folded(groups[0]) if len(groups) == 1 else _grouped(groups))


def title_of_daily(facts: DailyFacts) -> str:
    """`Daily summary: 7 warnings of 3 exports`."""
    of = f" of {counted(len(facts.warnings), 'export')}" if facts.warnings else ""
    return f"Daily summary: {counted(facts.number, 'warning')}{of}"


def title_of_weekly(facts: WeeklyFacts) -> str:
    """`Weekly report: 98.2 % of 312 runs, 2 exports late`."""
    runs = f"{percent(facts.success_rate)} of {counted(facts.ended, 'run')}" if facts.ended else "no runs"
    return f"Weekly report: {runs}" + (f", {counted(len(facts.late), 'export')} late" if facts.late else "")


def title_of_cleanup(events: Sequence[EventFacts]) -> str:
    """`Cleanup: 12 artifacts deleted, 1.2 GB, 2 errors`."""
    deleted, octets = (sum(event.number(name) for event in events) for name in ("deleted", "bytes"))
    errors = sum(len(event.texts("errors")) for event in events)
    what = f"{counted(deleted, 'artifact')} deleted, {size(octets)}" if deleted else "nothing deleted"
    return f"Cleanup: {what}" + (f", {counted(errors, 'error')}" if errors else "")


def kinds_in_words(kinds: Mapping[Kind, int]) -> str:
    """`3 failed, 1 late`."""
    return ", ".join(f"{_number(kind, number)} {WORDS[kind].short}" for kind, number in kinds.items())


def _number(kind: Kind, number: int) -> str:
    return counted(number, WORDS[kind].noun) if WORDS[kind].noun else f"{number:,}"


def _single(event: EventFacts) -> str:
    what = " ".join(filter(None, (event.subject, event.partition)))
    tail = _TAILS[event.kind](event) if event.kind in _TAILS else ""
    return f"{WORDS[event.kind].head}: " + ", ".join(filter(None, (what, tail)))


_TAILS: Mapping[Kind, Callable[[EventFacts], str]] = {
    "recovered": lambda event: f"after {counted(event.failures, 'failure')}" if event.failures else "",
    "given_up": lambda event: f"after {counted(event.number('attempts'), 'attempt')}" * bool(event.number("attempts")),
    "escalated": lambda event: f"failing since {event.since}",
    "check_failed": lambda event: event.text("check"),
    "quarantined": lambda event: counted(len(event.texts("problems")), "mistake"),
    "test": lambda _: "notifications reach you",
}


def _folded(group: Group) -> str:
    if group.latest.kind == "recovered":
        return _single(group.latest)
    kinds = group.kinds
    latest = f", latest {group.latest.partition}" if group.latest.partition else ""
    if len(kinds) == 1:
        return f"{WORDS[group.latest.kind].head} {_times(len(group.events))}: {group.name}{latest}"
    return f"{group.name}: {kinds_in_words(kinds)}{latest}"


def _grouped(groups: Sequence[Group]) -> str:
    """Each export counts once, as what happened to it last."""
    kinds = kinds_of([group.latest for group in groups])
    exports = all(group.latest.export for group in groups)
    if len(kinds) > 1:
        return f"{len(groups):,} {'exports' if exports else 'problems'}: {kinds_in_words(kinds)}"
    return (
        f"{counted(len(groups), 'export')} {WORDS[groups[0].latest.kind].short}" if exports else kinds_in_words(kinds)
    )


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")
