"""Notes in the ledger what ticks have asked for, whether or not anybody was there to hear them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby, islice, takewhile

from export_pipelines.catching_up.decide import GRACE
from export_pipelines.catching_up.policies import timing_of
from export_pipelines.ledger import due, watches
from export_pipelines.ledger.due import Asked, Cause
from export_pipelines.ledger.pauses import Pauses, pauses_since
from export_pipelines.ledger.watches import Watch
from export_pipelines.project import Project
from export_pipelines.timing.quiet import is_quiet
from export_pipelines.timing.ticks import Timing, timings
from export_pipelines.timing.upcoming import Upcoming, upcoming

_MOST_ROWS = 20_000  # of one timing at once
_SECONDS = 20.0  # a sensor's tick may take 60 s; what is left waits for the next one
_QUIET = timedelta(minutes=1)  # how far `seen_until` may lag behind where nothing ticks
_GONE = "the export has no schedule any more"


@dataclass(frozen=True)
class _Span:
    """Exports of one timing whose ticks in one span of time are to be noted."""

    timing: Timing
    watches: Sequence[Watch]
    until: datetime
    former: bool = False

    @property
    def seen_until(self) -> datetime:
        """Where it begins."""
        return self.watches[0].seen_until

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to note."""
        return not self.former and is_quiet(self.timing, self.seen_until, self.until)


def note_ticks(project: Project, now: datetime) -> None:
    """Note every tick since the last time, except the youngest, which are left to their schedules.

    Ticks of an export with a mistake are noted when it is mended; those of one that is taken out of the specs are not.
    Raises LedgerUnavailableError.
    """
    found = list(timings(project.specs.exports.values()))
    current = watches.watch(project.ledger, found, now)
    everything = watches.everything(project.ledger)
    since = min((watched.seen_until for watched in everything), default=now)
    pauses = pauses_since(project.ledger, since)
    spans = [*_former(project, current, everything), *_spans(found, current, now)]
    deadline = time.monotonic() + _SECONDS
    quiet = []
    for span in sorted(spans, key=lambda span: span.seen_until):
        if span.is_quiet:
            quiet.append(span)
        elif time.monotonic() < deadline:
            _note(project, span, pauses, now)
    _pass(project, [span for span in quiet if span.until - span.seen_until >= _QUIET], now - GRACE)
    if not project.specs.problems and project.specs.files:  # else it may just be missing for a while
        _forget(project, [watched for watched in everything if watched.export not in current])


def _spans(found: Iterable[Timing], current: Mapping[str, Watch], now: datetime) -> Iterator[_Span]:
    """What is new of each timing: exports that were noted up to the same instant go together."""
    for timing in found:
        members = sorted((current[export.name] for export in timing.exports), key=lambda watched: watched.seen_until)
        for seen_until, group in groupby(members, key=lambda watched: watched.seen_until):
            if seen_until < now - GRACE:
                yield _Span(timing, list(group), now - GRACE)


def _former(project: Project, current: Mapping[str, Watch], everything: Iterable[Watch]) -> Iterator[_Span]:
    """What timings asked for until they were changed."""
    changed = [old for old in everything if old.export in current and old.timing != current[old.export].timing]
    timings_now = timing_of(project) if changed else {}
    for old in changed:
        timing = timings_now[old.export]
        schedule = old.former(timing)
        members = [export for export in timing.exports if schedule and export.name == old.export]
        before = replace(timing, schedule=schedule or timing.schedule, exports=members)
        yield _Span(before, [old], current[old.export].since, former=True)


def _note(project: Project, span: _Span, pauses: Pauses, now: datetime) -> None:
    """Note the ticks of the span, or as many as are allowed at once, and up to when that was done."""
    names = [watched.export for watched in span.watches]
    members = [export for export in span.timing.exports if export.name in names]
    most = max(1, _MOST_ROWS // len(names))
    timing = replace(span.timing, exports=members)
    ticks = _ticks(timing, span.seen_until, span.until, most) if members else []
    rows = _folded(row for tick in ticks for row in asked(timing, tick, pauses))
    with project.ledger.write() as connection:
        due.note(connection, rows, now)
        if len(ticks) == most:
            watches.advance(connection, span.watches, ticks[-1].tick)
        elif span.former:
            watches.end(connection, span.watches)
        else:
            watches.advance(connection, span.watches, span.until)


def _pass(project: Project, quiet: Iterable[_Span], until: datetime) -> None:
    """Go on to then, all in one transaction: with a thousand exports, each of their own would cost seconds."""
    passed = [watched for span in quiet for watched in span.watches]
    if passed:
        with project.ledger.write() as connection:
            watches.advance(connection, passed, until)


def _ticks(timing: Timing, after: datetime, until: datetime, most: int) -> list[Upcoming]:
    return list(islice(takewhile(lambda found: found.tick <= until, upcoming(timing, after)), most))


def asked(timing: Timing, tick: Upcoming, pauses: Pauses) -> Iterator[Asked]:
    """What the tick asks for of each export of the timing: its partition, or why not."""
    partition = tick.partition or tick.meant
    if partition is None:  # it lies before the first one
        return
    for export in timing.exports:
        pause = None if tick.skipped else pauses.skipping(export.name, timing.names, tick.tick)
        cause: Cause | None = "holiday" if tick.skipped else "paused" if pause else None
        yield Asked(
            export=export.name,
            partition=partition,
            schedule=timing.schedule_name,
            tick=tick.tick,
            cause=cause,
            reason=tick.skipped or (pause.reason if pause else None),
        )


def _folded(rows: Iterable[Asked]) -> list[Asked]:
    """One row for each partition: the first that asks for it, or else the first that does not."""
    found: dict[tuple[str, str], Asked] = {}
    for row in rows:
        known = found.setdefault((row.export, row.partition), row)
        if known.cause and not row.cause:
            found[row.export, row.partition] = row
    return list(found.values())


def _forget(project: Project, gone: Sequence[Watch]) -> None:
    if gone:
        with project.ledger.write() as connection:
            watches.end(connection, gone)
            due.abandon(connection, {watched.export for watched in gone}, _GONE)
