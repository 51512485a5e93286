"""One query on SQLite: its columns with certain types, then its batches."""

# ruff: noqa: S608 - names in SQL are our own, and the query is the dataset's

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from adbc_driver_sqlite import dbapi
from sqlalchemy.dialects import sqlite

from export_pipelines.errors import ColumnTypeError, QueryError
from export_pipelines.sources.query import Query, build_statement, compile_query
from export_pipelines.sources.sqlite_columns import (
    SqliteColumn,
    offender_query,
    probing_query,
    sqlite_column,
    typed_query,
)
from export_pipelines.sources.sqltext import replace_parameters
from export_pipelines.sources.types import check_names, misfit, plain_type, target_schema
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.datasets import DatasetSpec
from export_pipelines.spec.sqltext import single_statement

DIALECT = sqlite.dialect(paramstyle="qmark")
_BY_CLASS = {"integer": pa.int64(), "real": pa.float64(), "text": pa.string(), "blob": pa.binary()}
_CLASSES = {"int64": ("integer",), "double": ("integer", "real"), "string": ("text",), "binary": ("blob", "text")}
_PRINTED_FLOAT = r"^-?\d\.\d{6}e[+-]\d+$"  # what the driver makes of a number among texts, with digits lost


class SqliteRows:
    """Use: `describe`, then `start`, then `batches`, each once; then `close`."""

    def __init__(self, connection: dbapi.Connection, spec: ConnectionSpec) -> None:
        self._connection = connection
        self._spec = spec
        self._statement: dbapi.Cursor | None = None

    def describe(self, view: str, dataset: DatasetSpec, values: Mapping[str, Any]) -> None:
        """Find out the columns. `view` is a name that no other query of the connection has."""
        self._query = compile_query(build_statement(dataset, values=values, database="sqlite"), DIALECT)
        self._columns = [sqlite_column(*declared, dataset.types) for declared in self._declared(view, dataset)]
        fields = [pa.field(column.name, column.type or pa.null()) for column in self._columns]
        target_schema(fields, dataset.types, lambda field: field.type)  # refuses names and precisions

    def start(self) -> pa.Schema:
        """Run the query up to its first batch. Returns the schema that its batches are to be cast to."""
        options = {"adbc.sqlite.query.batch_rows": str(self._spec.batch_rows)}
        self._statement = self._connection.cursor(adbc_stmt_kwargs=options)
        self._execute(self._statement)
        self._resolve(self._statement)
        return pa.schema([pa.field(column.name, column.type) for column in self._columns])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows. Raises ColumnTypeError for a value of another kind than its column, QueryError after a timeout."""
        return chain([self._first], self._rest)

    def close(self) -> None:
        """End the query."""
        if self._statement is not None:
            with suppress(dbapi.Error, OSError):
                self._statement.close()

    def _declared(self, view: str, dataset: DatasetSpec) -> list[tuple[str, str]]:
        """Name and declared type of every column, which SQLite tells for views only: so the query becomes one.

        This also refuses what is not a SELECT: nothing else can be in a view.
        """
        if dataset.sql is not None:
            body = replace_parameters(single_statement(dataset.sql), lambda name: "NULL")
        else:
            whole: dict[str, Any] = {"filters": {}, "search": None, "window": None, "watermark": None, "order_by": []}
            bare = dataset.model_copy(update=whole)
            body = compile_query(build_statement(bare, values={}, database="sqlite"), DIALECT).sql
        run(self._connection, Query(f"create temp view {view} as select * from (\n{body}\n)"))
        found = run(self._connection, Query(f"select name, type from pragma_table_info('{view}', 'temp')"))
        names = found["name"].to_pylist()
        check_names([re.sub(r":\d+$", "", name) for name in names], {})  # a second `id` is called `id:1`
        return list(zip(names, found["type"].to_pylist(), strict=True))

    def _execute(self, statement: dbapi.Cursor) -> None:
        query = typed_query(self._query, self._columns)
        started = time.monotonic()
        statement.execute(query.sql, query.params or None)
        reader = statement.fetch_record_batch()
        for place, (column, field) in enumerate(zip(self._columns, reader.schema, strict=True)):
            if column.driver_type not in ("any", str(field.type)):
                raise self._offence(place)
        self._rest = self._timed(reader, started)
        self._first = next(self._rest).slice(1)

    def _timed(self, reader: Iterator[pa.RecordBatch], started: float) -> Iterator[pa.RecordBatch]:
        limit = self._spec.statement_timeout_seconds
        while (batch := self._next(reader)) is not None:
            if time.monotonic() - started > limit:
                raise QueryError(
                    f"a batch took longer than {limit:g} s",
                    hint="Raise statement_timeout_seconds or make the query faster",
                )
            yield batch
            started = time.monotonic()

    def _next(self, reader: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
        try:
            return next(reader, None)
        except OSError as error:
            mismatch = re.search(r"Type mismatch in column (\d+)", str(error))
            if mismatch is None:
                raise
            raise self._offence(int(mismatch[1])) from error

    def _resolve(self, statement: dbapi.Cursor) -> None:
        """Give columns without a declaration the type of their first values."""
        complete = self._first.num_rows + 1 < self._spec.batch_rows
        again = False
        for place, (column, array) in enumerate(zip(self._columns, self._first.columns, strict=True)):
            if column.type is not None:
                continue
            if array.null_count < len(array):
                found = plain_type(array.type)
                mixed = pa.types.is_string(array.type) and pc.any(pc.match_substring_regex(array, _PRINTED_FLOAT))
                again |= bool(mixed and mixed.as_py())
            else:
                found = None if complete else self._probe(place)
                again |= found is not None
            self._columns[place] = column.resolved(found or _without_values(column))
        if again:
            self._execute(statement)

    def _probe(self, place: int) -> pa.DataType | None:
        """The type of the first value of a column that has none in the first batch; the query runs once more."""
        found = run(self._connection, probing_query(self._query, len(self._columns), place))["storage"].to_pylist()
        return _BY_CLASS[found[0]] if found else None

    def _offence(self, place: int) -> ColumnTypeError:
        column = self._columns[place]
        query = offender_query(self._query, len(self._columns), place, _CLASSES[column.driver_type])
        found = run(self._connection, query)["value"].to_pylist()
        return misfit(pa.field(column.name, column.type), found[0] if found else None)


def run(connection: dbapi.Connection, query: Query) -> pa.Table:
    """All rows of a small query."""
    with connection.cursor() as statement:
        statement.execute(query.sql, query.params or None)
        return statement.fetch_arrow_table()


def _without_values(column: SqliteColumn) -> pa.DataType:
    return pa.binary() if column.declaration == "BLOB" else pa.string()
