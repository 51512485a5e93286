"""Resolved exports: an export with everything that its spec names."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.exports import ExportSpec
from export_pipelines.spec.retention import RetentionSpec
from export_pipelines.spec.schedules import CalendarSpec, ScheduleSpec
from export_pipelines.spec.stores import StoreSpec


@dataclass(frozen=True)
class ResolvedExport:
    """An export, ready to run. `schedule_name` and `schedule` are None for exports on request only.

    `timezone` is the schedule's, or UTC. `max_rows` is the export's, or EXPORT_MAX_RECORDS. `retention` is what applies
    of its own policy and the default one, or None if a mistake in the specs hides that.
    """

    name: str
    spec: ExportSpec
    connection: ConnectionSpec
    store: StoreSpec
    schedule_name: str | None
    schedule: ScheduleSpec | None
    calendar: CalendarSpec | None
    timezone: str
    max_rows: int
    spec_sha256: str
    retention: RetentionSpec | None = None


def spec_sha256(name: str, spec: ExportSpec, timezone: str) -> str:
    """The SHA-256 (hexadecimal) of all that shapes the content of the export's files.

    Equal for specs that differ only in schedule, combine, owners, tags, retries, limits, store, path, checks, notify or
    retention, and for options that are written out with their default. A description counts only where a PDF title
    shows it.
    """
    formats = [{"type": form.type, **form.model_dump(mode="json", exclude_defaults=True)} for form in spec.formats]
    shows_description = any("{description}" in str(form.get("title", "")) for form in formats)
    content = {
        "name": name,
        "description": spec.description if shows_description else "",
        "source": spec.source,
        # A list, because the order of datasets is the order of sheets and sections. Comparisons distinguish a value of
        # null from no value, hence what was set and not what differs from a default.
        "datasets": [
            [dataset, query.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"checks"})]
            for dataset, query in spec.datasets.items()
        ],
        "formats": formats,
        "partition": spec.partition,
        "timezone": timezone,
        "spreadsheet_safe": spec.spreadsheet_safe,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
