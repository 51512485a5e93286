"""Tables of the ledger; their names let it share a database with Dagster."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    true,
)

metadata = MetaData()


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC without an offset so that every database sorts it the same way."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware -> naive UTC."""
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Naive UTC -> aware."""
        return value.replace(tzinfo=UTC) if value else None


versions = Table("export_ledger_version", metadata, Column("version", Integer, primary_key=True))

artifacts = Table(
    "export_artifacts",
    metadata,
    Column("artifact_id", String(32), primary_key=True),
    Column("export", String(63), nullable=False),
    Column("partition", String(63), nullable=False),
    Column("last_partition", String(63)),  # where it combines several: the last of them
    Column("window_start", Instant, nullable=False),
    Column("window_end", Instant, nullable=False),
    Column("scheduled_at", Instant),
    Column("run_id", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("store", String(63), nullable=False),
    Column("manifest_path", String(1000), nullable=False),
    Column("spec_sha256", String(64), nullable=False),
    Column("row_limit", BigInteger),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("manifest", Text, nullable=False),
    Column("good", Boolean, nullable=False, server_default=true()),  # no blocking check failed
    Column("verified_at", Instant),  # when its files were last read again and found as they were written
    Column("damaged_at", Instant),  # when they were found otherwise; None once they are right again
    Column("deleted_at", Instant),  # the row stays: it proves what there was
    Column("corrects", String(32)),  # the artifact of the same partition that it replaces
    Index("export_artifacts_by_partition", "export", "partition", "created_at"),
    Index("export_artifacts_combined", "export", "last_partition"),
    Index("export_artifacts_by_run", "run_id"),
    Index("export_artifacts_by_time", "created_at", "export", "partition", "rows", "bytes"),  # sums read nothing else
)

runs = Table(
    "export_runs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("run_id", String(64), nullable=False),
    Column("export", String(63), nullable=False),
    Column("partition", String(63), nullable=False),
    Column("last_partition", String(63)),  # where it combines several: the last of them
    Column("state", String(16), nullable=False),  # running | published | skipped | failed | died
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("store", String(63)),  # with manifest_path: what the run was about to publish
    Column("manifest_path", String(1000)),
    Column("artifact_id", String(32)),  # what it did publish
    Column("rows", BigInteger),
    Column("bytes", BigInteger),
    Column("error", Text),  # the whole text; of a skipped attempt, why
    Column("hint", Text),  # what to do about the error
    Column("export_id", String(32)),  # of this attempt; the artifact that it publishes has the same id
    Column("formats", String(200)),  # comma-separated
    Index("export_runs_by_partition", "export", "partition", "started_at"),
    Index("export_runs_combined", "export", "last_partition"),
    Index("export_runs_by_time", "started_at"),
    Index("export_runs_by_run", "run_id"),
)

totals = Table(
    "export_totals",
    metadata,
    Column("export", String(63), primary_key=True),
    Column("state", String(16), primary_key=True),
    Column("attempts", BigInteger, nullable=False),  # that are no longer in export_runs
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
)

leases = Table(
    "export_leases",
    metadata,
    Column("export", String(63), primary_key=True),
    Column("partition", String(63), primary_key=True),
    Column("fence", BigInteger, nullable=False),
    Column("holder", String(200)),
    Column("expires_at", Float, nullable=False),  # seconds since 1970 by the database server's clock
    Index("export_leases_by_expiry", "expires_at"),
)

workers = Table(
    "export_workers",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("store", String(63), primary_key=True),
    Column("holder", String(200), nullable=False),
    Column("expires_at", Float, nullable=False),  # seconds since 1970 by the database server's clock
)

events = Table(
    "export_events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("key", String(300), nullable=False, unique=True),  # what makes it one event however often it is seen
    Column("kind", String(32), nullable=False),
    Column("level", String(16), nullable=False),
    Column("export", String(63)),
    Column("partition", String(63)),
    Column("run_id", String(64)),
    Column("happened_at", Instant, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("details", Text, nullable=False),  # JSON
    Column("routed_at", Instant),
    Index("export_events_by_routed", "routed_at"),
    Index("export_events_by_export", "export", "happened_at"),
    Index("export_events_by_time", "happened_at"),
)

incidents = Table(
    "export_incidents",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("export", String(63), nullable=False),
    Column("partition", String(63)),  # the latest that failed
    Column("opened_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("escalated_at", Instant),
    Column("closed_at", Instant),
    Index("export_incidents_open", "export", "closed_at"),
)

messages = Table(
    "export_messages",
    metadata,
    Column("message_id", String(120), primary_key=True),
    Column("recipient", String(300), nullable=False),
    Column("state", String(16), nullable=False),  # pending | sent | failed | off
    Column("created_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("error", Text),
    Index("export_messages_due", "state", "next_attempt_at"),
    Index("export_messages_by_time", "created_at"),
)

notifications = Table(
    "export_notifications",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("event_id", Integer, ForeignKey("export_events.id"), nullable=False),
    Column("recipient", String(300), nullable=False),
    Column("topic", String(120), nullable=False),  # what folds together
    Column("due_at", Instant, nullable=False),
    Column("message_id", String(120), ForeignKey("export_messages.message_id")),
    UniqueConstraint("event_id", "recipient"),
    Index("export_notifications_unbound", "message_id", "due_at"),
    Index("export_notifications_by_topic", "recipient", "topic"),
)

pulses = Table(
    "export_pulses",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("value", Float),
)

watches = Table(
    "export_watches",
    metadata,
    Column("export", String(63), primary_key=True),
    Column(
        "timing", Text, primary_key=True
    ),  # JSON of what decides when it ticks; a former one stays until it is noted
    Column("since", Instant, nullable=False),
    Column("seen_until", Instant, nullable=False),  # ticks up to then are in export_due
)

due = Table(
    "export_due",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("export", String(63), nullable=False),
    Column("partition", String(63), nullable=False),
    Column("schedule", String(63), nullable=False),
    Column("tick", Instant, nullable=False),  # that asked for the partition first
    Column("state", String(16), nullable=False),  # due | done | skipped | given_up
    Column("cause", String(16)),  # of a skip: see `due.Cause`
    Column("reason", Text),  # the same in words; of what was given up, the last error
    Column("attempts", Integer, nullable=False),  # requests that were made
    Column("failures", Integer, nullable=False),  # attempts that ended without publishing
    Column("asked_by", String(16)),  # who made the last request: schedule | catch_up
    Column("requested_at", Instant),  # of the request that is not known to have ended
    Column("next_attempt_at", Instant),
    Column("noted_at", Instant, nullable=False),
    UniqueConstraint("export", "partition"),
    Index("export_due_by_state", "state", "tick"),
    Index("export_due_by_export", "export", "tick"),
)

pauses = Table(
    "export_pauses",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(8), nullable=False),  # export | schedule
    Column("name", String(200), nullable=False),
    Column("at", Instant, nullable=False),
    Column("until", Instant),
    Column("by", String(200), nullable=False),
    Column("why", Text, nullable=False),
    Column("ended_at", Instant),
    Column("ended_by", String(200)),
    Column("catch_up", Boolean, nullable=False),  # what it skipped is due all the same
    Index("export_pauses_by_name", "name"),
)

pins = Table(
    "export_pins",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("artifact_id", String(32), nullable=False),  # no foreign key: a rebuilt ledger registers artifacts anew
    Column("kind", String(8), nullable=False),  # pin | hold
    Column("until", Date),  # of a hold: the last day
    Column("by", String(200), nullable=False),
    Column("why", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("ended_by", String(200)),
    Column("ended_why", Text),
    Index("export_pins_by_artifact", "artifact_id"),
)

archives = Table(
    "export_archives",
    metadata,
    Column("archive_id", String(32), primary_key=True),
    Column("store", String(63), nullable=False),
    Column("index_path", String(1000), nullable=False),
    Column("file_path", String(1000), nullable=False),
    Column("export", String(63), nullable=False),
    Column("bytes", BigInteger),  # of the file
    Column("announced_at", Instant, nullable=False),  # about to be written
    Column("sealed_at", Instant),  # written, read again and found equal
    Column("verified_at", Instant),  # when it was last read again and found as it was written
    Column("damaged_at", Instant),  # when it was found otherwise; None once it is right again
)

deletions = Table(
    "export_deletions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("artifact_id", String(32), nullable=False),  # no foreign key, as above
    Column("batch", String(64), nullable=False),  # what was decided together
    Column("decided_at", Instant, nullable=False),
    Column("by", String(200), nullable=False),
    Column("why", Text, nullable=False),
    Column("archive_store", String(63)),  # with archive_format: it must be archived there first
    Column("archive_format", String(16)),
    Column("archive_group", String(100)),  # what shares an archive
    Column("archive_id", String(32)),  # the archive that has it, or is about to
    Column("outcome", String(8)),  # deleted | kept; None until it is known
    Column("ended_at", Instant),
    Column("error", Text),  # why it was kept
    Column("restored_at", Instant),
    Column("restored_by", String(200)),
    Index("export_deletions_by_artifact", "artifact_id"),
    Index("export_deletions_by_batch", "batch"),
    Index("export_deletions_open", "outcome"),
)
