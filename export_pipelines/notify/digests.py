"""The daily summary of warnings and the weekly report: recorded as events when they are due."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from export_pipelines.ledger import pulses
from export_pipelines.notify import events
from export_pipelines.notify.events import Sighting
from export_pipelines.notify.kinds import Kind
from export_pipelines.notify.routing import digests_of, exports_of
from export_pipelines.project import Project
from export_pipelines.spec.notify import Digests
from export_pipelines.spec.repeated import WEEK


def record_due(project: Project, now: datetime) -> None:
    """Record the summaries whose time has come since they were last recorded; those missed long ago are left out.

    A daily summary without a single warning is not made.
    """
    scopes = [scope for scope in project.specs.notify if digests_of(project.specs, scope)[1]]
    if not scopes:
        return
    began = pulses.first(project.ledger, pulses.DIGESTS, now)
    found = [seen for scope in scopes for seen in _due(project, scope, now) if seen.happened_at > began]
    present = events.known(project.ledger, [seen.key for seen in found])
    events.record(project, [seen for seen in found if seen.key not in present and _has_content(project, seen)])


def _due(project: Project, scope: str, now: datetime) -> Iterator[Sighting]:
    """The last daily and the last weekly one at or before `now`."""
    times, _ = digests_of(project.specs, scope)
    zone = ZoneInfo(times.timezone)
    today = now.astimezone(zone).date()
    day = today if _at(times, today) <= now else today - timedelta(days=1)
    yield _summary("daily_summary", project, scope, day, times)
    week = day - timedelta(days=(day.weekday() - WEEK.index(times.weekly_on)) % 7)
    yield _summary("weekly_report", project, scope, week, times)


def _at(times: Digests, day: date) -> datetime:
    return datetime.combine(day, times.at, ZoneInfo(times.timezone))


def _summary(kind: Kind, project: Project, scope: str, day: date, times: Digests) -> Sighting:
    span = timedelta(days=1 if kind == "daily_summary" else 7)
    until = _at(times, day)
    return Sighting(
        key=f"{kind}:{scope}:{day}",
        kind=kind,
        happened_at=until,
        details={
            "scope": scope,
            "since": _at(times, day - span).isoformat(),
            "until": until.isoformat(),
            "timezone": times.timezone,
            "exports": exports_of(project.specs, scope),
        },
    )


def _has_content(project: Project, seen: Sighting) -> bool:
    if seen.kind == "weekly_report":
        return bool(seen.details["exports"])
    since, until = (datetime.fromisoformat(seen.details[name]) for name in ("since", "until"))
    return bool(events.between(project.ledger, since, until, level="warning", exports=seen.details["exports"]))
