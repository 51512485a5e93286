"""Specs as SQL, and SQL text."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from export_pipelines.errors import SpecError
from export_pipelines.sources.postgres_dialect import DIALECT
from export_pipelines.sources.query import Query, bindable, build_statement, compile_query, relation
from export_pipelines.sources.sqltext import escape_colons, first_word, replace_parameters, replace_positions
from export_pipelines.spec.datasets import DatasetSpec
from export_pipelines.spec.sqltext import parameters, single_statement

DIALECTS = {"sqlite": sqlite.dialect(paramstyle="qmark"), "postgresql": DIALECT}
DAY = {"window_start": datetime(2024, 1, 1, tzinfo=UTC), "window_end": datetime(2024, 1, 2, tzinfo=UTC)}


def build(database: str, values: dict[str, Any] | None = None, **dataset: Any) -> Query:
    """The dataset's SQL on one line, and its values."""
    statement = build_statement(
        DatasetSpec.model_validate(dataset), values=DAY if values is None else values, database=database
    )
    query = compile_query(statement, DIALECTS[database])
    return Query(" ".join(query.sql.split()), query.params)


class TestTables:
    """`table` and what belongs to it."""

    def test_everything_at_once(self) -> None:
        found = build(
            "postgresql",
            table="school.Students",
            columns=["id", "Full Name"],
            filters={"status": "active", "grade": [1, None], "left_on": None, "score": {"ge": 10, "lt": 20}},
            window="created_at",
            order_by=["-created_at", "id"],
        )
        assert found.sql == (
            'SELECT t.id, t."Full Name" FROM school."Students" AS t WHERE t.status = $1 AND (t.grade IN ($6) OR t.grade IS NULL) '
            "AND t.left_on IS NULL AND t.score >= $2 AND t.score < $3 AND t.created_at >= $4 AND t.created_at < $5 "
            "ORDER BY t.created_at DESC NULLS FIRST, t.id ASC NULLS LAST"
        )
        assert found.params == ("active", 10, 20, DAY["window_start"], DAY["window_end"], 1)

    def test_sqlite_gets_utc_text(self) -> None:
        found = build("sqlite", table="students", window="created_at")
        assert found.sql == "SELECT * FROM students AS t WHERE t.created_at >= ? AND t.created_at < ?"
        assert found.params == ("2024-01-01 00:00:00", "2024-01-02 00:00:00")

    def test_a_window_needs_its_instants(self) -> None:
        with pytest.raises(SpecError, match="window_start"):
            build("sqlite", values={}, table="students", window="created_at")

    def test_null_has_no_order(self) -> None:
        with pytest.raises(SpecError, match=r"'score'.*gt.*is_null"):
            build("sqlite", table="students", filters={"score": {"gt": None}})

    @pytest.mark.parametrize(
        ("name", "table", "schema"),
        [("students", "students", None), ("a.b", "b", "a"), ('"a.b"', "a.b", None), ('s."a""b"', 'a"b', "s"), ("x.y.z", "z", "x.y")],
    )  # fmt: skip
    def test_names_of_tables(self, name: str, table: str, schema: str | None) -> None:
        assert (relation(name).name, relation(name).schema) == (table, schema)

    @pytest.mark.parametrize("name", ["a.", ".b", "a..b", '"a', 'a"b"', "."])
    def test_what_is_no_name(self, name: str) -> None:
        with pytest.raises(SpecError, match="is not a name"):
            relation(name)

    @given(st.text(min_size=1).filter(lambda text: "\0" not in text and text.strip()))
    def test_values_and_names_never_become_sql(self, text: str) -> None:
        """Whatever the text, as a value it is bound, and as a name it is one token."""
        for database, dialect in DIALECTS.items():
            bound = build(database, table="t", filters={"a": text})
            assert (bound.sql, bound.params) == (build(database, table="t", filters={"a": "x"}).sql, (text,))
            statement = build_statement(DatasetSpec(table="x", columns=["a", text]), values={}, database=database)
            named = compile_query(statement, dialect).sql
            column = named.removeprefix("SELECT t.a, t.").removesuffix(" \nFROM x AS t")
            plain = text == "a" or re.fullmatch(r"[a-z_][a-z0-9_$]*", text) is not None
            assert column in ('"' + text.replace('"', '""') + '"', *([text, "a AS a__1"] if plain else []))


