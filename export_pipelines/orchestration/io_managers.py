"""IO managers that publish: they consume what an asset returns and leave an artifact."""

from __future__ import annotations

import time
from typing import Any

import dagster as dg

from export_pipelines.export import publish
from export_pipelines.ledger import artifacts
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.ledger.workers import working
from export_pipelines.opening import Artifact, OpenExport
from export_pipelines.orchestration.failures import failing_clearly
from export_pipelines.orchestration.frames import open_frames
from export_pipelines.orchestration.metadata import describe
from export_pipelines.orchestration.ranges import Ranged, made_by, resumed_from
from export_pipelines.orchestration.repeated import earlier_artifact
from export_pipelines.pace import pace_of
from export_pipelines.project import Project

_LOG_SECONDS = 10


class ArtifactIOManager(dg.IOManager):
    """Publishes an export, or what a hand-written asset returns, to one store; loads as the registered artifact."""

    def __init__(self, project: Project, store: str) -> None:
        self.project = project
        self.store = store

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write, publish, and describe the materialization.

        `obj` is an OpenExport, or a pandas DataFrame, a pyarrow Table or RecordBatchReader, or a dict of such by
        dataset; or Ranged, of which nothing is left to do. Ends the step without retry on a permanent error.
        """
        if isinstance(obj, Ranged):
            return
        with failing_clearly():
            opened = obj if isinstance(obj, OpenExport) else open_frames(context, obj, self.project, self.store)
            with opened:
                artifact = publish(opened, on_rows=Progress(context.log, opened))
            context.add_output_metadata(describe(artifact, opened.services.store))
            if opened is not obj:
                _report(context, artifact)  # an export's asset does that itself

    def load_input(self, context: dg.InputContext) -> ArtifactRow | list[ArtifactRow]:
        """The artifact that the upstream run published: never another run's, even if it is newer.

        Of a run of several partitions a list, oldest partition first; also what runs have published that it continues
        after a failure.
        Raises dg.Failure if there is none, or one of which a blocking check failed.
        """
        upstream, name = context.upstream_output, context.asset_key.path[-1]
        run_id = upstream.run_id if upstream else ""
        run = context.instance.get_run_by_id(run_id) if _is_ranged(context) else None
        if run is None:
            found = artifacts.find(self.project.ledger, export=name, run_id=run_id, limit=1)
            found = found or earlier_artifact(self.project, context.instance, name, run_id)
        else:
            made = made_by(self.project.ledger, name, [run_id, *resumed_from(context.instance, run)])
            found = sorted(made.values(), key=lambda row: row.manifest.window.start)
        if not found:
            raise dg.Failure(
                f"run {run_id} published no artifact of {context.asset_key.to_user_string()}", allow_retries=False
            )
        for bad in (row for row in found if not row.good):
            what = f"artifact {bad.manifest.artifact_id} of {context.asset_key.to_user_string()}"
            raise dg.Failure(f"a blocking check of {what} failed", allow_retries=False)
        return found[0] if run is None else found


def _is_ranged(context: dg.InputContext) -> bool:
    """Whether several partitions of the asset are asked for."""
    if not context.has_asset_partitions:
        return False
    asked = context.asset_partition_key_range
    return asked.start != asked.end


def _report(context: dg.OutputContext, artifact: Artifact) -> None:
    """Log the checks that failed. Raises dg.Failure if one of them is blocking."""
    failed = [check for check in artifact.checks if not check.passed]
    for check in failed:
        context.log.warning(f"check {check.name} failed: {check.message}")
    if any(check.blocking for check in failed):
        names = ", ".join(check.name for check in failed if check.blocking)
        raise dg.Failure(f"blocking checks failed: {names}", allow_retries=False)


class LocalArtifactIOManager(ArtifactIOManager):
    """Publishes to a directory."""


class S3ArtifactIOManager(ArtifactIOManager):
    """Publishes to a bucket."""


_CLASSES = {"local": LocalArtifactIOManager, "s3": S3ArtifactIOManager}


def io_manager(project: Project, store: str) -> dg.IOManagerDefinition:
    """The IO manager of the store; connects to nothing. While a run uses it, the ledger knows that the run is alive."""
    manager = _CLASSES[project.specs.stores[store].type](project, store)

    def _use(context: dg.InitResourceContext) -> Any:  # Dagster's annotation does not know of generators
        if context.run is None:  # somebody loads an artifact outside a run
            yield manager
            return
        with working(project.ledger, context.run.run_id, store, ttl_seconds=project.settings.lease_seconds):
            yield manager

    return dg.IOManagerDefinition(resource_fn=_use, description=f"Publishes to the store {store}")


class Progress:
    """Logs rows, rows per second, and when it will probably be done, at most every ten seconds."""

    def __init__(self, log: dg.DagsterLogManager, opened: OpenExport) -> None:
        self._log = log
        self._last = time.monotonic()
        self._pace = pace_of(opened.request, opened.services.ledger)

    def __call__(self, rows: int) -> None:
        now = time.monotonic()
        if now - self._last >= _LOG_SECONDS:
            self._last = now
            self._log.info(str(self._pace.seen(rows)))
