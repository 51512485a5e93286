"""The story without Dagster: open -> stream -> write -> publish -> Artifact."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from export_pipelines.checks.run import RunChecks
from export_pipelines.checks.totals import open_with_totals, split_totals
from export_pipelines.errors import EmptyExportError, OnEmptySkip, RowLimitExceededError, TransientError
from export_pipelines.formats.base import Document
from export_pipelines.formats.fileset import FileSet, plan_files
from export_pipelines.ledger import artifacts, runs
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.ledger.leases import Lease, acquire
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.metrics_file import MetricsFile
from export_pipelines.ledger.orphans import register_orphans
from export_pipelines.sources.base import Snapshot, Source
from export_pipelines.sources.stream import RecordStream
from export_pipelines.spec.naming import MANIFEST_NAME, safe_partition, stamp
from export_pipelines.spec.paths import directory_of
from export_pipelines.spec.resolved import ResolvedExport
from export_pipelines.storage.base import Placement, Staging, Store, storage_error
from export_pipelines.storage.manifest import CheckResult, Column, FileEntry, Manifest, WindowUtc
from export_pipelines.timing.partitions import Window
from export_pipelines.verify import reread

_log = logging.getLogger(__name__)
_WORDLESS: dict[type[BaseException], str] = {KeyboardInterrupt: "Stopped by Ctrl-C"}


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to produce: one partition of one export, by one run."""

    export: ResolvedExport
    partition: str
    run_id: str
    created_at: datetime
    scheduled_at: datetime | None = None
    row_limit: int | None = None
    window: Window
    """The partition's span of time, in the schedule's timezone."""

    @property
    def scope(self) -> str:
        """`export/partition` as path segments: what a lease and a staging directory belong to."""
        return f"{self.export.name}/{safe_partition(self.partition)}"


@dataclass(frozen=True, kw_only=True)
class Services:
    """What a run works with besides its request."""

    store: Store
    ledger: Ledger
    lease_seconds: float = 60
    lease_wait_seconds: float = 60
    metrics: MetricsFile | None = None


@dataclass(frozen=True)
class Artifact:
    """What a run published, its first rows to look at, and whether its checks held."""

    row: ArtifactRow
    preview: Mapping[str, pa.Table] = field(default_factory=dict)
    checks: Sequence[CheckResult] = ()
    """Those of the manifest, and what was found when the files were read again."""

    @property
    def manifest(self) -> Manifest:
        """What was published."""
        return self.row.manifest


class OpenExport:
    """Datasets whose queries have executed and whose rows nobody has read, under the partition's lease."""

    def __init__(self, request: Request, services: Services) -> None:
        self.request = request
        self.services = services
        self.streams: Mapping[str, RecordStream] = {}
        self.totals: Mapping[str, RecordStream] = {}
        """Dataset -> what its control query gives."""
        self.artifact: Artifact | None = None
        """What was published, afterwards."""
        self.lease: Lease
        self._stack = ExitStack()
        self.export_id = uuid.uuid4().hex
        """Of this attempt, and of the artifact that it publishes."""
        self._attempt = 0
        self._outcome: tuple[runs.State, dict[str, Any]] = ("failed", {})

    def open(self, snapshot: Callable[[], Snapshot]) -> Self:
        """Take the lease, delete what dead runs left, and execute the queries by calling `snapshot`."""
        request, services, name = self.request, self.services, self.request.export.name
        with self._stack:
            held = acquire(
                services.ledger,
                name,
                request.partition,
                ttl_seconds=services.lease_seconds,
                wait_seconds=services.lease_wait_seconds,
            )
            self.lease = self._stack.enter_context(held)
            self._started = datetime.now(UTC)
            self._attempt = runs.start(
                services.ledger,
                run_id=request.run_id,
                export=name,
                partition=request.partition,
                now=self._started,
                export_id=self.export_id,
                formats=",".join(_formats(request)),
            )
            self._stack.push(self._record)
            services.store.sweep(request.scope)
            register_orphans(services.ledger, services.store, export=name, partition=request.partition)
            self.streams, self.totals = split_totals(self._stack.enter_context(snapshot()).streams)
            self._check_empty()
            self._stack = self._stack.pop_all()
        return self

    def _check_empty(self) -> None:
        export, partition = self.request.export, self.request.partition
        if export.spec.on_empty == "write" or any(stream.peek() for stream in self.streams.values()):
            return
        what = f"export {export.name}, partition {partition}: no rows"
        if export.spec.on_empty == "skip":
            self.succeed("skipped", rows=0)
            raise OnEmptySkip(f"{what}, and `on_empty` is skip: nothing is published")
        hint = "Check that the data has arrived; `on_empty: write` publishes empty files instead"
        raise EmptyExportError(what, hint=hint)

    def announce(self, placement: Placement) -> None:
        """Tell the ledger what is about to be published."""
        services = self.services
        path = placement.manifest_path
        runs.announce(services.ledger, self._attempt, store=services.store.name, manifest_path=path)

    def succeed(self, state: runs.State, **outcome: Any) -> None:
        """Say how the attempt ended, for the ledger; without this it counts as failed."""
        self._outcome = (state, outcome)

    def _record(self, kind: Any, error: BaseException | None, _traceback: Any) -> None:
        state, outcome = self._outcome
        if error is not None and not isinstance(error, OnEmptySkip):
            text = str(error) or _WORDLESS.get(type(error), type(error).__name__)
            state, outcome = "failed", {"error": text, "hint": getattr(error, "hint", "") or None}
        outcome["finished_at"] = datetime.now(UTC)
        try:
            runs.finish(self.services.ledger, self._attempt, state, **outcome)
        except TransientError as failure:  # the record of a result never changes the result
            _log.warning("recording the run of %s: %s", self.request.export.name, failure)
        if self.services.metrics:
            self.services.metrics.append(self._row(state, outcome))

    def _row(self, state: runs.State, outcome: dict[str, Any]) -> runs.RunRow:
        """This attempt as the ledger has it."""
        request = self.request
        values = dict.fromkeys(("finished_at", "artifact_id", "rows", "bytes", "error")) | outcome
        return runs.RunRow(
            run_id=request.run_id,
            export=request.export.name,
            partition=request.partition,
            state=state,
            started_at=self._started,
            export_id=self.export_id,
            formats=",".join(_formats(request)),
            **values,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, tb)


