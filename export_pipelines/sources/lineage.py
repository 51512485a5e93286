"""Which tables an export reads, as far as its specs and SQL tell."""

from __future__ import annotations

import re

from export_pipelines.spec.datasets import DatasetSpec
from export_pipelines.spec.resolved import ResolvedExport

_DIALECTS = {"postgres": "postgres", "postgresql": "postgres", "sqlite": "sqlite", "duckdb": "duckdb", "mysql": "mysql"}


def tables_read(export: ResolvedExport) -> dict[str, set[str]]:
    """Dataset -> names of tables and views; the set is empty where a query's tables cannot be told."""
    dialect = _DIALECTS.get(re.split(r"[+:]", export.connection.url)[0])
    return {name: _tables(dataset, dialect) for name, dataset in export.spec.datasets.items()}


def _tables(dataset: DatasetSpec, dialect: str | None) -> set[str]:
    if dataset.table:
        return {dataset.table}
    import sqlglot  # costs 0.5 s, and many exports have no SQL
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.scope import traverse_scope

    try:
        query = sqlglot.parse_one(dataset.sql or "", dialect=dialect)
        scopes = traverse_scope(query)
    except SqlglotError:  # lineage is a picture; the database decides whether the SQL is right
        return set()
    sources = (source for scope in scopes for source in scope.sources.values())
    return {".".join(part.name for part in source.parts) for source in sources if isinstance(source, exp.Table)}
