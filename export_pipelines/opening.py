"""The first step of an export: the lease of its partition is taken and its queries execute; no row is read yet."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from export_pipelines.checks.run import RunChecks
from export_pipelines.checks.totals import open_with_totals, split_totals
from export_pipelines.conditions import check_rows
from export_pipelines.crash import passing
from export_pipelines.errors import ConditionSkip, ExportError, TransientError
from export_pipelines.incremental import Marks, watermarks_of
from export_pipelines.ledger import runs
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.ledger.leases import WHOLE, Lease, acquire, leased, scope_of
from export_pipelines.ledger.ledger import Ledger
from export_pipelines.ledger.metrics_file import MetricsFile
from export_pipelines.ledger.orphans import find_announced, register_orphans, settle
from export_pipelines.sources.base import Snapshot, Source
from export_pipelines.sources.stream import RecordStream
from export_pipelines.spec.naming import span_of
from export_pipelines.spec.resolved import ResolvedExport
from export_pipelines.storage.base import Placement, Staging, Store
from export_pipelines.storage.manifest import CheckResult, FileEntry, Manifest
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
    """The span of time of the partition, or of all that are combined, in the schedule's timezone."""
    last_partition: str | None = None
    """Where several partitions are combined: the last of them; `partition` is the first."""
    shared_run: bool = False
    """Whether the run makes other artifacts of the export, too, so that its id does not tell them apart."""

    @property
    def span(self) -> str:
        """The partition, or the first and the last one that are combined: `2026-01-01--2026-01-31`."""
        return span_of(self.partition, self.last_partition)

    @property
    def leased(self) -> str:
        """The partition whose lease is needed, or WHOLE."""
        if watermarks_of(self.export.spec):  # what one partition gets depends on the others
            return WHOLE
        return leased(self.partition, self.last_partition)

    @property
    def scope(self) -> str:
        """`export/partition` as path segments: what a lease and a staging directory belong to."""
        return scope_of(self.export.name, self.leased)


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


@dataclass(frozen=True, kw_only=True)
class Written:
    """The files of an export in their staging directory, complete and not yet published."""

    staging: Staging
    release: ExitStack
    """Ends the use of the staging directory, which is deleted if that is because of an error."""
    files: list[FileEntry]
    rows: dict[str, int]
    """Dataset -> rows."""
    preview: Mapping[str, pa.Table]
    checks: RunChecks
    content_sha256: str | None
    seconds: float