def open_export(request: Request, source: Source, services: Services) -> OpenExport:
    """Open the export's datasets on one snapshot.

    The result must be entered as a context, with `publish` inside. Raises LeaseHeldError while another run publishes
    the partition, OnEmptySkip or EmptyExportError if there are no rows and the spec says so, and what `Source.open`
    raises.
    """
    return OpenExport(request, services).open(lambda: _open(request, source, totals=request.row_limit is None))


def preview(request: Request, source: Source, *, rows: int) -> dict[str, pa.Table]:
    """Dataset -> its first rows, at most `rows`; takes no lease, writes nothing. Raises what `Source.open` raises."""
    with _open(request, source, totals=False) as snapshot:
        return {name: _head(stream, rows) for name, stream in snapshot.streams.items()}


def _head(stream: RecordStream, rows: int) -> pa.Table:
    batches: list[pa.RecordBatch] = []
    missing = rows
    with stream:
        for batch in stream if rows else ():
            batches.append(batch.slice(0, missing))
            missing -= batches[-1].num_rows
            if not missing:
                break
    return pa.Table.from_batches(batches, stream.schema)


def _open(request: Request, source: Source, *, totals: bool) -> Snapshot:
    """The datasets' results and, with `totals`, those of their control queries."""
    start, end = request.window.utc()
    values = {
        "window_start": start,
        "window_end": end,
        "window_start_date": request.window.start.date(),
        "window_end_date": request.window.end.date(),
        "partition": request.partition,
    }
    datasets = request.export.spec.datasets
    return open_with_totals(source, datasets, values=values) if totals else source.open(datasets, values=values)


def publish(opened: OpenExport, *, on_rows: Callable[[int], None] = lambda _: None) -> Artifact:
    """Write every batch once through every format, and publish the files with their manifest.

    `on_rows` is called after each batch with the number of rows so far. Raises RowLimitExceededError, FormatError,
    StorageError, StorageUnavailableError, LeaseLostError, and what reading the source raises. Whatever it raises, this
    run published nothing.
    """
    began = time.monotonic()
    request, store = opened.request, opened.services.store
    checks = RunChecks(request.export.spec, active=request.row_limit is None)
    with _staging(opened) as staging:
        preview: dict[str, pa.Table] = {}
        entries, rows = _write(opened, staging, preview=preview, checks=checks, on_rows=on_rows)
        schemas = {name: [Column.of(f) for f in stream.schema] for name, stream in opened.streams.items()}
        seconds = round(time.monotonic() - began, 3)
        earlier = partial(artifacts.last_good, opened.services.ledger, request.export.name, before=request.window.start)
        results = checks.results(rows, schemas, totals=opened.totals, earlier=earlier)
        manifest = _manifest(opened, entries, rows=rows, schemas=schemas, seconds=seconds, checks=results)
        placement = _placement(request)
        row = ArtifactRow(store.name, placement.manifest_path, manifest, manifest.good)
        opened.announce(placement)
        store.publish(staging, placement, entries, manifest=manifest.to_json(), fence=_registering(opened, row))
    opened.succeed("published", artifact_id=manifest.artifact_id, rows=manifest.total_rows, bytes=manifest.total_bytes)
    opened.artifact = _reread(opened, Artifact(row, preview, results))
    return opened.artifact


