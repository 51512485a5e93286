"""Where facts come from: the specs, the ledger, the settings."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from export_pipelines.errors import DamagedArtifactError, SpecError
from export_pipelines.ledger import artifacts, runs
from export_pipelines.ledger.artifacts import ArtifactRow
from export_pipelines.locations import Locations
from export_pipelines.monitoring.stats import run_stats
from export_pipelines.notify.facts import (
    ArtifactFacts,
    EventFacts,
    FileFacts,
    Statistics,
    instant_of,
    readable,
    text_of,
)
from export_pipelines.notify.message import Event
from export_pipelines.notify.moments import Moment
from export_pipelines.project import Project
from export_pipelines.spec.naming import ends_of

_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Witness:
    """Looks up the facts about events. A ledger that cannot be reached is an error; what it no longer has is not."""

    project: Project

    @cached_property
    def locations(self) -> Locations:
        """Where published files are."""
        return Locations(self.project)

    def timezone(self, export: str | None) -> str:
        """The timezone of the export's schedule; UTC for what the specs do not have."""
        known = self.project.specs.exports.get(export or "")
        return known.timezone if known else "UTC"

    def event(self, event: Event) -> EventFacts:
        """The event in plain values."""
        details = {key: readable(value) for key, value in event.details.items()}
        timezone = _known_timezone(details.get("timezone")) or self.timezone(event.export)
        export, partition = text_of(event.export), text_of(event.partition)
        run_id = text_of(event.run_id or details.get("run_id"))
        begun = instant_of(details.get("since")) or event.happened_at
        failures = details.get("failures")
        return EventFacts(
            key=text_of(event.key),
            kind=event.kind,
            level=event.level,
            export=export or None,
            partition=partition or None,
            run_id=run_id or None,
            at=Moment(event.happened_at, timezone),
            since=Moment(begun, timezone),
            failures=failures if isinstance(failures, int) else 0,
            cause=text_of(details.get("cause")),
            advice=text_of(details.get("advice")),
            command=_command(export, partition),
            run_url=f"{self.project.settings.dagster_url}/runs/{quote(run_id, safe='')}" if run_id else "",
            asset_url=self._asset(export, partition),
            details=details,
        )

    def published(self, event: EventFacts, *, files: bool) -> ArtifactFacts | None:
        """The artifact that the event names; its files only if asked for."""
        row = self._artifact(event.text("artifact_id"))
        return self._facts(row, files=files) if row else None

    def last_good(self, export: str | None) -> ArtifactFacts | None:
        """The good artifact of the export's latest partition: complete, and no blocking check objected to it."""
        try:
            row = artifacts.last_good(self.project.ledger, export) if export else None
        except DamagedArtifactError:
            return None
        return self._facts(row, files=False) if row else None

    def statistics(self, event: EventFacts) -> Statistics | None:
        """Of the run that published the artifact which the event names."""
        row = self._artifact(event.text("artifact_id"))
        if row is None:
            return None
        manifest = row.manifest
        attempts = runs.recent(self.project.ledger, export=manifest.export, run_id=manifest.run_id)
        measured = next((run.seconds for run in attempts if run.artifact_id == manifest.artifact_id), None)
        seconds = manifest.seconds if measured is None else measured
        since = manifest.created_at - _WEEK
        before = run_stats(self.project.ledger, since=since, until=manifest.created_at, export=manifest.export)
        week = before[0] if before else None
        return Statistics(
            rows=manifest.total_rows,
            seconds=seconds,
            rows_per_second=manifest.total_rows / seconds if seconds else None,
            mean_rows=week.rows / week.artifacts if week and week.artifacts else None,
            mean_seconds=week.average_seconds if week else None,
            mean_rows_per_second=week.rows_per_second if week else None,
        )

    def _artifact(self, artifact_id: str | None) -> ArtifactRow | None:
        try:
            return artifacts.get(self.project.ledger, artifact_id) if artifact_id else None
        except (SpecError, DamagedArtifactError):  # deleted since, or its manifest is no longer readable
            return None

    def _facts(self, row: ArtifactRow, *, files: bool) -> ArtifactFacts:
        manifest = row.manifest
        return ArtifactFacts(
            artifact_id=manifest.artifact_id,
            partition=manifest.span,
            created=Moment(manifest.created_at, self.timezone(manifest.export)),
            directory=self.locations.uri(row.store, row.directory),
            rows=manifest.total_rows,
            bytes=manifest.total_bytes,
            corrects=manifest.corrects,
            files=[
                FileFacts(
                    path=self.locations.uri(row.store, row.path_of(entry.name)),
                    **entry.model_dump(include={"name", "format", "rows", "bytes", "sha256"}),
                )
                for entry in (manifest.files if files else ())
            ],
        )

    def _asset(self, export: str, partition: str) -> str:
        if not export:
            return ""
        page = f"{self.project.settings.dagster_url}/assets/exports/{quote(export, safe='')}"
        return f"{page}?partition={quote(ends_of(partition)[1], safe='')}" if partition else page


def _command(export: str, partition: str) -> str:
    return f"exports run {shlex.quote(export)} --partition {shlex.quote(partition)}" if export and partition else ""


def _known_timezone(name: Any) -> str:
    try:
        return ZoneInfo(name).key if isinstance(name, str) else ""
    except (KeyError, ValueError, OSError):
        return ""
