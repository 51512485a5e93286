"""What `pause`, `resume` and the commands to look share: what a name means, and what is paused now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from export_pipelines.cli.app import App
from export_pipelines.errors import SpecError
from export_pipelines.text import moment

if TYPE_CHECKING:
    from export_pipelines.ledger.pauses import Kind, PauseRow
    from export_pipelines.timing.ticks import Timing

_SHOWN = ("kind", "name", "at", "until", "by", "why", "ended_at", "ended_by", "catch_up")


@dataclass(frozen=True)
class Target:
    """An export or a schedule, the exports that it is about, and the timezone of its times."""

    kind: Kind
    name: str
    exports: Sequence[str]
    timezone: str


def target(app: App, name: str) -> Target:
    """What the name means; `export:NAME` and `schedule:NAME` where both have it. Raises SpecError if there is none."""
    from export_pipelines.timing.ticks import timings

    kind, _, bare = name.rpartition(":")
    specs = app.tolerant_project().specs
    scheduled = [timing for timing in timings(specs.exports.values()) if bare in timing.names]
    exports = {*specs.exports, *specs.quarantined}
    if bare in exports and scheduled and not kind:
        raise SpecError(f"{bare!r} is an export and a schedule", hint=f"Write export:{bare} or schedule:{bare}")
    if bare in exports and kind in ("", "export"):
        export = specs.exports.get(bare)
        return Target("export", bare, [bare], export.timezone if export else "UTC")
    if scheduled and kind in ("", "schedule"):
        names = [export.name for timing in scheduled for export in timing.exports]
        return Target("schedule", bare, names, scheduled[0].schedule.timezone)
    raise SpecError(f"there is no export or schedule {name!r}", hint="List them: exports list, exports schedules")


def answer(app: App, found: Target, sentence: str, **more: Any) -> None:
    """Say what was done; as JSON with all pauses that it ever had."""
    from export_pipelines.ledger.pauses import history

    rows = history(app.project.ledger, found.kind, found.name)
    document = {"kind": found.kind, "name": found.name, "exports": found.exports, "pauses": [view(row) for row in rows]}
    app.answer({**document, **more}, lambda: click.echo(f"{found.name}: {sentence}"))


def paused_exports(app: App) -> dict[str, dict[str, Any]]:
    """Export -> the pause that lasts, its own or that of its schedule, of those that are paused."""
    from export_pipelines.timing.ticks import timings

    found = {}
    for timing in timings(app.project.specs.exports.values()):
        for export in timing.exports:
            if row := app.pauses.of(export.name, timing.names, app.now):
                found[export.name] = view(row)
    return found


def paused_schedule(app: App, timing: Timing) -> dict[str, Any] | None:
    """The pause of the whole schedule; None if it is not paused."""
    row = app.pauses.of("", timing.names, app.now)
    return view(row) if row else None


def view(row: PauseRow) -> dict[str, Any]:
    """One pause as part of a document."""
    return {name: getattr(row, name) for name in _SHOWN}


def in_words(pause: dict[str, Any], timezone: str) -> str:
    """`paused by ann until 2026-12-01 08:00 CET: the server moves`."""
    until = f" until {moment(pause['until'], timezone)}" if pause["until"] else ""
    why = f": {pause['why']}" if pause["why"] else ""
    schedule = f" with schedule {pause['name']}" if pause["kind"] == "schedule" else ""
    return f"paused{schedule} by {pause['by']}{until}{why}"