def _reread(opened: OpenExport, artifact: Artifact) -> Artifact:
    """The artifact after its files were read again, if the spec says so."""
    if not opened.request.export.spec.reread or opened.request.row_limit is not None:
        return artifact
    result, row = reread(opened.services.store, artifact.row), artifact.row
    if not result.passed:
        artifacts.mark_bad(opened.services.ledger, row.manifest.artifact_id)
        row = replace(row, good=False)
    return replace(artifact, row=row, checks=[*artifact.checks, result])


@contextmanager
def _staging(opened: OpenExport) -> Iterator[Staging]:
    """A staging directory that is gone at the end unless it was published."""
    store, request = opened.services.store, opened.request
    staging = store.stage(request.scope, f"{opened.lease.fence}_{_run8(request)}")
    published = False
    try:
        yield staging
        published = True
    except OSError as error:
        raise storage_error(f"writing the files of export {request.export.name} to {staging.path}", error) from error
    finally:
        if not published:
            store.discard(staging)


def _write(
    opened: OpenExport,
    staging: Staging,
    *,
    preview: dict[str, pa.Table],
    checks: RunChecks,
    on_rows: Callable[[int], None],
) -> tuple[list[FileEntry], dict[str, int]]:
    request, spec = opened.request, opened.request.export.spec
    planned = plan_files(spec.formats, list(opened.streams), export=request.export.name, suffix=_suffix(request))
    files = FileSet(planned, create=staging.create, document=_document(request))
    try:
        for name, stream in opened.streams.items():
            files.begin(name, stream.schema)
            checks.begin(name, stream.schema)
            for batch in _limited(opened, name, stream):
                if spec.preview_rows and name not in preview:
                    preview[name] = pa.Table.from_batches([batch.slice(0, spec.preview_rows)])
                files.write(batch)
                checks.add(batch)
                opened.lease.check()
                on_rows(sum(files.rows.values()))
            files.end()
        return files.finish(), dict(files.rows)
    finally:
        files.close()


def _limited(opened: OpenExport, dataset: str, stream: RecordStream) -> Iterator[pa.RecordBatch]:
    """The batches up to the request's row limit; more than the spec's maximum is an error."""
    export, limit = opened.request.export, opened.request.row_limit
    seen = 0
    for whole in stream:
        batch = whole if limit is None else whole.slice(0, limit - seen)
        seen += batch.num_rows
        if seen > export.max_rows:
            raise RowLimitExceededError(
                f"export {export.name}, dataset {dataset}: more than {export.max_rows:,} rows",
                hint="Narrow the query, or raise `max_rows` (default: EXPORT_MAX_RECORDS)",
            )
        if batch.num_rows:
            yield batch
        if seen == limit:
            stream.close()
            return


@contextmanager
def _registering(opened: OpenExport, row: ArtifactRow) -> Iterator[None]:
    """The moment of publishing: nobody else can hold the lease, and the ledger learns of it."""
    with opened.lease.fenced() as connection:
        yield
        artifacts.register(connection, row)


def _manifest(opened: OpenExport, files: list[FileEntry], **measured: Any) -> Manifest:
    request = opened.request
    start, end = request.window.utc()
    return Manifest(
        artifact_id=opened.export_id,
        export=request.export.name,
        partition=request.partition,
        window=WindowUtc(start=start, end=end),
        scheduled_at=request.scheduled_at,
        run_id=request.run_id,
        created_at=request.created_at,
        spec_sha256=request.export.spec_sha256,
        row_limit=request.row_limit,
        files=files,
        **measured,
    )


def _placement(request: Request) -> Placement:
    flat = request.export.spec.layout == "flat"
    directory = directory_of(
        request.export,
        request.partition,
        window_start=request.window.start,
        run_id=request.run_id,
        created_at=request.created_at,
    )
    name = f"{request.export.name}{_suffix(request)}.{MANIFEST_NAME}" if flat else MANIFEST_NAME
    return Placement(directory=directory, manifest_name=name, shared=flat)


def _document(request: Request) -> Document:
    window = request.window
    return Document(
        export=request.export.name,
        partition=request.partition,
        description=request.export.spec.description,
        window_start=window.start,
        window_end=window.end,
        created_at=request.created_at.astimezone(window.start.tzinfo),
        spreadsheet_safe=request.export.spec.spreadsheet_safe,
    )


def _suffix(request: Request) -> str:
    """What ends the file names of the flat layout: `_{run8}_{YYYYMMDD_HHMMSS}`."""
    flat = request.export.spec.layout == "flat"
    return f"_{_run8(request)}_{stamp(request.created_at)}" if flat else ""


def _formats(request: Request) -> list[str]:
    """The names of the export's formats, each once."""
    return list(dict.fromkeys(format.type for format in request.export.spec.formats))


def _run8(request: Request) -> str:
    return request.run_id[:8]
