"""Retention as a Dagster job: every step of `retention.prune` is an op. It runs by schedule or from the launchpad."""

from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import dagster as dg
from pydantic import Field, ValidationError

from export_pipelines.ledger import deletions
from export_pipelines.orchestration.assets import asset_key
from export_pipelines.orchestration.history import tidy
from export_pipelines.orchestration.upkeep import LISTED, RETENTION, TAGS, TELLING, at_work, listed
from export_pipelines.project import Project
from export_pipelines.retention.passes import Order, Pass
from export_pipelines.retention.prune import perform
from export_pipelines.retention.report import report
from export_pipelines.spec.retention import RetentionSpec


class RetentionConfig(dg.Config):
    """What somebody may change in the launchpad."""

    dry_run: bool = Field(False, description="Make the plan and show it; delete nothing.")
    exports: list[str] = Field([], description="Only these exports; none are all.")
    policy: dict[str, Any] = Field({}, description="A policy in place of each export's own, such as {keep_days: 30}.")
    yes_really: bool = Field(False, description="Delete also what is refused because it is so much at once.")


def retention_job(project: Project) -> dg.JobDefinition:
    """The ops job `retention`."""
    plan, archive, delete, sweep = (make(project) for make in (_plan, _archive, _delete, _sweep))
    report_outcome, history = _report_outcome(project), _history(project)

    @dg.job(
        name=RETENTION,
        description="Deletes what the retention policies do not keep, and archives it first where they say so",
        executor_def=dg.in_process_executor,
        resource_defs={"io_manager": dg.mem_io_manager},
        tags=TAGS,
    )
    def _retention() -> None:
        work = sweep(delete(archive(plan())))
        report_outcome(work)
        history(work)

    return _retention


def _plan(project: Project) -> dg.OpDefinition:
    @dg.op(description="Ends what an earlier pass left, and decides what goes")
    def plan(context: dg.OpExecutionContext, config: RetentionConfig) -> Pass:
        with at_work(context, project):
            work = Pass(project, _order(context, project, config))
            perform(work, "plan")
        found = work.plan
        texts = [f"{gone.item.export} {gone.item.span}: {gone.reason}" for gone in found.delete]
        counts = {"kept": len(found.keep), "to delete": len(found.delete), "bytes to delete": found.bytes_deleted}
        context.add_output_metadata({**counts, **listed("deletions", texts), **listed("notes", found.notes)})
        return work

    return plan


def _archive(project: Project) -> dg.OpDefinition:
    @dg.op(description="Packs what must be archived first, and reads it again")
    def archive(context: dg.OpExecutionContext, work: Pass) -> Pass:
        with at_work(context, project):
            perform(work, "archive")
        rows = deletions.underway(project.ledger, batch=work.order.batch)
        context.add_output_metadata({"archived": sum(row.sealed for row in rows)})
        return work

    return archive


def _delete(project: Project) -> dg.OpDefinition:
    @dg.op(description="Deletes files, manifests first, and records it")
    def delete(context: dg.OpExecutionContext, work: Pass) -> Pass:
        with at_work(context, project):
            perform(work, "delete")
        rows = deletions.of_batches(project.ledger, [work.order.batch])
        gone = sorted((row for row in rows if row.outcome == "deleted"), key=lambda row: row.export)
        for export, members in groupby(gone, key=lambda row: row.export):
            context.log_event(_observation(export, list(members)))
        context.add_output_metadata({"deleted": len(gone), "bytes": sum(row.bytes for row in gone)})
        return work

    return delete


def _sweep(project: Project) -> dg.OpDefinition:
    @dg.op(description="Deletes what failed and killed runs left in staging areas")
    def sweep(context: dg.OpExecutionContext, work: Pass) -> Pass:
        with at_work(context, project):
            perform(work, "sweep")
        context.add_output_metadata({"swept": len(work.swept), **listed("leftovers", work.swept)})
        return work

    return sweep


def _report_outcome(project: Project) -> dg.OpDefinition:
    @dg.op(
        name=TELLING,
        description="Says what was done; fails if something was refused or could not be done",
        out=dg.Out(dg.Nothing),
    )
    def report_outcome(context: dg.OpExecutionContext, work: Pass) -> None:
        with at_work(context, project):
            outcome = report(work)
        counts = {"deleted": len(outcome.deleted), "archived": outcome.archived, "kept": outcome.kept}
        context.log.info(outcome.summary())
        metadata: dict[str, Any] = {
            **counts,
            "bytes": outcome.bytes,
            "swept": len(outcome.swept),
            **listed("errors", outcome.errors),
        }
        context.add_output_metadata(metadata)
        if outcome.errors:
            raise dg.Failure("; ".join(outcome.errors[:LISTED]), metadata=metadata, allow_retries=False)

    return report_outcome


def _history(project: Project) -> dg.OpDefinition:
    @dg.op(description="Forgets old history of the ledger and old runs of Dagster", out=dg.Out(dg.Nothing))
    def history(context: dg.OpExecutionContext, work: Pass) -> None:
        if work.order.dry_run:
            return
        with at_work(context, project):
            done = tidy(project, context.instance, work.order.now)
        for name, found in (("ledger", done.ledger), ("Dagster", done.dagster)):
            context.log.info(f"{name}: {'all history stays' if found is None else vars(found)}")
        counts = {"deleted runs": done.dagster.deleted, "kept runs": done.dagster.kept} if done.dagster else {}
        attempts = (
            {"deleted attempts": done.ledger.attempts, "deleted events": done.ledger.events} if done.ledger else {}
        )
        context.add_output_metadata({**counts, **attempts})

    return history


def _order(context: dg.OpExecutionContext, project: Project, config: RetentionConfig) -> Order:
    """Raises dg.Failure if the policy is none, SpecError if there is no such export."""
    for name in config.exports:
        project.export(name)
    try:
        policy = RetentionSpec.model_validate(config.policy) if config.policy else None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise dg.Failure(f"policy: {where}: {first['msg']}", allow_retries=False) from error
    return Order(
        by=f"Dagster run {context.run_id}",
        now=datetime.now(UTC),
        batch=context.run_id,
        exports=tuple(config.exports) or None,
        policy=policy,
        insist=config.yes_really,
        dry_run=config.dry_run,
    )


def _observation(export: str, rows: list[deletions.DeletionRow]) -> dg.AssetObservation:
    archived = sum(row.sealed for row in rows)
    metadata = {"deleted": len(rows), "bytes": sum(row.bytes for row in rows), "archived": archived}
    text = f"retention deleted {len(rows):,} artifacts"
    partitions = listed("partitions", [f"{row.span}: {row.why}" for row in rows])
    return dg.AssetObservation(asset_key(export), description=text, metadata={**metadata, **partitions})