class OpenExport:
    """Datasets whose queries have executed and whose rows nobody has read, under the partition's lease."""

    def __init__(self, request: Request, services: Services) -> None:
        self.request = request
        self.services = services
        self.streams: Mapping[str, RecordStream] = {}
        self.totals: Mapping[str, RecordStream] = {}
        """Dataset -> what its control query gives."""
        self.written: Written | None = None
        """What `export.write` wrote, until it is published."""
        self.marks = Marks()
        """What of the datasets with a watermark is new."""
        self.artifact: Artifact | None = None
        """What was published, afterwards."""
        self.lease: Lease
        self._stack = ExitStack()
        self.export_id = uuid.uuid4().hex
        """Of this attempt, and of the artifact that it publishes."""
        self._attempt = 0
        self._announced: str | None = None
        self._outcome: tuple[runs.State, dict[str, Any]] = ("failed", {})

    def open(self, snapshot: Callable[[], Snapshot]) -> Self:
        """Take the lease, delete what dead runs left, and execute the queries by calling `snapshot`."""
        request, services, name = self.request, self.services, self.request.export.name
        with self._stack:
            held = acquire(
                services.ledger,
                name,
                request.leased,
                ttl_seconds=services.lease_seconds,
                wait_seconds=services.lease_wait_seconds,
            )
            self.lease = self._stack.enter_context(held)
            passing("lease_taken")
            self._started = datetime.now(UTC)
            self._attempt = runs.start(
                services.ledger,
                run_id=request.run_id,
                export=name,
                partition=request.partition,
                last_partition=request.last_partition,
                now=self._started,
                export_id=self.export_id,
                formats=",".join(_formats(request)),
            )
            self._stack.push(self._record)
            services.store.sweep(request.scope)
            register_orphans(services.ledger, services.store, export=name, partition=request.leased)
            self.marks = marks_of(request, services.ledger)
            self.streams, self.totals = split_totals(self._stack.enter_context(snapshot()).streams)
            passing("query_open")
            check_rows(self)
            self._stack = self._stack.pop_all()
        return self

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Close this if the block raises; otherwise it stays open."""
        with ExitStack() as guard:
            guard.push(self)
            yield
            guard.pop_all()

    def keep(self, written: Written) -> Written:
        """Keep what was written until it is published, or this is closed."""
        self._stack.push(written.release)
        self.written = written
        return written

    def announce(self, placement: Placement) -> None:
        """Tell the ledger what is about to be published."""
        services, path = self.services, placement.manifest_path
        runs.announce(services.ledger, self._attempt, store=services.store.name, manifest_path=path)
        self._announced = path

    @contextmanager
    def registering(self, row: ArtifactRow) -> Iterator[None]:
        """The moment of publishing: nobody else can hold the lease, and the ledger learns of it."""
        with self.lease.fenced() as connection:
            yield
            settle(connection, self._attempt, row)
        passing("ledger_committed")

    def succeed(self, state: runs.State, **outcome: Any) -> None:
        """Say how the attempt ended, for the ledger; without this it counts as failed."""
        self._outcome = (state, outcome)

    def _record(self, kind: Any, error: BaseException | None, _traceback: Any) -> None:
        if isinstance(error, ConditionSkip):
            self.succeed("skipped", rows=0, error=error.reason)
        elif error is not None:
            self._conclude(error)
        state, outcome = self._outcome
        outcome["finished_at"] = datetime.now(UTC)
        try:
            runs.finish(self.services.ledger, self._attempt, state, **outcome)
        except TransientError as failure:  # the record of a result never changes the result
            _log.warning("recording the run of %s: %s", self.request.export.name, failure)
        if self.services.metrics:
            self.services.metrics.append(self._row(state, outcome))

    def _conclude(self, error: BaseException) -> None:
        """How the attempt ended although it raised this: a signal may come when the artifact is already visible."""
        if not isinstance(error, Exception) and self._announced and self._outcome[0] == "failed":
            self._look_again(self._announced)
        text = str(error) or _WORDLESS.get(type(error), type(error).__name__)
        state, outcome = self._outcome
        self.succeed(state, **outcome, error=text, hint=getattr(error, "hint", "") or None)

    def _look_again(self, path: str) -> None:
        """See whether the announced artifact was published. What cannot be seen now, the next run will see."""
        try:
            row = find_announced(self.services.store, path)
            with self.lease.fenced() as connection:
                settle(connection, self._attempt, row)
        except ExportError as failure:
            _log.warning("looking for what the run of %s published: %s", self.request.export.name, failure)
        else:
            if row:
                self.succeed("published", **runs.published(row.manifest))

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
            last_partition=request.last_partition,
            **values,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, tb)


def open_export(request: Request, source: Source, services: Services) -> OpenExport:
    """Open the export's datasets on one snapshot.

    The result must be entered as a context, with `publish` inside. Raises LeaseHeldError while another run publishes
    the partition, ConditionSkip or EmptyExportError if the spec says so because there are rows or none, and what
    `Source.open` raises.
    """
    opened = OpenExport(request, services)
    return opened.open(lambda: _open(request, source, opened.marks, totals=request.row_limit is None))


def marks_of(request: Request, ledger: Ledger) -> Marks:
    """What is new for the request's partition."""
    export = request.export
    return Marks.of(ledger, export.name, export.spec, partition=request.partition, window=request.window)


def preview(request: Request, source: Source, *, rows: int, marks: Marks) -> dict[str, pa.Table]:
    """Dataset -> its first rows, at most `rows`; takes no lease, writes nothing. Raises what `Source.open` raises."""
    with _open(request, source, marks, totals=False) as snapshot:
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


def _open(request: Request, source: Source, marks: Marks, *, totals: bool) -> Snapshot:
    """The datasets' results and, with `totals`, those of their control queries."""
    start, end = request.window.utc()
    values = {
        "window_start": start,
        "window_end": end,
        "window_start_date": request.window.start.date(),
        "window_end_date": request.window.end.date(),
        "partition": request.partition,
    }
    datasets = marks.bind(request.export.spec.datasets)
    snapshot = open_with_totals(source, datasets, values=values) if totals else source.open(datasets, values=values)
    with ExitStack() as undo:
        undo.callback(snapshot.close)
        followed = marks.follow(snapshot, datasets)
        undo.pop_all()
    return followed


def _formats(request: Request) -> list[str]:
    """The names of the export's formats, each once."""
    return list(dict.fromkeys(format.type for format in request.export.spec.formats))
