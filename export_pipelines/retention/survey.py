"""The plan of a project: artifacts from the ledger, policies from the specs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from export_pipelines.ledger.inventory import Item, inventory
from export_pipelines.project import Project
from export_pipelines.retention.plan import Plan, plan
from export_pipelines.retention.policy import Policy
from export_pipelines.spec.load import SpecSet
from export_pipelines.spec.retention import RetentionSpec, combined


def survey(
    project: Project, now: datetime, *, exports: Collection[str] | None = None, policy: RetentionSpec | None = None
) -> Plan:
    """What to keep and what to delete of all exports, or of these. Raises LedgerUnavailableError.

    `policy` stands in place of each export's own.
    """
    with project.ledger.read() as connection:
        return survey_in(connection, project.specs, now, exports=exports, policy=policy)


def survey_in(
    connection: Connection,
    specs: SpecSet,
    now: datetime,
    *,
    exports: Collection[str] | None,
    policy: RetentionSpec | None,
) -> Plan:
    """The same in the caller's transaction."""
    stores = set(specs.stores)
    items = [item if item.store in stores else _unknown(item) for item in inventory(connection, exports=exports)]
    return plan(items, policies(specs, policy), now)


def policies(specs: SpecSet, policy: RetentionSpec | None = None) -> dict[str, Policy]:
    """The policy of each export that can run; exports with mistakes have none, and so keep everything.

    `policy` replaces the export's own as that replaces the default: the longer minimum and the later hold stay.
    """
    return {
        name: Policy(
            combined(policy, export.retention) if policy and export.retention else export.retention, export.timezone
        )
        for name, export in specs.exports.items()
    }


def _unknown(item: Item) -> Item:
    """The artifact, marked because the specs do not have its store: it cannot be seen there, nor be deleted."""
    return replace(item, unknown=f"the specs do not have the store {item.store}")
