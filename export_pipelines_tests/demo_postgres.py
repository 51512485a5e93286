"""The demo database copied into PostgreSQL, with types that mean the same."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extras import execute_values

TYPES = {
    "INTEGER": "bigint",
    "TEXT": "text",
    "REAL": "double precision",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMPTZ": "timestamptz",
}
"""Type declared in SQLite -> type in PostgreSQL; DECIMAL(P,S) becomes numeric(P,S)."""


def load_into_postgres(sqlite_path: Path, postgres_url: str) -> dict[str, int]:
    """Recreate the tables and views of a demo database in PostgreSQL, copy all rows, and return table -> rows.

    `postgres_url` is a libpq URL; tables and views of the same names are dropped first. All in one transaction.
    """
    with closing(sqlite3.connect(sqlite_path)) as lite, closing(psycopg2.connect(postgres_url)) as postgres:
        with postgres, postgres.cursor() as cursor:
            rows = {table: _copy(lite, cursor, table) for table in _names(lite, "table")}
            for view in _names(lite, "view"):
                (statement,) = lite.execute("select sql from sqlite_master where name = ?", [view]).fetchone()
                cursor.execute(statement)
        return rows


def _names(lite: sqlite3.Connection, kind: str) -> list[str]:
    found = lite.execute("select name from sqlite_master where type = ? order by rowid", [kind])
    return [name for (name,) in found]


def _copy(lite: sqlite3.Connection, cursor: Any, table: str) -> int:
    columns = [(name, kind, key) for _, name, kind, _, _, key in lite.execute(f"pragma table_info({table})")]
    name = sql.Identifier(table)
    cursor.execute(sql.SQL("drop table if exists {} cascade").format(name))
    declared = [sql.SQL("{} " + _type(kind)).format(sql.Identifier(column)) for column, kind, _ in columns]
    keys = [sql.Identifier(column) for column, _, key in columns if key]
    primary = sql.SQL("primary key ({})").format(sql.SQL(", ").join(keys))
    cursor.execute(sql.SQL("create table {} ({})").format(name, sql.SQL(", ").join([*declared, primary])))
    execute_values(
        cursor, sql.SQL("insert into {} values %s").format(name), _rows(lite, table, columns), page_size=1_000
    )
    cursor.execute(sql.SQL("select count(*) from {}").format(name))
    return int(cursor.fetchone()[0])


def _type(declared: str) -> str:
    decimal = re.fullmatch(r"DECIMAL(\(\d+,\d+\))", declared)
    return f"numeric{decimal[1]}" if decimal else TYPES[declared]


def _rows(lite: sqlite3.Connection, table: str, columns: list[tuple[str, str, int]]) -> Iterator[list[Any]]:
    convert = [_converter(kind) for _, kind, _ in columns]
    for row in lite.execute(f"select * from {table} order by rowid"):
        yield [None if cell is None else to(cell) for to, cell in zip(convert, row, strict=True)]


def _converter(declared: str) -> Callable[[Any], Any]:
    """What makes a cell of SQLite one of PostgreSQL: it has no booleans, and keeps decimals as integers or floats."""
    if declared == "BOOLEAN":
        return bool
    if declared.startswith("DECIMAL"):
        return lambda number: Decimal(repr(number))
    return lambda cell: cell
