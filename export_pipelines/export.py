"""The story without Dagster: open -> stream -> write -> publish -> Artifact."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from export_pipelines.errors import EmptyExportError, OnEmptySkip, RowLimitExceededError, TransientError
from export_pipelines.formats.base import Document
from export_pipelines.formats.fileset import FileSet, plan_files
from export_pipelines.ledger import artifacts, runs
from export_pipelines.ledger.artifacts import ArtifactRow, open_artifact
from export_pipelines.ledger.leases import Lease, acquire
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.sources.base import Snapshot, Source
from export_pipelines.sources.stream import RecordStream
from export_pipelines.spec.naming import MANIFEST_NAME, safe_partition, stamp
from export_pipelines.spec.paths import directory_of
from export_pipelines.spec.resolved import ResolvedExport
from export_pipelines.storage.base import Placement, Staging, Store, storage_error
from export_pipelines.storage.manifest import Column, FileEntry, Manifest, WindowUtc
from export_pipelines.timing.partitions import Window

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


@dataclass(frozen=True)
class Artifact:
    """What a run published, and its first rows to look at."""

    row: ArtifactRow
    preview: Mapping[str, pa.Table] = field(default_factory=dict)

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
        self.lease: Lease
        self._stack = ExitStack()
        self._attempt = 0
        self._outcome: tuple[runs.State, dict[str, Any]] = ("failed", {})

    def open(self, snapshot: Callable[[], Snapshot]) -> Self:
        """Take the lease, delete what dead runs left, and execute the queries by calling `snapshot`."""
        request, services = self.request, self.services
        with self._stack:
            held = acquire(
                services.ledger,
                request.export.name,
                request.partition,
                ttl_seconds=services.lease_seconds,
                wait_seconds=services.lease_wait_seconds,
            )
            self.lease = self._stack.enter_context(held)
            self._attempt = runs.start(
                services.ledger,
                run_id=request.run_id,
                export=request.export.name,
                partition=request.partition,
                now=datetime.now(UTC),
            )
            self._stack.push(self._record)
            services.store.sweep(request.scope)
            _register_orphans(request, services)
            self.streams = self._stack.enter_context(snapshot()).streams
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
            state, outcome = "failed", {"error": str(error) or _WORDLESS.get(type(error), type(error).__name__)}
        try:
            runs.finish(self.services.ledger, self._attempt, state, **outcome)
        except TransientError as failure:  # the record of a result never changes the result
            _log.warning("recording the run of %s: %s", self.request.export.name, failure)

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
    return OpenExport(request, services).open(lambda: _open(request, source))


def preview(request: Request, source: Source, *, rows: int) -> dict[str, pa.Table]:
    """Dataset -> its first rows, at most `rows`; takes no lease, writes nothing. Raises what `Source.open` raises."""
    with _open(request, source) as snapshot:
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


def _open(request: Request, source: Source) -> Snapshot:
    """The datasets' results, with the values that every query may use."""
    start, end = request.window.utc()
    values = {
        "window_start": start,
        "window_end": end,
        "window_start_date": request.window.start.date(),
        "window_end_date": request.window.end.date(),
        "partition": request.partition,
    }
    return source.open(request.export.spec.datasets, values=values)


def publish(opened: OpenExport, *, on_rows: Callable[[int], None] = lambda _: None) -> Artifact:
    """Write every batch once through every format, and publish the files with their manifest.

    `on_rows` is called after each batch with the number of rows so far. Raises RowLimitExceededError, FormatError,
    StorageError, StorageUnavailableError, LeaseLostError, and what reading the source raises. Whatever it raises, this
    run published nothing.
    """
    began = time.monotonic()
    request, store = opened.request, opened.services.store
    with _staging(opened) as staging:
        preview: dict[str, pa.Table] = {}
        entries, rows = _write(opened, staging, preview, on_rows)
        schemas = {name: _columns(stream.schema) for name, stream in opened.streams.items()}
        seconds = round(time.monotonic() - began, 3)
        manifest = _manifest(request, entries, rows=rows, schemas=schemas, seconds=seconds)
        placement = _placement(request)
        row = ArtifactRow(store.name, placement.manifest_path, manifest)
        opened.announce(placement)
        store.publish(staging, placement, entries, manifest=manifest.to_json(), fence=_registering(opened, row))
    opened.succeed("published", artifact_id=manifest.artifact_id, rows=manifest.total_rows, bytes=manifest.total_bytes)
    return Artifact(row, preview)


def _register_orphans(request: Request, services: Services) -> None:
    """Register artifacts whose run died after their manifest appeared and before the ledger's commit."""
    store, ledger = services.store, services.ledger
    orphans = runs.unsettled(ledger, export=request.export.name, partition=request.partition, store=store.name)
    for number, path in orphans.items():
        row = open_artifact(store, path) if store.size(path) is not None else None
        with ledger.write() as connection:
            if row and not artifacts.is_registered(connection, row.manifest.artifact_id):
                artifacts.register(connection, row)
            runs.settle(connection, number, row.manifest.artifact_id if row else None)


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
    opened: OpenExport, staging: Staging, preview: dict[str, pa.Table], on_rows: Callable[[int], None]
) -> tuple[list[FileEntry], dict[str, int]]:
    request, spec = opened.request, opened.request.export.spec
    planned = plan_files(spec.formats, list(opened.streams), export=request.export.name, suffix=_suffix(request))
    files = FileSet(planned, create=staging.create, document=_document(request))
    try:
        for name, stream in opened.streams.items():
            files.begin(name, stream.schema)
            for batch in _limited(opened, name, stream):
                if spec.preview_rows and name not in preview:
                    preview[name] = pa.Table.from_batches([batch.slice(0, spec.preview_rows)])
                files.write(batch)
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


def _manifest(request: Request, files: list[FileEntry], **measured: Any) -> Manifest:
    start, end = request.window.utc()
    return Manifest(
        artifact_id=uuid.uuid4().hex,
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


def _run8(request: Request) -> str:
    return request.run_id[:8]


def _columns(schema: pa.Schema) -> list[Column]:
    return [Column(name=field.name, type=str(field.type), nullable=field.nullable) for field in schema]
