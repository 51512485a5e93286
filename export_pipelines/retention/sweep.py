"""Fourth step: what failed and killed runs left in staging areas, once it is old enough."""

from __future__ import annotations

from datetime import timedelta

from export_pipelines.errors import ExportError, LeaseHeldError
from export_pipelines.ledger.leases import acquire, partition_of
from export_pipelines.ledger.orphans import register_orphans
from export_pipelines.retention.archive_plan import SCOPE
from export_pipelines.retention.passes import Pass
from export_pipelines.spec.retention import RetentionSpec
from export_pipelines.storage.base import Leftover, Store


def sweep(work: Pass) -> None:
    """Delete leftovers older than `failed_after_hours` of every store; failures are noted. Raises LeaseHeldError."""
    with work.working() as lease:
        for name in work.project.specs.stores:
            try:
                store = work.store(name)
                leftovers = store.leftovers()
            except ExportError as error:
                work.fail(str(error))
                continue
            for found in leftovers:
                if not work.may_go_on(lease):
                    return
                try:
                    _sweep(work, store, found)
                except LeaseHeldError:
                    continue  # that run is alive
                except ExportError as error:
                    work.fail(str(error))


def _sweep(work: Pass, store: Store, found: Leftover) -> None:
    """Sweep what nobody works on. Raises LeaseHeldError, StorageError, StorageUnavailableError."""
    if found.scope == SCOPE:  # of this step's own lease
        store.sweep(found.scope)
        work.swept.append(f"{store.name}: {found.scope}")
        return
    export, _, segment = found.scope.partition("/")
    partition = partition_of(work.project.ledger, export, segment)
    chosen = work.order.exports is None or export in work.order.exports
    if partition is None or not chosen or work.order.now - found.modified_at < _patience(work, export):
        return
    ledger = work.project.ledger
    with acquire(ledger, export, partition, ttl_seconds=work.project.settings.lease_seconds, wait_seconds=0):
        if store.sweep(found.scope):
            work.swept.append(f"{store.name}: {found.scope}")
        register_orphans(ledger, store, export=export, partition=partition)


def _patience(work: Pass, export: str) -> timedelta:
    known = work.project.specs.exports.get(export)
    rules = work.order.policy or (known.retention if known else None) or RetentionSpec()
    return timedelta(hours=rules.failed_after_hours)
