"""From a message to a letter: facts first, then words.

The look is in templates, as HTML and as text: `letter` extends `base` and uses the macros of `parts`. Files of the same
name in the directory EXPORT_NOTIFY_TEMPLATES replace them. The directory may also hold templates for some letters only,
which come first: for a kind of event (`failed.html`), and for a body (`event`, `folded` for several events of one
export, `grouped` for events of many, `cleanup`, `daily_summary`, `weekly_report`, `test`). All get these values:

| name | value |
|---|---|
| `title`, `level`, `tone` | the title; the level; the level whose colour is shown, `success` for a recovery |
| `recipient`, `message_id` | to whom, and under which id |
| `content` | the parts to be shown: `intro`, `lines`, `bars`, `tables`, `links`; see content.py |
| `event`, `events` | the latest event, and all of them, oldest first; see facts.py |
| `findings` | `artifact`, `last_good`, `statistics` of the latest event, or None; see content.py |
| `report` | the facts of a summary, or None; see summaries.py |
| `data` | what web hooks get; see payload.py |
| `note` | a sentence for the operator, mostly empty |
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from export_pipelines.errors import ConfigurationError
from export_pipelines.notify.content import Content, Findings, event_content
from export_pipelines.notify.facts import EventFacts, by_subject
from export_pipelines.notify.headers import one_line
from export_pipelines.notify.kinds import Kind
from export_pipelines.notify.message import Letter, Message
from export_pipelines.notify.overviews import (
    cleanup_content,
    daily_content,
    folded_content,
    grouped_content,
    test_content,
    weekly_content,
)
from export_pipelines.notify.payload import payload
from export_pipelines.notify.plaintext import WIDTH, chart, labelled, paragraph, tabulated
from export_pipelines.notify.summaries import DailyFacts, WeeklyFacts, daily, weekly
from export_pipelines.notify.witness import Witness
from export_pipelines.notify.words import title_of, title_of_cleanup, title_of_daily, title_of_weekly
from export_pipelines.project import Project

_log = logging.getLogger(__name__)
_TEMPLATES = Path(__file__).parent / "templates"
_PRODUCED: frozenset[Kind] = frozenset({"succeeded", "empty", "recovered", "check_failed"})
_BROKEN: frozenset[Kind] = frozenset(
    {"failed", "interrupted", "check_failed", "late", "given_up", "escalated", "damaged"}
)
_TEMPLATE_TROUBLE = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What a template of the operator may raise."""


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """What a letter says, before it has a look."""

    body: str
    """The name of its template, if it has one of its own."""
    title: str
    content: Content
    findings: Findings = field(default_factory=Findings)
    report: DailyFacts | WeeklyFacts | None = None


def compose(message: Message, project: Project, *, include_file_details: bool, include_statistics: bool) -> Letter:
    """The message in words: about one event, several of one export, or those of many exports.

    Templates that cannot be rendered are replaced by the shipped ones, and the letter says so: it must not be lost.
    Raises LedgerUnavailableError.
    """
    witness = Witness(project)
    events = [witness.event(event) for event in message.events]
    draft = _draft(message, events, witness, files=include_file_details, statistics=include_statistics)
    latest = events[-1]
    data = payload(message, events, draft.title, findings=draft.findings, report=draft.report)
    values = {
        "title": draft.title,
        "level": latest.level,
        "tone": "success" if latest.kind == "recovered" else latest.level,
        "recipient": one_line(message.recipient),
        "message_id": one_line(message.message_id),
        "content": draft.content,
        "event": latest,
        "events": events,
        "findings": draft.findings,
        "report": draft.report,
        "data": data,
        "note": "",
    }
    text, html = _rendered(draft.body, values, project)
    return Letter(message_id=message.message_id, level=latest.level, title=draft.title, text=text, html=html, data=data)


