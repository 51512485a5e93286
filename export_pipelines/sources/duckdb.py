"""DuckDB: a folder of Parquet and CSV files as tables, or a DuckDB database file; read-only.

`duckdb:///FOLDER` makes a table of every `*.parquet` and `*.csv` file that a query names, called like the file without
its ending. Queries cannot reach files outside of the folder. Files have no transactions: replace them by renaming, or
an export may see some before and some after a change. A database file is read in one state.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from uuid import uuid4

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from export_pipelines.errors import ConfigurationError, ExportError, QueryError, SourceUnavailableError
from export_pipelines.sources.base import Snapshot, Source
from export_pipelines.sources.deadline import limited
from export_pipelines.sources.failures import Guard, one_line
from export_pipelines.sources.postgres_dialect import DIALECT
from export_pipelines.sources.query import Query, build_statement, compile_query, relation
from export_pipelines.sources.session import Session
from export_pipelines.sources.sqltext import replace_parameters
from export_pipelines.sources.stream import RecordStream
from export_pipelines.sources.types import conform, plain_type, target_schema
from export_pipelines.spec.connections import ConnectionSpec
from export_pipelines.spec.datasets import DatasetSpec

_READERS = {".parquet": "read_parquet", ".csv": "read_csv"}
_ERRORS = (duckdb.Error, OSError)  # OSError: what goes wrong while a stream is read


class DuckdbSource(Source):
    """Reads `duckdb:///FOLDER` and `duckdb:///file.duckdb` URLs."""

    def __init__(self, name: str, spec: ConnectionSpec, url: str) -> None:
        super().__init__(name, spec, url)
        self._guard = Guard(url, errors=_ERRORS, translate=_translate)

    def open(self, datasets: Mapping[str, DatasetSpec], *, values: Mapping[str, Any]) -> Snapshot:
        """Start every query; see Source.open."""
        connection = self._guard.call(f"connection {self.name!r}", partial(self._connect, datasets))
        session = Session(connection.close)
        streams: dict[str, RecordStream] = {}
        with session:
            for name, dataset in datasets.items():
                doing = f"connection {self.name!r}, dataset {name!r}"
                call = partial(self._stream, session, connection.cursor(), doing, dataset, values)
                streams[name] = self._guard.call(doing, call)
        return session.snapshot(streams)

    def _connect(self, datasets: Mapping[str, DatasetSpec]) -> duckdb.DuckDBPyConnection:
        path = _path(self._url)
        isfile = path.is_file()
        spill = _spill(str(path) if isfile else uuid4().hex)
        database = str(path) if isfile else ":memory:"
        connection = duckdb.connect(database, read_only=isfile, config={"temp_directory": spill})
        with ExitStack() as undo:
            undo.callback(connection.close)
            if not isfile:
                _make_tables(connection, path, datasets)
            connection.execute("set enable_external_access = false")
            undo.pop_all()
        return connection

    def _stream(
        self,
        session: Session,
        cursor: duckdb.DuckDBPyConnection,
        doing: str,
        dataset: DatasetSpec,
        values: Mapping[str, Any],
    ) -> RecordStream:
        query = compile_query(build_statement(dataset, values=values, database="duckdb"), DIALECT)
        _refuse_writes(cursor, query)
        cursor.execute("set timezone = 'UTC'")
        cursor.execute("begin transaction read only")
        reader = self._limited(cursor, partial(self._start, cursor, query))
        schema = target_schema(reader.schema, dataset.types, lambda field: plain_type(field.type))
        batches = self._guard.batches(doing, conform(self._read(cursor, reader), schema))
        return session.stream(schema, batches, on_close=partial(_end, cursor, reader))

    def _start(self, cursor: duckdb.DuckDBPyConnection, query: Query) -> pa.RecordBatchReader:
        # `execute` would read the whole result into memory; a relation streams.
        return cursor.sql(query.sql, params=list(query.params)).to_arrow_reader(self.spec.batch_rows)

    def _read(self, cursor: duckdb.DuckDBPyConnection, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        while (batch := self._limited(cursor, lambda: next(reader, None))) is not None:
            yield batch

    def _limited(self, cursor: duckdb.DuckDBPyConnection, call: Callable[[], Any]) -> Any:
        return limited(call, self.spec.statement_timeout_seconds, interrupt=cursor.interrupt, errors=_ERRORS)


def _path(url: str) -> Path:
    database = sa.make_url(url).database
    path = Path(database or "").expanduser().absolute()
    if not database or not path.exists():
        raise ConfigurationError(
            f"there is no folder or DuckDB database {database or ''!r}",
            hint="Write duckdb:///FOLDER or duckdb:///file.duckdb",
        )
    return path


def _spill(database: str) -> str:
    """A directory of this process and database for what outgrows memory; DuckDB makes and removes it."""
    return str(Path(gettempdir()) / f"export-{os.getpid()}-{sha256(database.encode()).hexdigest()[:16]}")


def _make_tables(connection: duckdb.DuckDBPyConnection, folder: Path, datasets: Mapping[str, DatasetSpec]) -> None:
    allowed = ", ".join(_literal(form) for form in {str(folder), _exactly(folder)})  # both are compared as text
    connection.execute(f"set allowed_directories = [{allowed}]")
    for name, file in _tables(folder, datasets).items():
        source = f"{_READERS[file.suffix.lower()]}({_literal(_exactly(file))})"
        connection.execute(f"create view {_quoted(name)} as select * from {source}")  # noqa: S608 - both are quoted


def _tables(folder: Path, datasets: Mapping[str, DatasetSpec]) -> dict[str, Path]:
    """Table name -> file, for the files that the queries name; the others are not even opened."""
    found: dict[str, Path] = {}
    wanted = [_named(dataset) for dataset in datasets.values()]
    for file in sorted(file for file in folder.iterdir() if file.suffix.lower() in _READERS and file.is_file()):
        name = file.stem.lower()
        if not any(names is None or name in names for names in wanted):
            continue
        if name in found:
            raise ConfigurationError(
                f"{found[name].name} and {file.name} in {folder} both make a table {name!r}", hint="Rename one of them"
            )
        found[name] = file
    return found


def _named(dataset: DatasetSpec) -> set[str] | None:
    """The tables that a dataset names, in lower case; None if DuckDB's parser cannot tell."""
    if dataset.table is not None:
        return {relation(dataset.table).name.lower()}
    with duckdb.connect(":memory:", config={"enable_external_access": "false"}) as parser, suppress(duckdb.Error):
        sql = replace_parameters(dataset.sql or "", lambda name: "NULL")
        return {name.lower() for name in parser.get_table_names(sql)}
    return None


def _refuse_writes(cursor: duckdb.DuckDBPyConnection, query: Query) -> None:
    """DuckDB runs all of several statements, and writes files in the folder if one says COPY."""
    statements = cursor.extract_statements(query.sql)
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise QueryError("the SQL is not one SELECT", hint="Exports only read")


def _end(cursor: duckdb.DuckDBPyConnection, reader: pa.RecordBatchReader) -> None:
    with suppress(*_ERRORS):
        reader.close()
    cursor.close()


def _exactly(file: Path) -> str:
    """The path as a pattern that matches only this file."""
    return re.sub(r"([*?\[])", r"[\1]", str(file))


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _translate(error: BaseException, doing: str) -> ExportError:
    message = f"{doing}: {one_line(str(error).partition('LINE 1:')[0])}"
    if "not a valid DuckDB database" in message:
        return ConfigurationError(message, hint="Check the url")
    if isinstance(error, duckdb.IOException) or "IO Error" in message:
        return SourceUnavailableError(message, hint="Check that the file is there and that nobody writes to it")
    return QueryError(message, hint="Run the SQL in the duckdb shell to see more")
