"""Tables of the ledger; their names let it share a database with Dagster."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

VERSION = 1
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
    Index("export_artifacts_by_partition", "export", "partition", "created_at"),
    Index("export_artifacts_by_run", "run_id"),
)

runs = Table(
    "export_runs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("run_id", String(64), nullable=False),
    Column("export", String(63), nullable=False),
    Column("partition", String(63), nullable=False),
    Column("state", String(16), nullable=False),  # running | published | skipped | failed | died
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("store", String(63)),  # with manifest_path: what the run was about to publish
    Column("manifest_path", String(1000)),
    Column("artifact_id", String(32)),  # what it did publish
    Column("rows", BigInteger),
    Column("bytes", BigInteger),
    Column("error", Text),
    Index("export_runs_by_partition", "export", "partition", "started_at"),
    Index("export_runs_by_time", "started_at"),
)

leases = Table(
    "export_leases",
    metadata,
    Column("export", String(63), primary_key=True),
    Column("partition", String(63), primary_key=True),
    Column("fence", BigInteger, nullable=False),
    Column("holder", String(200)),
    Column("expires_at", Float, nullable=False),  # seconds since 1970 by the database server's clock
)
