"""The plan of a project: artifacts from the ledger, policies from the specs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from export_pipelines.ledger.inventory import Item, inventory
from export_pipelines.project import Project
from export_pipelines.retention.plan import Plan, plan
from export_pipelines.retention.policy import Policy
from export_pipelines.spec.load import SpecSet


def survey(project: Project, now: datetime, *, export: str | None = None) -> Plan:
    """What to keep and what to delete of all exports, or of one. Raises LedgerUnavailableError."""
    items = [_known(item, project.specs) for item in inventory(project.ledger, export=export)]
    return plan(items, policies(project.specs), now)


def policies(specs: SpecSet) -> dict[str, Policy]:
    """The policy of each export that can run; exports with mistakes have none, and so keep everything."""
    return {name: Policy(export.retention, export.timezone) for name, export in specs.exports.items()}


def _known(item: Item, specs: SpecSet) -> Item:
    """The artifact, marked where the specs do not have its store: it cannot be seen there, nor be deleted."""
    if item.store in specs.stores:
        return item
    return replace(item, unknown=f"the specs do not have the store {item.store}")
