"""Arithmetic with instants, in the SQL of every database that a ledger may be in."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Float
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class Elapsed(FunctionElement[float]):
    """Seconds from the first instant to the second, to the millisecond; NULL if one of them is."""

    name = "elapsed"
    type = Float()
    inherit_cache = True


class Epoch(FunctionElement[int]):
    """Whole seconds from 1970 to the instant, rounded down."""

    name = "epoch"
    type = BigInteger()
    inherit_cache = True


@compiles(Elapsed)
def _elapsed(element: Elapsed, compiler: SQLCompiler, **options: Any) -> str:
    start, end = (compiler.process(clause, **options) for clause in element.clauses)
    return f"cast(extract(epoch from {end} - {start}) as double precision)"


@compiles(Elapsed, "sqlite")
def _elapsed_sqlite(element: Elapsed, compiler: SQLCompiler, **options: Any) -> str:
    start, end = (compiler.process(clause, **options) for clause in element.clauses)
    return f"round((julianday({end}) - julianday({start})) * 86400.0, 3)"


@compiles(Epoch)
def _epoch(element: Epoch, compiler: SQLCompiler, **options: Any) -> str:
    return f"cast(floor(extract(epoch from {compiler.process(element.clauses, **options)})) as bigint)"


@compiles(Epoch, "sqlite")
def _epoch_sqlite(element: Epoch, compiler: SQLCompiler, **options: Any) -> str:
    instant = compiler.process(element.clauses, **options)  # its text, of which strftime would round up the fraction
    return f"cast(strftime('%s', substr({instant}, 1, 19)) as integer)"