class TestValues:
    """What a database gets for a Python value."""

    @pytest.mark.parametrize(
        ("value", "stored"),
        [
            (datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), "2024-01-01 00:00:00"),
            (datetime(2024, 1, 1, 0, 0, 0, 5, tzinfo=UTC), "2024-01-01 00:00:00.000005"),
            (date(2024, 1, 1), "2024-01-01"),
            (True, 1),
            (Decimal("1.50"), 1.5),
            (Decimal("123456789012345678"), 123456789012345678),
            (None, None),
            ("text", "text"),
        ],
    )
    def test_on_sqlite(self, value: Any, stored: Any) -> None:
        found = bindable(value, "sqlite")
        assert (found, type(found)) == (stored, type(stored))
        assert bindable(value, "postgresql") is value

    def test_instants_sort_right_beside_stored_text(self) -> None:
        start = bindable(datetime(2024, 1, 1, tzinfo=UTC), "sqlite")
        stored = [
            "2023-12-31 23:59:59.999999+00:00",
            "2024-01-01 00:00:00",
            "2024-01-01 00:00:00+00:00",
            "2024-01-01 00:00:00.1",
        ]
        assert [text >= start for text in stored] == [False, True, True, True]

    @pytest.mark.parametrize("value", [2**63, -(2**63) - 1, float("nan"), float("inf"), Decimal("NaN"), "a\0b"])
    def test_what_cannot_be_bound(self, value: Any) -> None:
        for database in DIALECTS:
            with pytest.raises(SpecError):
                bindable(value, database)


class TestText:
    """`sql`."""

    AWKWARD = """select :a, ':no', "q:no", 'it''s :no', E'\\':no', x::date, :c::text, y[1:2], y[:2]
        -- :no
        /* :no */ , $$ :no; $$, $tag$ :no; $tag$, a$b$c, ':' from t"""

    def test_parameters(self) -> None:
        assert parameters(self.AWKWARD) == {"a", "c"}

    def test_parameters_are_bound_and_the_rest_stays(self) -> None:
        found = build_statement(
            DatasetSpec(sql=self.AWKWARD, params={"a": 1, "c": "x"}), values={}, database="postgresql"
        )
        query = compile_query(found, DIALECT)
        assert query == Query(self.AWKWARD.replace(":a,", "$1,").replace(":c::", "$2::"), (1, "x"))
        assert replace_parameters(self.AWKWARD, lambda name: f"<{name}>") == self.AWKWARD.replace(
            ":a,", "<a>,"
        ).replace(":c::", "<c>::")

    def test_repeated_parameters(self) -> None:
        dataset = {"sql": "select :b, :a, :b", "params": {"a": 1, "b": "x"}}
        assert build("sqlite", **dataset) == Query("select ?, ?, ?", ("x", 1, "x"))
        assert build("postgresql", **dataset) == Query("select $1, $2, $1", ("x", 1))

    def test_positions(self) -> None:
        sql = "select $1, '$1', $12, a$1, $$ $1 $$"
        assert replace_positions(sql, lambda number: f"<{number}>") == "select <1>, '$1', <12>, a$1, $$ $1 $$"

    def test_missing_parameters_are_named_with_the_known_ones(self) -> None:
        with pytest.raises(SpecError, match=r":most.*partition, window_end"):
            build("sqlite", values={**DAY, "partition": "p"}, sql="select :most, :partition")

    @pytest.mark.parametrize(
        ("sql", "kept"),
        [("select 1", "select 1"), ("select 1;", "select 1"), (" select 1 ;; -- end\n;", "select 1"), ("select ';' /* ; */", "select ';' /* ; */"),
         ("select $a$;$a$; /* done; */", "select $a$;$a$")],
    )  # fmt: skip
    def test_one_statement(self, sql: str, kept: str) -> None:
        assert single_statement(sql) == kept

    @pytest.mark.parametrize(
        "sql",
        ["select 1; select 2", "select a$b$ ; drop table x; select a$b$", "select 'a\\'; drop table x --'", "select 1 --\r; drop table x",
         "select 1; '", "select /* /* */ 1; drop table x", "select \"a\\\"; drop table x --\"", "select 1;/**/delete from x"],
    )  # fmt: skip
    def test_more_than_one_statement(self, sql: str) -> None:
        with pytest.raises(SpecError, match="more than one statement"):
            single_statement(sql)

    @pytest.mark.parametrize(
        ("sql", "word"),
        [("select 1", "select"), ("-- insert\n /* update */ (( WITH x", "with"), ("/**/", ""), ("'select'", "")],
    )
    def test_first_word(self, sql: str, word: str) -> None:
        assert first_word(sql) == word

    @given(st.text(alphabet=":ab1 '\"$-/*\\;\n[]e", max_size=30))
    def test_what_is_no_parameter_survives(self, sql: str) -> None:
        """Escaping for SQLAlchemy changes nothing but the parameters, and both find the same of them."""
        clause = sa.text(escape_colons(sql))
        assert set(clause._bindparams) == parameters(sql)
        compiled = str(clause.compile(dialect=DIALECTS["sqlite"]))
        assert compiled == replace_parameters(sql, lambda name: "?")


def test_checking_specs_loads_no_database_library() -> None:
    program = (
        "import sys, export_pipelines.sources.query; print([m for m in sys.modules if m.split('.')[0] in sys.argv[1:]])"
    )
    heavy = ["pyarrow", "adbc_driver_manager", "pandas", "dagster", "duckdb", "numpy"]
    done = subprocess.run([sys.executable, "-c", program, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
