"""All files of one artifact, written in one pass over the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa

from export_pipelines.errors import SpecError
from export_pipelines.formats.base import Document, Writer
from export_pipelines.formats.sink import FileSink, FinishableSink, compressed, extension_of, media_type_of
from export_pipelines.registry import FORMATS, resolve
from export_pipelines.spec.formats import Format
from export_pipelines.storage.manifest import FileEntry


@dataclass(frozen=True)
class PlannedFile:
    """One file to write: its name, its format, and its dataset, or None if it holds all datasets."""

    name: str
    dataset: str | None
    spec: Format
    writer: type[Writer[Any]]


@dataclass
class _OpenFile:
    plan: PlannedFile
    sink: FileSink
    wrapping: FinishableSink
    writer: Writer[Any]
    rows: int = 0


def plan_files(
    formats: Sequence[Format], datasets: Sequence[str], *, export: str, suffix: str = ""
) -> list[PlannedFile]:
    """The files that the formats make of the datasets.

    `suffix` ends the stem of every name; with it (the flat layout) names begin with the export's name. Raises SpecError
    if two files would have the same name.
    """
    planned = []
    for spec in formats:
        writer = resolve("format", FORMATS, spec.type)  # type: ignore[attr-defined]
        for dataset in [None] if spec.combines else datasets:
            stem = _stem(spec, dataset, export=export, only=len(datasets) == 1, flat=bool(suffix))
            planned.append(PlannedFile(f"{stem}{suffix}{extension_of(writer, spec)}", dataset, spec, writer))
    names = [file.name for file in planned]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SpecError(
            f"export {export}: two formats would write {', '.join(twice)}", hint="Give one of them another `name`"
        )
    return planned


def _stem(spec: Format, dataset: str | None, *, export: str, only: bool, flat: bool) -> str:
    if dataset is None or (only and (spec.name or flat)):
        return spec.name or export
    prefix = spec.name or (export if flat else "")
    return f"{prefix}_{dataset}" if prefix else dataset


class FileSet:
    """Writes record batches to every file that wants them."""

    def __init__(
        self, planned: Sequence[PlannedFile], *, create: Callable[[str], BinaryIO], document: Document
    ) -> None:
        """`create` opens a new file by name; the FileSet closes it."""
        self._stack = ExitStack()
        self._document = document
        self._files = [self._open(plan, create) for plan in planned]
        self._rows: dict[str, int] = {}
        self._dataset = ""

    def _open(self, plan: PlannedFile, create: Callable[[str], BinaryIO]) -> _OpenFile:
        sink = FileSink(self._stack.enter_context(create(plan.name)))
        member = plan.name.removesuffix(".zip")
        wrapping = compressed(sink, plan.spec.wrapping, member)
        return _OpenFile(plan, sink, wrapping, plan.writer(wrapping, plan.spec, self._document))

    def _wanting(self) -> Iterator[_OpenFile]:
        return (file for file in self._files if file.plan.dataset in (None, self._dataset))

    def begin(self, dataset: str, schema: pa.Schema) -> None:
        """Start a dataset in the files that hold it."""
        self._dataset = dataset
        self._rows[dataset] = 0
        for file in self._wanting():
            file.writer.begin(dataset, schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows to the dataset begun last."""
        self._rows[self._dataset] += batch.num_rows
        for file in self._wanting():
            file.writer.write(batch)
            file.rows += batch.num_rows

    def end(self) -> None:
        """The dataset begun last has no more rows."""
        for file in self._wanting():
            file.writer.end()

    def finish(self) -> list[FileEntry]:
        """End and close all files; what was written, as the manifest lists it."""
        for file in self._files:
            file.writer.close()
            file.wrapping.finish()
        self.close()
        return [_entry(file) for file in self._files]

    @property
    def rows(self) -> Mapping[str, int]:
        """Dataset -> rows so far."""
        return self._rows

    def close(self) -> None:
        """Close the files, finished or not."""
        self._stack.close()


def _entry(file: _OpenFile) -> FileEntry:
    plan = file.plan
    return FileEntry(
        name=plan.name,
        dataset=plan.dataset,
        format=plan.spec.type,  # type: ignore[attr-defined]
        media_type=media_type_of(plan.writer, plan.spec),
        rows=file.rows,
        bytes=file.sink.bytes,
        sha256=file.sink.sha256,
    )
