"""Retention as one story: recover -> plan -> decide -> archive -> delete -> sweep -> report.

Each step works on what the ledger says is on its way, so that one that is killed is taken up by the next pass.
"""

from __future__ import annotations

from collections.abc import Callable

from export_pipelines.retention.archiving import archive
from export_pipelines.retention.decide import decide, survey_all
from export_pipelines.retention.deleting import delete
from export_pipelines.retention.passes import Pass
from export_pipelines.retention.recover import recover
from export_pipelines.retention.report import Outcome, report
from export_pipelines.retention.sweep import sweep

Step = Callable[[Pass], None]

STEPS: dict[str, tuple[Step, ...]] = {
    "plan": (recover, survey_all, decide),
    "archive": (archive,),
    "delete": (delete,),
    "sweep": (sweep,),
}
"""Name -> what it does, in this order; after them comes `report`."""


def perform(work: Pass, name: str) -> None:
    """One step. A dry run makes the plan and touches nothing."""
    for step in STEPS[name]:
        if step is survey_all or not work.order.dry_run:
            step(work)


def prune(work: Pass) -> Outcome:
    """All steps, one after the other. Raises LeaseHeldError if another pass is at work, LedgerUnavailableError."""
    for name in STEPS:
        perform(work, name)
    return report(work)
