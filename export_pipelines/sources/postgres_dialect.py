"""How SQL is written for PostgreSQL and for DuckDB, which reads the same."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.engine.interfaces import BindTyping


class _Dialect(PGDialect):
    """Renders `$1` without `::VARCHAR` behind it, which would forbid comparing it with an enum or a uuid."""

    bind_typing = BindTyping.NONE


DIALECT: sa.Dialect = _Dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
