"""Damage found when published files are read again, as events."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

from export_pipelines.notify import events
from export_pipelines.notify.events import Sighting
from export_pipelines.project import Project
from export_pipelines.verify import Finding

_DAMAGE = ("damaged", "missing", "unreadable")


def record_damage(project: Project, findings: Iterable[Finding], now: datetime) -> None:
    """Record what is damaged or missing; the same damage once, however often it is found."""
    events.record(project, [_sighting(finding, now) for finding in findings if finding.kind in _DAMAGE])


def _sighting(finding: Finding, now: datetime) -> Sighting:
    digest = hashlib.sha256(f"{finding.store}\n{finding.path}\n{finding.message}".encode()).hexdigest()[:32]
    return Sighting(
        key=f"damaged:{digest}",
        kind="damaged",
        happened_at=now,
        export=finding.export,
        partition=finding.partition,
        details={
            "store": finding.store,
            "path": finding.path,
            "cause": f"{finding.kind}: {finding.path}: {finding.message}",
        },
    )
