"""What a tick of a schedule requests of its exports, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import dagster as dg

from export_pipelines.catching_up.decide import Active, gives_way
from export_pipelines.catching_up.sharing import shared
from export_pipelines.catching_up.upstream import Key, levels
from export_pipelines.catching_up.waiting import Lack, listed
from export_pipelines.ledger import due
from export_pipelines.ledger.due import Asked
from export_pipelines.ledger.estimates import likely_seconds
from export_pipelines.ledger.pauses import Pauses, pauses_since
from export_pipelines.orchestration.busy import active_exports
from export_pipelines.orchestration.ending import end_runs
from export_pipelines.orchestration.upstream import missing
from export_pipelines.project import Project
from export_pipelines.spec.resolved import ResolvedExport
from export_pipelines.timing.ticks import Timing

_LAUNCHING = timedelta(seconds=30)  # from a request to a run that Dagster can tell of, nearly always


@dataclass
class Made:
    """What a tick came to: the exports of each run to request, and why others are not requested, one sentence each."""

    runs: list[list[str]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


@dataclass
class _Sorted:
    """The exports of one tick, by what becomes of them. `later` are noted and requested by nobody yet."""

    run: list[Asked] = field(default_factory=list)
    skip: list[Asked] = field(default_factory=list)
    later: list[Asked] = field(default_factory=list)
    wait: list[Asked] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Tick:
    """One tick, and what holds while it is made.

    `launching` are requests of which there is no run yet, `missing` is what exports wait for.
    """

    project: Project
    instance: dg.DagsterInstance
    tick: datetime
    now: datetime
    pauses: Pauses
    names: tuple[str, str]
    active: dict[str, list[Active]]
    launching: set[Key]
    missing: Mapping[Key, Sequence[Lack]]

    def sort(self, export: ResolvedExport, asked: Asked, into: _Sorted) -> None:
        """Put the export where it belongs."""
        if pause := self.pauses.skipping(export.name, self.names, self.tick):
            into.skip.append(replace(asked, cause="paused", reason=pause.reason))
            into.reasons.append(f"{export.name}: {pause.reason}")
        elif pause := self.pauses.of(export.name, self.names, self.now):  # the tick is older
            into.later.append(asked)
            into.reasons.append(f"{export.name}: {pause.reason}")
        elif absent := self.missing.get((export.name, asked.partition)):
            into.wait.append(replace(asked, next_attempt_at=self.tick))
            into.reasons.append(f"{export.name}: waits for {listed(absent)}")
        else:
            self._meet(export, asked, into)

    def _meet(self, export: ResolvedExport, asked: Asked, into: _Sorted) -> None:
        """Other runs of the export may be queued or at work: `overlap` decides."""
        active = self.active.get(export.name, [])
        launching = any(name == export.name and key != asked.partition for name, key in self.launching)
        if not active and not launching:
            into.run.append(asked)
            return
        overlap, equal = export.spec.overlap, any(run.partition in (None, asked.partition) for run in active)
        which = f"run {active[0].run_id[:8]} is at work" if active else "another run is being launched"
        if overlap == "skip" and not equal:
            reason = f"{which}, and `overlap` is skip"
            into.skip.append(replace(asked, cause="overlap", reason=reason))
            into.reasons.append(f"{export.name}: {reason}")
            return
        if overlap == "cancel" and active and not equal and gives_way(active, asked.partition):
            end_runs(self.project, self.instance, active, export=export.name, partition=asked.partition)
            which = f"run {active[0].run_id[:8]} is ended"
        into.wait.append(replace(asked, next_attempt_at=self.tick))
        into.reasons.append(f"{export.name}: {which}, so partition {asked.partition} waits")


def made_by(
    project: Project, instance: dg.DagsterInstance, timing: Timing, *, tick: datetime, partition: str, now: datetime
) -> Made:
    """Note in the ledger what the tick asks for, and say what to request of it.

    Nothing is requested of exports that are paused, that wait for others, that are at work and do not run beside
    themselves, or that were caught up with.

    Raises LedgerUnavailableError: then the sensor `catch_up` makes up for the tick.
    """
    ledger = project.ledger
    exports = {export.name: export for export in timing.exports}
    found = _Sorted()
    this = _Tick(
        project,
        instance,
        tick,
        now,
        pauses_since(ledger, min(tick, now)),
        timing.names,
        active_exports(project, instance, now),
        due.launching(ledger, list(exports), since=now - _LAUNCHING),
        missing(project, instance, [(name, partition) for name in exports]),
    )
    for export in timing.exports:
        asked = Asked(export=export.name, partition=partition, schedule=timing.schedule_name, tick=tick)
        this.sort(export, asked, found)
    with ledger.write() as connection:
        due.note(connection, [*found.skip, *found.later], now)
        due.wait(connection, found.wait, now)
        ours = due.claim(connection, found.run, now)
    requested = [exports[one.export] for one in found.run if one.export in ours]
    return Made(_runs(requested, timing, likely_seconds(ledger) if requested else {}), found.reasons)


def _runs(exports: Sequence[ResolvedExport], timing: Timing, seconds: Mapping[str, float]) -> list[list[str]]:
    """Who shares a run: at most `batch_size` exports that do not wait for one another, fewer if they take long.

    One whose run may be ended has a run of its own. `seconds` is how long each took last time.
    """
    depth, groups = levels(timing.exports), dict[tuple[int, str], list[str]]()
    for export in exports:
        alone = export.name if export.spec.overlap == "cancel" else ""
        groups.setdefault((depth[export.name], alone), []).append(export.name)
    size = timing.schedule.batch_size
    return [names for _, group in sorted(groups.items()) for names in shared(group, size, seconds.get)]
