"""A letter for programs: the JSON that web hooks get.

| field | value |
|---|---|
| `version` | 1; fields may be added without a new version |
| `message_id` | the same at every attempt to send the message |
| `recipient` | name of the recipient, or an e-mail address |
| `created_at` | when the message was made |
| `kind` | kind of all events of the message; `mixed` if they differ |
| `level` | success, failure, warning, cleanup, digest |
| `title` | one line for people |
| `exports` | names of the exports, each once |
| `partitions` | keys of the partitions, each once |
| `cause`, `advice`, `command` | of the latest event; null where there is none |
| `links` | `run` and `asset` of the latest event: URLs of the Dagster UI, or null |
| `counts` | `events`, `exports`, and `kinds`: kind -> number of events. Always of all events |
| `artifact` | what the run of the latest event published, or null; see below |
| `last_good` | the newest good artifact of the export that failed, or null; see below |
| `statistics` | null, or of the run of the latest event: `rows`, `seconds`, `rows_per_second`; and of the 7 days |
| | before: `mean_rows`, `mean_seconds`, `mean_rows_per_second`; each a number or null |
| `report` | null, or the numbers of a weekly report or a daily summary; see below |
| `events` | the events, oldest first, the latest 1000 at most; see below |

An artifact has `artifact_id`, `partition`, `created_at`, `directory` (path or URI), `rows`, `bytes`, `corrects` (the id
of the artifact of the same partition that it replaces, or null) and `files`: a list of `name`, `path`, `format`,
`rows`, `bytes`, `sha256`, empty where `include_file_details` is false.

An event has `key` (the same however often the event is told), `kind`, `level`, `export`, `partition`, `run_id`,
`happened_at`, `since` (when the incident began), `failures` (how many in a row; 0 if unknown), `cause`, `advice`,
`command`, `links`, and `details`: what was recorded, which depends on the kind. What does not apply is null.

A weekly report has `since`, `until`, `runs`, `succeeded`, `failed`, `rows`, `bytes`, `exports` (a list of `export`,
`runs`, `succeeded`, `failed`, `rows`, `bytes`, `slowest_seconds`, `late`), `days` (a list of `day`, `succeeded`,
`failed`, `rows`, `bytes`) and `holidays` (a list of `day`, `calendar`, `reason`). A daily summary has `since`, `until`
and `warnings`: a list of `export`, `kinds` (kind -> number) and `latest`, an event.

Times are ISO 8601 in UTC, days ISO dates, spans seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from export_pipelines.notify.content import Findings, advice, command
from export_pipelines.notify.facts import ArtifactFacts, EventFacts, kinds_of
from export_pipelines.notify.message import Message
from export_pipelines.notify.moments import Moment
from export_pipelines.notify.summaries import DailyFacts, WeeklyFacts

VERSION = 1
_EVENTS = 1000  # a message of many more would be refused by the receiving server


def payload(
    message: Message,
    events: Sequence[EventFacts],
    title: str,
    *,
    findings: Findings,
    report: DailyFacts | WeeklyFacts | None,
) -> dict[str, Any]:
    """The letter as JSON values."""
    kinds, latest = kinds_of(events), events[-1]
    exports = sorted({event.export for event in events if event.export})
    statistics = findings.statistics
    return {
        "version": VERSION,
        "message_id": message.message_id,
        "recipient": message.recipient,
        "created_at": Moment(message.created_at).iso,
        "kind": latest.kind if len(kinds) == 1 else "mixed",
        "level": latest.level,
        "title": title,
        "exports": exports,
        "partitions": sorted({event.partition for event in events if event.partition}),
        "cause": latest.cause or None,
        "advice": advice(latest) or None,
        "command": command(latest) or None,
        "links": _links(latest),
        "counts": {"events": len(events), "exports": len(exports), "kinds": kinds},
        "artifact": _artifact(findings.artifact),
        "last_good": _artifact(findings.last_good),
        "statistics": asdict(statistics) if statistics else None,
        "report": _report(report),
        "events": [_event(event) for event in events[-_EVENTS:]],
    }


def _links(event: EventFacts) -> dict[str, str | None]:
    return {"run": event.run_url or None, "asset": event.asset_url or None}


def _event(event: EventFacts) -> dict[str, Any]:
    return {
        "key": event.key,
        "kind": event.kind,
        "level": event.level,
        "export": event.export,
        "partition": event.partition,
        "run_id": event.run_id,
        "happened_at": event.at.iso,
        "since": event.since.iso,
        "failures": event.failures,
        "cause": event.cause or None,
        "advice": advice(event) or None,
        "command": command(event) or None,
        "links": _links(event),
        "details": event.details,
    }


def _artifact(found: ArtifactFacts | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "artifact_id": found.artifact_id,
        "partition": found.partition,
        "created_at": found.created.iso,
        "directory": found.directory,
        "rows": found.rows,
        "bytes": found.bytes,
        "corrects": found.corrects,
        "files": [asdict(file) for file in found.files],
    }


def _report(facts: DailyFacts | WeeklyFacts | None) -> dict[str, Any] | None:
    if facts is None:
        return None
    span = {"since": facts.since.iso, "until": facts.until.iso}
    return {**span, **(_daily(facts) if isinstance(facts, DailyFacts) else _weekly(facts))}


def _daily(facts: DailyFacts) -> dict[str, Any]:
    warnings = [
        {"export": group.name or None, "kinds": group.kinds, "latest": _event(group.latest)} for group in facts.warnings
    ]
    return {"warnings": warnings}


def _weekly(facts: WeeklyFacts) -> dict[str, Any]:
    return {
        "runs": facts.ended,
        "succeeded": facts.succeeded,
        "failed": facts.failed,
        "rows": facts.rows,
        "bytes": facts.bytes,
        "exports": [
            {
                **_chosen(week.stats, "export", "succeeded", "failed", "rows", "bytes", "slowest_seconds"),
                "runs": week.ended,
                "late": week.late,
            }
            for week in facts.exports
        ],
        "days": [
            {"day": day.day.isoformat(), **_chosen(day, "succeeded", "failed", "rows", "bytes")} for day in facts.days
        ],
        "holidays": [
            {"day": found.day.isoformat(), "calendar": found.calendar, "reason": found.reason}
            for found in facts.holidays
        ],
    }


def _chosen(source: object, *names: str) -> Mapping[str, Any]:
    return {name: getattr(source, name) for name in names}
