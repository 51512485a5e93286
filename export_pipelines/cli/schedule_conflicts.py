"""`exports schedules --conflicts`: what is likely not meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from export_pipelines.cli.app import App
from export_pipelines.errors import SpecError

if TYPE_CHECKING:
    from export_pipelines.timing.findings import Conflict

_HEADINGS = {
    "twice": "The same instant twice",
    "repeated": "The same partition more than once",
    "after": "Waiting in vain",
    "crowd": "Crowds",
    "rare": "Rare times",
    "never": "Never again",
    "clock": "Changes of the clocks",
    "unused": "Without exports",
}


def show_conflicts(app: App, name: str | None) -> None:
    """Answer with the findings about all schedules, or about NAME, a schedule or an export."""
    from export_pipelines.timing.conflicts import conflicts
    from export_pipelines.timing.ticks import timings

    specs = app.project.specs
    if name is not None and name not in {*specs.schedules, *specs.exports}:
        raise SpecError(f"there is no schedule or export {name!r}", hint="See: exports schedules, exports list")
    known = list(timings(specs.exports.values()))
    found = list(conflicts(known, specs.schedules, app.now, crowd=app.settings.crowd))
    wanted = {name, specs.exports[name].schedule_name} if name is not None and name in specs.exports else {name}
    chosen = [entry for entry in found if name is None or wanted & {*entry.schedules, *entry.exports}]
    app.answer({"conflicts": [asdict(entry) for entry in chosen]}, lambda: _show(app, chosen))


def _show(app: App, found: Sequence[Conflict]) -> None:
    from export_pipelines.cli.output import console

    out = console()
    if not found:
        app.say("Nothing was found.")
    for position, (kind, heading) in enumerate((k, h) for k, h in _HEADINGS.items() if any(f.kind == k for f in found)):
        out.print(("\n" if position else "") + heading, style="bold")
        for entry in (entry for entry in found if entry.kind == kind):
            out.print(entry.message)
            out.print(f"  {entry.advice}", style="dim")