def _draft(
    message: Message, events: Sequence[EventFacts], witness: Witness, *, files: bool, statistics: bool
) -> _Draft:
    latest = events[-1]
    if latest.kind in _SUMMARIES and {event.kind for event in events} == {latest.kind}:
        return _SUMMARIES[latest.kind](message, events, witness)
    title = title_of(events)
    if len(by_subject(events)) > 1:
        return _Draft(body="grouped", title=title, content=grouped_content(events))
    findings = _findings(latest, witness, files=files, statistics=statistics)
    if len(events) > 1:
        return _Draft(body="folded", title=title, content=folded_content(events, findings), findings=findings)
    return _Draft(body="event", title=title, content=event_content(latest, findings), findings=findings)


def _weekly(_message: Message, events: Sequence[EventFacts], witness: Witness) -> _Draft:
    facts = weekly(events[-1], witness)
    return _Draft(body="weekly_report", title=title_of_weekly(facts), content=weekly_content(facts), report=facts)


def _daily(_message: Message, events: Sequence[EventFacts], witness: Witness) -> _Draft:
    facts = daily(events[-1], witness)
    return _Draft(body="daily_summary", title=title_of_daily(facts), content=daily_content(facts), report=facts)


def _cleanup(_message: Message, events: Sequence[EventFacts], _witness: Witness) -> _Draft:
    return _Draft(body="cleanup", title=title_of_cleanup(events), content=cleanup_content(events))


def _test(message: Message, events: Sequence[EventFacts], witness: Witness) -> _Draft:
    url = witness.project.settings.dagster_url
    content = test_content(events[-1], one_line(message.recipient), url=url)
    return _Draft(body="test", title=title_of(events), content=content)


_SUMMARIES: Mapping[Kind, Callable[[Message, Sequence[EventFacts], Witness], _Draft]] = {
    "weekly_report": _weekly,
    "daily_summary": _daily,
    "cleanup": _cleanup,
    "test": _test,
}
"""Kinds with a body of their own, as long as they have a message for themselves."""


def _findings(event: EventFacts, witness: Witness, *, files: bool, statistics: bool) -> Findings:
    produced = event.kind in _PRODUCED
    artifact = witness.published(event, files=files) if produced else None
    good = witness.last_good(event.export) if event.kind in _BROKEN else None
    export = witness.project.specs.exports.get(event.export or "")
    return Findings(
        description=one_line(export.spec.description) if export else "",
        artifact=artifact,
        last_good=None if good and artifact and good.artifact_id == artifact.artifact_id else good,
        statistics=witness.statistics(event) if produced and statistics else None,
    )


def _rendered(body: str, values: dict[str, Any], project: Project) -> tuple[str, str]:
    """Text and HTML."""
    try:
        directory = project.settings.optional("EXPORT_NOTIFY_TEMPLATES")
        return _render(body, values, directory)
    except (*_TEMPLATE_TROUBLE, ConfigurationError) as error:
        note = one_line(f"The templates in EXPORT_NOTIFY_TEMPLATES cannot be used: {type(error).__name__}: {error}")
        _log.error("%s", note)
        return _render(body, {**values, "note": note}, None)


def _render(body: str, values: dict[str, Any], directory: str | None) -> tuple[str, str]:
    environment = _environment(directory)
    kind = values["event"].kind
    text, html = (
        environment.select_template([f"{name}.{form}" for name in (kind, body, "letter")]).render(values)
        for form in ("txt", "html")
    )
    return text.strip() + "\n", html.strip() + "\n"


@cache
def _environment(directory: str | None) -> jinja2.Environment:
    """Our templates, behind those of the directory; a change there is seen at once."""
    if directory and not Path(directory).is_dir():
        raise ConfigurationError(f"EXPORT_NOTIFY_TEMPLATES: there is no directory {directory}", hint="Correct it")
    places: list[str | Path] = [directory, _TEMPLATES] if directory else [_TEMPLATES]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.FileSystemLoader(place) for place in places]),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "paragraph": paragraph,
        "labelled": labelled,
        "tabulated": tabulated,
        "chart": chart,
    }
    environment.globals |= {"width": WIDTH}
    return environment
