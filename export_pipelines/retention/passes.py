"""One pass of retention: who ordered it, what was decided, and what went wrong."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from export_pipelines.errors import ExportError, LeaseHeldError
from export_pipelines.ledger import deletions
from export_pipelines.ledger.deletions import DeletionRow
from export_pipelines.ledger.leases import Lease, acquire
from export_pipelines.project import Project
from export_pipelines.retention.plan import Plan
from export_pipelines.spec.retention import RetentionSpec
from export_pipelines.storage.base import Store

_LEASE = ("-", "retention")  # no export can have this name


@dataclass(frozen=True, kw_only=True)
class Order:
    """What somebody asked for. `by` is a user or a Dagster run; `policy` stands in place of each export's own.

    None of `exports` are all. `insist` carries out what is refused because it is much; `dry_run` only makes the plan.
    """

    by: str
    now: datetime
    batch: str = field(default_factory=lambda: uuid.uuid4().hex)
    exports: tuple[str, ...] | None = None
    policy: RetentionSpec | None = None
    insist: bool = False
    dry_run: bool = False


@dataclass
class Pass:
    """The state of one pass, which its steps share."""

    project: Project
    order: Order
    plan: Plan = field(default_factory=lambda: Plan(datetime.now(UTC)))
    errors: list[str] = field(default_factory=list)
    batches: set[str] = field(default_factory=set)
    """Earlier passes that ended before they could report, which this one does for them."""
    swept: list[str] = field(default_factory=list)
    """What dead runs had left, `store: export/partition`."""
    _stores: dict[str, Store] = field(default_factory=dict)

    @contextmanager
    def working(self) -> Iterator[Lease]:
        """Work while no other pass does. Raises LeaseHeldError if one is at work."""
        ledger, seconds = self.project.ledger, self.project.settings.lease_seconds
        try:
            lease = acquire(ledger, *_LEASE, ttl_seconds=seconds, wait_seconds=0)
        except LeaseHeldError as error:
            raise LeaseHeldError("retention is at work already", hint="Wait until that pass has ended") from error
        with lease:
            yield lease

    def may_go_on(self, lease: Lease) -> bool:
        """Whether nobody has put the STOP file there. Raises LeaseLostError if another pass took over."""
        lease.check()
        stop = self.project.settings.stop_file
        if stop.exists():
            self.fail(f"stopped by the file {stop}; remove it to go on")
            return False
        return True

    def store(self, name: str) -> Store:
        """The store; raises SpecError, ConfigurationError."""
        if name not in self._stores:
            self._stores[name] = self.project.store(name)
        return self._stores[name]

    def fail(self, message: str) -> None:
        """Note what went wrong, once."""
        if message not in self.errors:
            self.errors.append(message)

    def keep(self, rows: Iterable[DeletionRow], reason: str | ExportError) -> None:
        """Give up deletions whose files are untouched; a failure is noted."""
        kept = list(rows)
        if kept:
            self.end(kept, "kept", str(reason))
            what = f"{kept[0].export} {kept[0].span}" + (f" and {len(kept) - 1:,} more" if kept[1:] else "")
            self.fail(f"{what}: {reason}")

    def end(self, rows: Iterable[DeletionRow], outcome: deletions.Outcome, error: str = "") -> None:
        """Record what came of deletions."""
        with self.project.ledger.write() as connection:
            deletions.end(connection, rows, outcome, datetime.now(UTC), error)
