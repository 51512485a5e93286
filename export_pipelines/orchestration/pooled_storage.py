"""Dagster's storage on PostgreSQL, with connections that are used again.

`storage: postgres` opens a connection for every statement or two: about 25 for each small export, and a new connection
costs more than what is asked of it. Choose this class in dagster.yaml instead, with the same settings:

    storage:
      custom:
        module: export_pipelines.orchestration.pooled_storage
        class: PooledPostgresStorage
        config: {postgres_url: {env: DAGSTER_POSTGRES_URL}}

The attribute `_engine` of Dagster's three storages is none that Dagster promises to keep; no other module uses it, and
the tests of this one fail when it changes.
"""

from __future__ import annotations

from typing import Any, Self

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.utils import create_pg_engine, get_token_provider_from_config, pg_url_from_config

_KEPT = 3  # connections of a process that stay open; a run needs one of them, the daemon's threads more
_SECONDS = 1800  # then a connection is replaced, before a firewall forgets it


class _Events(PostgresEventLogStorage):
    """Looks once whether a table has a column: Dagster reads the table's description several times in each step.

    A column that is missing is looked for again, as somebody may migrate the database.
    """

    def __init__(self, postgres_url: str, **options: Any) -> None:
        super().__init__(postgres_url, **options)
        self._present: set[str] = set()

    def has_asset_key_col(self, column_name: str) -> bool:
        """Whether the table of assets has the column."""
        if column_name not in self._present and super().has_asset_key_col(column_name):
            self._present.add(column_name)
        return column_name in self._present


class PooledPostgresStorage(DagsterPostgresStorage):
    """Dagster's runs, events and schedules in one PostgreSQL database, through one pool of connections per process.

    A connection is tested before it is used again, so that a server that was restarted is not noticed. Where more are
    needed at once than are kept, more are opened, as many as Dagster would open.
    """

    def __init__(self, postgres_url: str, token_provider: Any = None, **options: Any) -> None:
        """As Dagster's class. Creates missing tables; raises DagsterPostgresException if it cannot connect."""
        super().__init__(postgres_url, token_provider=token_provider, **options)
        engine = create_pg_engine(
            postgres_url,
            token_provider,
            isolation_level="AUTOCOMMIT",
            pool_size=_KEPT,
            max_overflow=-1,
            pool_pre_ping=True,
            pool_recycle=_SECONDS,
            pool_use_lifo=True,
        )
        self._event_log_storage = _Events(postgres_url, should_autocreate_tables=False, token_provider=token_provider)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = engine

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """The storage that dagster.yaml describes, with the settings of `storage: postgres`."""
        return cls(
            postgres_url=pg_url_from_config(config_value),
            token_provider=get_token_provider_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            inst_data=inst_data,
        )
