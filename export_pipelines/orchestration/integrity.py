"""Published files read again in Dagster: by the job `verify`, and where somebody asks for the check `integrity`."""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from export_pipelines.errors import SpecError
from export_pipelines.integrity.pace import due, overdue
from export_pipelines.integrity.passes import Pass, Seen, read_due, read_now
from export_pipelines.ledger import artifacts, readings
from export_pipelines.ledger.readings import Unread
from export_pipelines.orchestration.assets import asset_key
from export_pipelines.orchestration.checks import INTEGRITY, integrity_specs
from export_pipelines.orchestration.upkeep import LISTED, TAGS, VARIABLES, VERIFY, at_work, listed
from export_pipelines.project import Project
from export_pipelines.spec.naming import ends_of
from export_pipelines.spec.resolved import ResolvedExport
from export_pipelines.text import counted, size
from export_pipelines.timing.cron import next_ticks
from export_pipelines.timing.partitions import keys_between

_READ_SECONDS = 5 * 60 * 60  # nothing more is begun then, well before the run would be ended; the next pass goes on


class VerifyConfig(dg.Config):
    """What somebody may change in the launchpad."""

    days: float | None = Field(
        None, ge=0, description="Read everything now that was not read within so many days; 0 is all there is."
    )


_NOTHING = dg.Out(dg.Nothing)


def verify_job(project: Project) -> dg.JobDefinition:
    """The ops job `verify`."""

    @dg.op(description="Reads published files and archives again, those first that were not for longest", out=_NOTHING)
    def read_again(context: dg.OpExecutionContext, config: VerifyConfig) -> Iterator[Any]:
        now, found = datetime.now(UTC), Pass()
        with at_work(context, project):
            items, notified = _items(project, config, now), readings.notified(project.ledger)
            for seen in read_due(project, now, items, found=found, seconds=_READ_SECONDS):
                yield from evaluations(project, seen, notified=notified)
        metadata = _metadata(found, now)
        _conclude(context, found, metadata)
        yield dg.Output(None, metadata=metadata)

    @dg.job(
        name=VERIFY,
        description="Reads published files and archives again and compares them with what was written",
        executor_def=dg.in_process_executor,
        tags=TAGS,
    )
    def _verify() -> None:
        read_again()

    return _verify


def integrity_checks(project: Project, exports: Sequence[ResolvedExport]) -> list[dg.AssetChecksDefinition]:
    """The check `integrity` of all exports, as one definition; none where there are no exports.

    It is a step of its own, in runs that are asked for in the UI or on the command line. Schedules do without.
    """
    if not exports:
        return []
    assets = {asset_key(export.name): export for export in exports}
    keys = {key.to_python_identifier(): key for key in assets}

    @dg.op(
        name=INTEGRITY,
        description="Reads the newest files of the partition again; without one, those that were published last",
        ins=dict.fromkeys(keys, dg.In(dg.Nothing)),
        out=dict.fromkeys(keys, dg.Out(dg.Nothing, is_required=False)),
    )
    def _integrity(context: dg.OpExecutionContext) -> Iterator[Any]:
        names = sorted(key.asset_key.path[-1] for key in context.selected_asset_check_keys)
        now, found = datetime.now(UTC), Pass()
        with at_work(context, project):
            items = _newest(project, names, _asked(context))
            outputs = set()
            for seen in read_now(project, now, list(items), found=found):
                for one in seen:
                    if one.export not in outputs:
                        yield dg.Output(None, asset_key(one.export).to_python_identifier())
                    outputs.add(one.export)
                    yield from (_evaluation(one, key) for key in items[one.item] or partitions_of(project, one))
        _conclude(context, found, _metadata(found, now))

    specs = {spec.asset_key.to_python_identifier(): spec for spec in integrity_specs(assets)}
    made = dg.AssetChecksDefinition.create(  # in half the time of the decorator, which makes each input and output anew
        keys_by_input_name=keys, node_def=_integrity, check_specs_by_output_name=specs, can_subset=True
    )
    return [made]


