"""First steps: the plan, and then, in one transaction with the same plan made anew, the decisions that follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from export_pipelines.crash import passing
from export_pipelines.errors import ExportError
from export_pipelines.ledger import artifacts, deletions
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.ledger.deletions import Decision
from export_pipelines.retention.passes import Pass
from export_pipelines.retention.plan import Deletion, Plan
from export_pipelines.retention.policy import Policy
from export_pipelines.retention.survey import survey, survey_in
from export_pipelines.spec.naming import safe_partition


def survey_all(work: Pass) -> None:
    """Make the plan of what was ordered; what it refuses is noted as an error. Raises LedgerUnavailableError."""
    order = work.order
    work.plan = survey(work.project, order.now, exports=order.exports, policy=order.policy)
    work.errors += [refusal.message for refusal in work.plan.refused if not order.insist]


def decide(work: Pass) -> None:
    """Record as decided what the plan allows. Raises LedgerUnavailableError, LeaseHeldError.

    Left out are exports whose last copy is not in its store as it should be, and what has changed since the plan.
    """
    order, project = work.order, work.project
    wanted = work.plan.allowed(insist=order.insist)
    if not wanted:
        return
    with work.working() as lease:
        if not work.may_go_on(lease):
            return
        lost = dict(_lost(work, {gone.item.export for gone in wanted}))
        for export, message in lost.items():
            work.fail(f"{export}: {message}; nothing of it is deleted")
        with lease.fenced() as connection:
            free = deletions.lock(connection, [gone.item.artifact_id for gone in wanted])
            fresh = survey_in(connection, project.specs, order.now, exports=order.exports, policy=order.policy)
            agreed = free & _agreed(work.plan, fresh)
            chosen = [gone for gone in wanted if gone.item.artifact_id in agreed and gone.item.export not in lost]
            decisions = [_decision(gone, project.specs.exports[gone.item.export].timezone) for gone in chosen]
            deletions.decide(connection, decisions, batch=order.batch, by=order.by, at=order.now)
    passing("plan_made")


def _lost(work: Pass, exports: set[str]) -> Iterator[tuple[str, str]]:
    """Exports whose last copy is not there in full size, with what is missing."""
    newest = {item.artifact_id: export for export, item in work.plan.newest.items() if export in exports}
    for artifact_id, row in artifacts.by_id(work.project.ledger, sorted(newest)).items():
        try:
            missing = _missing(work, row)
        except ExportError as error:
            missing = str(error)
        if missing:
            yield newest[artifact_id], f"its newest good artifact {artifact_id[:8]} cannot be relied on: {missing}"


def _missing(work: Pass, row: ArtifactRow) -> str:
    store = work.store(row.store)
    expected: Mapping[str, int | None] = {row.path_of(entry.name): entry.bytes for entry in row.manifest.files}
    for path, octets in {row.manifest_path: None, **expected}.items():
        found = store.size(path)
        if found is None:
            return f"{store.uri(path)} does not exist"
        if octets is not None and found != octets:
            return f"{store.uri(path)} has {found} bytes, not {octets}"
    return ""


def _agreed(plan: Plan, fresh: Plan) -> set[str]:
    """What both plans delete, of exports whose last copy is the same in both."""
    same = {export for export, item in fresh.newest.items() if plan.newest.get(export) == item}
    before = {gone.item.artifact_id for gone in plan.delete}
    return {gone.item.artifact_id for gone in fresh.delete if gone.item.export in same} & before


def _decision(gone: Deletion, timezone: str) -> Decision:
    item, archive = gone.item, gone.archive
    if archive is None:
        return Decision(artifact_id=item.artifact_id, why=gone.reason)
    if archive.per == "month" and item.window_start is not None:
        group = f"{Policy(None, timezone).day(item.window_start):%Y-%m}"
    else:
        group = f"{safe_partition(item.span)}_{item.artifact_id[:8]}"
    return Decision(
        artifact_id=item.artifact_id,
        why=gone.reason,
        archive_store=archive.store,
        archive_format=archive.format,
        archive_group=group,
    )
