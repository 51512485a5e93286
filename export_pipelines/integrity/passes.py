"""One pass: files are read again, and what was found is recorded."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from export_pipelines.chunks import chunks
from export_pipelines.errors import ExportError
from export_pipelines.findings import Finding, Report, check_archive, check_present
from export_pipelines.ledger import pulses, readings
from export_pipelines.ledger.archives import ArchiveRow
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.ledger.readings import Unread
from export_pipelines.notify.damage import record_damage
from export_pipelines.project import Project
from export_pipelines.storage.base import Store
from export_pipelines.verify import verify_artifact

_BATCH = 200
_BATCH_SECONDS = 5.0
_MOST_ERRORS = 20  # in one store: a server that answers now and then would cost a timeout each


@dataclass(frozen=True)
class Seen:
    """One artifact or archive that was read. `findings` is empty if it is as it was written.

    `partition` holds the first and the last one where an artifact combines several: `2026-01-01--2026-01-31`.
    """

    item: Unread
    export: str
    partition: str | None
    findings: list[Finding]

    @property
    def repaired(self) -> bool:
        """Whether it was damaged and no longer is."""
        return self.item.damaged and not self.findings


@dataclass(frozen=True)
class Obstacle:
    """Why files of a store could not be read."""

    store: str
    message: str


@dataclass
class Pass:
    """What one pass read and found."""

    artifacts: int = 0
    archives: int = 0
    files: int = 0
    bytes: int = 0
    damaged: list[Finding] = field(default_factory=list)
    repaired: list[Seen] = field(default_factory=list)
    errors: list[Obstacle] = field(default_factory=list)
    left: int = 0
    """How many artifacts and archives should have been read and were not: there was no time, or they could not be."""
    unread_since: datetime | None = None
    """Since when the longest unread one is unread now."""


def verify_due(project: Project, now: datetime, items: Sequence[Unread], *, seconds: float = math.inf) -> Pass:
    """Read these artifacts and archives, and record what was found. See `read_due`."""
    found = Pass()
    for _ in read_due(project, now, items, found=found, seconds=seconds):
        pass
    return found


def read_due(
    project: Project, now: datetime, items: Sequence[Unread], *, found: Pass, seconds: float = math.inf
) -> Iterator[list[Seen]]:
    """Read these artifacts and archives as a pass: the next one reads what should be read until then.

    Otherwise as `read_now`.
    """
    yield from read_now(project, now, items, found=found, seconds=seconds)
    pulses.put(project.ledger, now, **{pulses.READ: None})
    found.unread_since = readings.integrity(project.ledger).unread_since


def read_now(
    project: Project, now: datetime, items: Sequence[Unread], *, found: Pass, seconds: float = math.inf
) -> Iterator[list[Seen]]:
    """Read these artifacts and archives, and record what was found in the ledger and as events; count it in `found`.

    Gives what was read, some at a time, before it is recorded: whoever tells others of it does so again if the process
    ends between the two. After so many seconds nothing more is begun. Raises LedgerUnavailableError.
    """
    work = _Work(project, now, found)
    deadline = time.monotonic() + seconds
    for batch in chunks(items, _BATCH):
        work.load(batch)
        for item in batch:
            if time.monotonic() >= deadline or not work.read(item):
                found.left += 1
            if work.has_much:
                yield work.seen()
                work.record()
        yield work.seen()
        work.record()


def record(project: Project, report: Report, now: datetime) -> None:
    """Record a report: in the ledger, and what is damaged as events, once. Raises LedgerUnavailableError."""
    record_damage(project, report.problems, now)
    readings.record(project.ledger, now, artifacts=report.artifacts, archives=report.archives)


class _Work:
    """A pass under way."""

    def __init__(self, project: Project, now: datetime, found: Pass) -> None:
        self.found = found
        self._project, self._now = project, now
        self._stores: dict[str, Store | None] = {}  # None is one that cannot be read
        self._errors: dict[str, int] = defaultdict(int)
        self._rows: dict[str, ArtifactRow | ExportError] = {}
        self._archives = {row.archive_id: row for row in readings.archive_rows(project.ledger)}
        self._seen: list[Seen] = []
        self._recorded = time.monotonic()

    def load(self, batch: Sequence[Unread]) -> None:
        """Get the manifests of what is read next."""
        ids = [item.id for item in batch if item.what == "artifact"]
        self._rows = {**readings.rows(self._project.ledger, ids)}

    def read(self, item: Unread) -> bool:
        """Read it. Returns False if that was not possible."""
        row = self._rows.get(item.id) if item.what == "artifact" else self._archives.get(item.id)
        if row is None:
            return True  # forgotten since
        if isinstance(row, ExportError):
            self.found.errors.append(Obstacle(item.store, str(row)))
            return False
        store = self._store(item.store)
        if store is None:
            return False
        report = _report(store, row)
        if report.errors:
            self._obstructed(store, report.errors)
        if item.id not in report.artifacts | report.archives:
            return False
        self.found.files += report.files
        self.found.bytes += report.bytes
        manifest = row.manifest if isinstance(row, ArtifactRow) else None
        export = row.manifest.export if isinstance(row, ArtifactRow) else row.export
        self._seen.append(Seen(item, export, manifest.span if manifest else None, report.problems))
        return True

    @property
    def has_much(self) -> bool:
        """Whether it is time to record what was read."""
        return bool(self._seen) and time.monotonic() - self._recorded > _BATCH_SECONDS

    def seen(self) -> list[Seen]:
        """What was read and is not recorded; without what retention was deleting meanwhile."""
        wrong = [seen.item.id for seen in self._seen if seen.findings]
        leaving = readings.leaving(self._project.ledger, wrong)
        self._seen = [seen for seen in self._seen if seen.item.id not in leaving]
        return self._seen

    def record(self) -> None:
        """Record what was read since the last time."""
        damaged = [found for one in self._seen for found in one.findings]
        record_damage(self._project, damaged, self._now)
        sound = {one.item: not one.findings for one in self._seen}
        artifacts = {item.id: right for item, right in sound.items() if item.what == "artifact"}
        archives = {item.id: right for item, right in sound.items() if item.what == "archive"}
        readings.record(self._project.ledger, self._now, artifacts=artifacts, archives=archives)
        self.found.artifacts += len(artifacts)
        self.found.archives += len(archives)
        self.found.damaged += damaged
        self.found.repaired += [one for one in self._seen if one.repaired]
        self._seen, self._recorded = [], time.monotonic()

    def _store(self, name: str) -> Store | None:
        """The store, or None if it cannot be read; that is an error, once."""
        if name not in self._stores:
            try:
                store = self._project.store(name)
                check_present(store)
                self._stores[name] = store
            except ExportError as error:
                self._give_up(name, str(error))
        return self._stores[name]

    def _obstructed(self, store: Store, errors: Sequence[str]) -> None:
        """Something could not be read; see whether anything of the store still can be."""
        self.found.errors += [Obstacle(store.name, error) for error in errors]
        self._errors[store.name] += 1
        try:
            check_present(store)
        except ExportError as error:
            self._give_up(store.name, str(error))
        if self._errors[store.name] >= _MOST_ERRORS:
            self._give_up(store.name, f"{_MOST_ERRORS} times something could not be read: nothing more is tried")

    def _give_up(self, store: str, message: str) -> None:
        self._stores[store] = None
        self.found.errors.append(Obstacle(store, message))


def _report(store: Store, row: ArtifactRow | ArchiveRow) -> Report:
    if isinstance(row, ArtifactRow):
        return verify_artifact(store, row)
    return check_archive(store, row.index_path, known=row)[1]