def evaluations(
    project: Project, seen: Sequence[Seen], *, notified: Collection[tuple[str, str]]
) -> Iterator[dg.AssetCheckEvaluation]:
    """The check `integrity` of partitions whose newest artifact is damaged, or is right again.

    Right again are also the partitions of which damage was `notified`, as (export, partition): they may have been
    repaired, or produced anew, without Dagster. The evaluations belong to the run: Dagster keeps one evaluation of a
    partition by a run, so also one by none.
    """
    for one in seen:
        if one.item.what != "artifact" or one.export not in project.specs.exports:
            continue
        if not (one.findings or one.repaired or (one.export, one.partition) in notified):
            continue
        yield from (_evaluation(one, key) for key in partitions_of(project, one))


def partitions_of(project: Project, one: Seen) -> list[str]:
    """The partitions of which the artifact is the newest: who uses another one of them uses another artifact."""
    first, last = ends_of(one.partition or "")
    export = project.specs.exports[one.export]
    try:
        keys = [first] if first == last else list(keys_between(export.spec.partition, first, last, export.timezone))
    except SpecError:  # the export's partitions are others now
        keys = [first]
    newest = ((key, artifacts.find(project.ledger, export=one.export, partition=key, limit=1)) for key in keys)
    return [key for key, found in newest if found and found[0].manifest.artifact_id == one.item.id]


def _asked(context: dg.OpExecutionContext) -> list[str | None]:
    """The partitions of the run; None if it has none."""
    if context.has_partition_key_range:
        return list(context.partition_keys)
    return [context.partition_key if context.has_partition_key else None]


def _newest(project: Project, names: Sequence[str], partitions: Sequence[str | None]) -> dict[Unread, list[str]]:
    """The newest artifact of each export, or of each of these partitions of it -> those of them that it is for."""
    found: dict[Unread, list[str]] = {}
    for partition in partitions:
        for item in readings.newest(project.ledger, names, partition=partition):
            found.setdefault(item, []).extend([partition] if partition else [])
    return found


def _evaluation(one: Seen, partition: str) -> dg.AssetCheckEvaluation:
    """What reading the artifact found, for a partition of it."""
    texts = [f"{found.kind}: {found.path}: {found.message}" for found in one.findings]
    right = (
        "read again: the files are right again" if one.repaired else "read again: the files are as they were written"
    )
    return dg.AssetCheckEvaluation(
        asset_key=asset_key(one.export),
        check_name=INTEGRITY,
        partition=partition,
        passed=not texts,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(texts[:LISTED]) or right,
        metadata={"artifact": one.item.id, "store": one.item.store, "bytes": one.item.bytes},
    )


def _conclude(context: dg.OpExecutionContext, found: Pass, metadata: dict[str, Any]) -> None:
    """Log what was found. Raises dg.Failure if something could not be read."""
    for finding in found.damaged:
        context.log.error(f"{finding.kind} {finding.store}:{finding.path}: {finding.message}")
    context.log.info(_summary(found))
    if found.errors:
        texts = [f"store {error.store}: {error.message}" for error in found.errors]
        raise dg.Failure("; ".join(texts[:LISTED]), metadata=metadata, allow_retries=False)


def _items(project: Project, config: VerifyConfig, now: datetime) -> list[Unread]:
    if config.days is not None:
        return overdue(project.ledger, now, days=config.days)
    cron = project.settings.cron(VARIABLES[VERIFY])
    following = next(next_ticks(cron, "UTC", now + timedelta(minutes=1))) if cron else now + timedelta(days=1)
    return due(project.ledger, now, days=project.settings.number("EXPORT_VERIFY_DAYS"), following=following)


def _summary(found: Pass) -> str:
    read = f"{counted(found.artifacts, 'artifact')} and {counted(found.archives, 'archive')}"
    wrong = f"{len(found.damaged):,} damaged or missing files" if found.damaged else "all as they were written"
    left = f"; {found.left:,} were not read" if found.left else ""
    return f"{read} read again, {size(found.bytes)}: {wrong}{left}"


def _metadata(found: Pass, now: datetime) -> dict[str, Any]:
    values: dict[str, Any] = {
        "artifacts": found.artifacts,
        "archives": found.archives,
        "files": found.files,
        "bytes": found.bytes,
        "damaged": len(found.damaged),
        "repaired": len(found.repaired),
        "errors": len(found.errors),
        "not read": found.left,
    }
    if found.unread_since:
        values["longest unread, days"] = round((now - found.unread_since) / timedelta(days=1), 2)
    return values | listed("damage", [f"{f.kind} `{f.store}:{f.path}`: {f.message}" for f in found.damaged])
