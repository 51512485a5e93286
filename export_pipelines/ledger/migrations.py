"""Older ledgers brought up to date. A new table needs a new version with an empty step; a changed one, statements."""

from __future__ import annotations

from sqlalchemy import Connection, text, update

from export_pipelines.ledger.tables import metadata, versions
from export_pipelines.ledger.version import VERSION

_STEPS: dict[int, tuple[str, ...]] = {
    1: (
        "alter table export_artifacts add column good boolean default true not null",
        "alter table export_runs add column hint text",
        "alter table export_runs add column export_id varchar(32)",
        "alter table export_runs add column formats varchar(200)",
        "create index export_runs_by_run on export_runs (run_id)",
        "create index export_artifacts_by_time on export_artifacts (created_at, export, partition, rows, bytes)",
    ),
    2: (),
    3: (
        "alter table export_artifacts add column verified_at timestamp",
        "alter table export_artifacts add column damaged_at timestamp",
        "alter table export_artifacts add column deleted_at timestamp",
    ),
    4: (
        "drop table if exists export_watches",  # it only held since when timings are watched: they are watched anew
        "create index export_leases_by_expiry on export_leases (expires_at)",
    ),
    5: (
        "alter table export_artifacts add column last_partition varchar(63)",
        "alter table export_artifacts add column corrects varchar(32)",
        "create index export_artifacts_combined on export_artifacts (export, last_partition)",
        "alter table export_runs add column last_partition varchar(63)",
        "create index export_runs_combined on export_runs (export, last_partition)",
    ),
}
"""Version -> the statements that make the next one of it, valid on SQLite and PostgreSQL."""


def upgrade(connection: Connection, version: int) -> None:
    """Bring a ledger of an older version up to date, in the caller's transaction."""
    for step in range(version, VERSION):
        for statement in _STEPS[step]:
            connection.execute(text(statement))
    metadata.create_all(connection)
    connection.execute(update(versions).values(version=VERSION))
