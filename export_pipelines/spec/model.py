"""A spec file, and all spec files merged."""

from __future__ import annotations

from pydantic import Field

from export_pipelines.spec.base import KeyName, Name, SpecModel
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.exports import ExportSpec
from export_pipelines.spec.notify import NotifySpec, Scope
from export_pipelines.spec.recipients import RecipientSpec
from export_pipelines.spec.retention import RetentionSpec
from export_pipelines.spec.schedules import CalendarSpec, ScheduleSpec
from export_pipelines.spec.stores import StoreSpec


class SpecFile(SpecModel):
    """One YAML file. All files of the spec directory are merged, and a name defined twice is an error."""

    connections: dict[KeyName, ConnectionSpec] = Field(
        default_factory=dict,
        description="Where rows come from.",
        examples=[{"school": {"url": "sqlite:///school.db"}}],
    )
    stores: dict[KeyName, StoreSpec] = Field(
        default_factory=dict,
        description="Where artifacts go; `local` exists without being defined.",
        examples=[{"archive": {"type": "local", "root": "/srv/archive"}}],
    )
    calendars: dict[KeyName, CalendarSpec] = Field(
        default_factory=dict, description="Working days.", examples=[{"de-bank": {"country": "DE"}}]
    )
    schedules: dict[Name, ScheduleSpec] = Field(
        default_factory=dict,
        description="Timings that exports share.",
        examples=[{"nightly": {"cron": "0 2 * * *"}}],
    )
    recipients: dict[KeyName, RecipientSpec] = Field(
        default_factory=dict,
        description="Who can be notified.",
        examples=[{"ops": {"type": "email", "to": ["ops@example.org"]}}],
    )
    notify: dict[Scope, NotifySpec] = Field(
        default_factory=dict,
        description="Who hears of what: `default`, `org:NAME`, or an owner as exports name it.",
        examples=[{"default": {"failure": ["ops"]}, "team:registrar": {"failure": ["registrar@example.org"]}}],
    )
    retention: dict[KeyName, RetentionSpec] = Field(
        default_factory=dict,
        description="What to keep: policies that exports name; `default` is for those that name none.",
        examples=[{"default": {"keep_days": 90}, "statutory": {"min_keep_days": 3650}}],
    )
    exports: dict[Name, ExportSpec] = Field(
        default_factory=dict,
        description="The exports.",
        examples=[{"pupils": {"source": "school", "datasets": {"pupils": {"table": "pupils"}}, "formats": ["csv"]}}],
    )
