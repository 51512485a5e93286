"""The story without Dagster: open -> stream -> write -> publish -> Artifact. `opening.py` has its first step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial

import pyarrow as pa

from export_pipelines.checks.run import RunChecks
from export_pipelines.conditions import check_changed, decides_late
from export_pipelines.content import ContentHash
from export_pipelines.crash import passing
from export_pipelines.errors import RowLimitExceededError
from export_pipelines.formats.base import Document
from export_pipelines.formats.fileset import FileSet, plan_files
from export_pipelines.ledger import artifacts, runs
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.opening import Artifact, OpenExport, Request, Written
from export_pipelines.sources.stream import RecordStream
from export_pipelines.spec.naming import MANIFEST_NAME, safe_partition, stamp
from export_pipelines.spec.paths import directory_of
from export_pipelines.storage.base import Placement, Staging, staged
from export_pipelines.storage.manifest import Column, FileEntry, Manifest, WindowUtc
from export_pipelines.verify import reread


def publish(opened: OpenExport, *, on_rows: Callable[[int], None] = lambda _: None) -> Artifact:
    """Write the files, unless `write` has done so, and publish them with their manifest.

    Raises StorageError, StorageUnavailableError, LeaseLostError, and what `write` raises. Whatever it raises, this run
    published nothing.
    """
    request, store = opened.request, opened.services.store
    written = opened.written or write(opened, on_rows=on_rows)
    with written.release:
        manifest = _manifest(opened, written)
        placement = _placement(request)
        row = ArtifactRow(store.name, placement.manifest_path, manifest, manifest.good)
        opened.announce(placement)
        fence = opened.registering(row)
        store.publish(written.staging, placement, written.files, manifest=manifest.to_json(), fence=fence)
    opened.succeed("published", **runs.published(manifest))
    opened.artifact = _reread(opened, Artifact(row, written.preview, manifest.checks))
    return opened.artifact


def write(opened: OpenExport, *, on_rows: Callable[[int], None] = lambda _: None) -> Written:
    """Write every batch once through every format to the staging directory, where it waits for `publish`.

    `on_rows` is called after each batch with the number of rows so far. Raises ConditionSkip if the spec says that this
    content is not to be published, RowLimitExceededError, FormatError, StorageError, StorageUnavailableError,
    LeaseLostError, and what reading the source raises. Whatever it raises, nothing is left in the staging directory.
    """
    began = time.monotonic()
    request = opened.request
    checks = RunChecks(request.export.spec, active=request.row_limit is None)
    content = ContentHash() if decides_late(request) else None
    with ExitStack() as release:
        staging = release.enter_context(_staging(opened))
        preview: dict[str, pa.Table] = {}
        watchers: list[RunChecks | ContentHash] = [checks, content] if content else [checks]
        files, rows = _write(opened, staging, preview=preview, watchers=watchers, on_rows=on_rows)
        content_sha256 = content.hexdigest() if content else None
        if content_sha256:
            check_changed(opened, content_sha256)
        written = Written(
            staging=staging,
            release=release.pop_all(),
            files=files,
            rows=rows,
            preview=preview,
            checks=checks,
            content_sha256=content_sha256,
            seconds=round(time.monotonic() - began, 3),
        )
    return opened.keep(written)


def _reread(opened: OpenExport, artifact: Artifact) -> Artifact:
    """The artifact after its files were read again, if the spec says so."""
    if not opened.request.export.spec.reread or opened.request.row_limit is not None:
        return artifact
    result, row = reread(opened.services.store, artifact.row), artifact.row
    if not result.passed:
        artifacts.mark_bad(opened.services.ledger, row.manifest.artifact_id)
        row = replace(row, good=False)
    return replace(artifact, row=row, checks=[*artifact.checks, result])


def _staging(opened: OpenExport) -> AbstractContextManager[Staging]:
    request, run = opened.request, f"{opened.lease.fence}_{_run8(opened.request)}"
    return staged(opened.services.store, request.scope, run, doing=f"writing the files of export {request.export.name}")


def _write(
    opened: OpenExport,
    staging: Staging,
    *,
    preview: dict[str, pa.Table],
    watchers: Sequence[RunChecks | ContentHash],
    on_rows: Callable[[int], None],
) -> tuple[list[FileEntry], dict[str, int]]:
    request, spec = opened.request, opened.request.export.spec
    planned = plan_files(spec.formats, list(opened.streams), export=request.export.name, suffix=_suffix(request))
    files = FileSet(planned, create=staging.create, document=_document(request))
    try:
        for name, stream in opened.streams.items():
            files.begin(name, stream.schema)
            for watcher in watchers:
                watcher.begin(name, stream.schema)
            for batch in _limited(opened, name, stream):
                if spec.preview_rows and name not in preview:
                    preview[name] = pa.Table.from_batches([batch.slice(0, spec.preview_rows)])
                files.write(batch)
                for watcher in watchers:
                    watcher.add(batch)
                opened.lease.check()
                on_rows(sum(files.rows.values()))
                passing("half_rows")
            files.end()
        entries = files.finish()
        passing("file_closed")
        return entries, dict(files.rows)
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


def _manifest(opened: OpenExport, written: Written) -> Manifest:
    request, ledger = opened.request, opened.services.ledger
    start, end = request.window.utc()
    schemas = {name: [Column.of(field) for field in stream.schema] for name, stream in opened.streams.items()}
    name, combined = request.export.name, request.last_partition is not None
    earlier = partial(artifacts.last_good, ledger, name, before=request.window.start, combined=combined)
    results = written.checks.results(written.rows, schemas, totals=opened.totals, earlier=earlier)
    complete = request.row_limit is None
    return Manifest(
        artifact_id=opened.export_id,
        export=name,
        partition=request.partition,
        last_partition=request.last_partition,
        window=WindowUtc(start=start, end=end),
        scheduled_at=request.scheduled_at,
        run_id=request.run_id,
        created_at=request.created_at,
        spec_sha256=request.export.spec_sha256,
        row_limit=request.row_limit,
        rows=written.rows,
        seconds=written.seconds,
        files=written.files,
        schemas=schemas,
        checks=results,
        corrects=artifacts.replaced(ledger, name, request.span) if complete else None,
        content_sha256=written.content_sha256,
        watermarks=opened.marks.results() if complete else {},
    )


def _placement(request: Request) -> Placement:
    flat = request.export.spec.layout == "flat"
    directory = directory_of(
        request.export,
        request.span,
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
        partition=" to ".join(filter(None, (request.partition, request.last_partition))),
        description=request.export.spec.description,
        window_start=window.start,
        window_end=window.end,
        created_at=request.created_at.astimezone(window.start.tzinfo),
        spreadsheet_safe=request.export.spec.spreadsheet_safe,
    )


def _suffix(request: Request) -> str:
    """What ends the file names of the flat layout: `_{run8}_{YYYYMMDD_HHMMSS}`.

    The partitions stand before it where several are combined, or the run makes several artifacts.
    """
    if request.export.spec.layout != "flat":
        return ""
    told = f"_{safe_partition(request.span)}" if request.last_partition or request.shared_run else ""
    return f"{told}_{_run8(request)}_{stamp(request.created_at)}"


def _run8(request: Request) -> str:
    return request.run_id[:8]
