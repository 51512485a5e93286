"""Last step: what came of a pass, and who is told."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from export_pipelines.ledger import deletions
from export_pipelines.ledger.deletions import DeletionRow
from export_pipelines.notify import events
from export_pipelines.notify.events import Sighting
from export_pipelines.retention.passes import Pass
from export_pipelines.retention.plan import Plan
from export_pipelines.text import counted, size

_ITEMS = 500  # of a notification


@dataclass(frozen=True)
class Outcome:
    """What a pass did. Bytes are those of the artifacts that were deleted."""

    plan: Plan
    rows: Sequence[DeletionRow]
    """Everything that was decided, and what came of it."""
    swept: Sequence[str]
    errors: Sequence[str]

    @property
    def deleted(self) -> list[DeletionRow]:
        """What was deleted."""
        return [row for row in self.rows if row.outcome == "deleted"]

    @property
    def archived(self) -> int:
        """How many of these are in an archive."""
        return sum(row.sealed for row in self.deleted)

    @property
    def bytes(self) -> int:
        """Bytes that were deleted."""
        return sum(row.bytes for row in self.deleted)

    @property
    def kept(self) -> int:
        """Artifacts whose files are still there."""
        return len(self.plan.keep) + len(self.plan.delete) - len(self.deleted)

    def summary(self) -> str:
        """One sentence."""
        archived = f", {self.archived:,} of them archived" if self.archived else ""
        swept = f"; leftovers of {counted(len(self.swept), 'failed run')} swept" if self.swept else ""
        return (
            f"{counted(len(self.deleted), 'artifact')} deleted, {size(self.bytes)}{archived}; {self.kept:,} kept{swept}"
        )


def report(work: Pass) -> Outcome:
    """What came of the pass; whoever should hear of cleanups is told, if there is something to tell."""
    rows = deletions.of_batches(work.project.ledger, {work.order.batch, *work.batches})
    outcome = Outcome(work.plan, rows, work.swept, work.errors)
    if (outcome.deleted or outcome.errors) and not work.order.dry_run:
        events.record(work.project, [_sighting(work, outcome)])
    return outcome


def _sighting(work: Pass, outcome: Outcome) -> Sighting:
    lines = [f"{row.export} {row.span}, {size(row.bytes)}: {row.why}" for row in outcome.deleted]
    more = [f"and {len(lines) - _ITEMS:,} more, see: exports artifacts --deleted"] if lines[_ITEMS:] else []
    return Sighting(
        key=_key(work.order.batch),
        kind="cleanup",
        level="failure" if outcome.errors else None,
        happened_at=datetime.now(UTC),
        details={
            "deleted": len(outcome.deleted),
            "bytes": outcome.bytes,
            "archived": outcome.archived,
            "kept": outcome.kept,
            "errors": list(outcome.errors[:_ITEMS]),
            "items": [*lines[:_ITEMS], *more],
        },
    )


def unreported(work: Pass, batches: Collection[str]) -> set[str]:
    """Those of the batches that nobody was told of."""
    known = events.known(work.project.ledger, [_key(batch) for batch in batches])
    return {batch for batch in batches if _key(batch) not in known}


def _key(batch: str) -> str:
    return f"cleanup:{batch}"
