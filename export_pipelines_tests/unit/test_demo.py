"""The demo database: deterministic, consistent, awkward on purpose, and built all or nothing."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from export_pipelines.demo.build import TABLES, build_demo
from export_pipelines.demo.table import decimal
from export_pipelines.errors import ConfigurationError, StorageError
from export_pipelines.timing.partitions import Window, last_complete, window_of

TODAY = date(2026, 11, 22)
ZONES = ("UTC", "Europe/Berlin", "America/Los_Angeles", "Pacific/Kiritimati", "Etc/GMT+12")
WINDOWED = (("grades", "graded_at"), ("mappings", "matched_at"), ("entries", "posted_at"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    path = tmp_path_factory.mktemp("demo") / "demo.db"
    return path, build_demo(path, today=TODAY)


@pytest.fixture
def demo(built: tuple[Path, dict[str, int]]) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(built[0])) as connection:
        yield connection


def digest(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return hashlib.sha256("\n".join(connection.iterdump()).encode()).hexdigest()


def test_same_arguments_give_the_same_rows(built: tuple[Path, dict[str, int]], tmp_path: Path) -> None:
    again, later = tmp_path / "again.db", tmp_path / "later.db"
    build_demo(again, today=TODAY)
    build_demo(later, today=TODAY + timedelta(days=1))
    assert digest(again) == digest(built[0])
    assert digest(later) != digest(built[0])


def test_reported_rows_are_in_the_tables(demo: sqlite3.Connection, built: tuple[Path, dict[str, int]]) -> None:
    counted = {table.name: demo.execute(f"select count(*) from {table.name}").fetchone()[0] for table in TABLES}
    assert built[1] == counted
    assert min(counted.values()) >= 4
    assert max(counted.values()) <= 2_000


def test_scale_multiplies_rows_but_not_memory(tmp_path: Path) -> None:
    rows, peaks = [], []
    for scale in (1, 4):
        tracemalloc.start()
        rows.append(build_demo(tmp_path / f"{scale}.db", scale=scale, today=TODAY))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    small, large = rows
    assert large["persons"] == 4 * small["persons"]
    assert large["mappings"] > 3.5 * small["mappings"]
    assert peaks[1] < peaks[0] + 100_000


def test_scale_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="scale 0"):
        build_demo(tmp_path / "demo.db", scale=0, today=TODAY)


def test_references_hold(demo: sqlite3.Connection) -> None:
    referring = {row[0] for row in demo.execute("select m.name from sqlite_master m, pragma_foreign_key_list(m.name)")}
    assert referring >= {"units", "assignments", "grades", "mappings", "entries", "entry_lines", "accounts"}
    assert demo.execute("pragma foreign_key_check").fetchall() == []
    assert demo.execute("pragma integrity_check").fetchall() == [("ok",)]


class TestLedger:
    CENTS = "cast(round(coalesce({0}, 0) * 100) as integer)"

    def test_every_entry_balances_to_the_cent(self, demo: sqlite3.Connection) -> None:
        debit, credit = self.CENTS.format("debit"), self.CENTS.format("credit")
        balances = demo.execute(
            f"select count(*), sum({debit}), sum({credit}) from entries "
            "left join entry_lines on entry_id = entries.id group by entries.id"
        ).fetchall()
        assert all(lines >= 2 and left == right != 0 for lines, left, right in balances)

    def test_each_line_has_one_side(self, demo: sqlite3.Connection) -> None:
        assert demo.execute("select count(*) from entry_lines where (debit is null) = (credit is null)").fetchone() == (
            0,
        )

    def test_credit_notes_are_negative_and_invoices_positive(self, demo: sqlite3.Connection) -> None:
        signs = (
            "select distinct kind, coalesce(debit, credit) > 0 from entries join entry_lines on entry_id = entries.id"
        )
        found = set(demo.execute(signs + " where kind in ('invoice', 'credit_note', 'bill')"))
        assert found == {("invoice", 1), ("bill", 1), ("credit_note", 0)}

    def test_tax_lines_are_the_rate_of_the_net_lines(self, demo: sqlite3.Connection) -> None:
        cents = self.CENTS.format("coalesce(debit, credit)")
        groups = demo.execute(
            f"""select l.tax_code, max(t.rate_percent),
                       abs(sum(case when a.kind in ('revenue', 'expense') then {cents} else 0 end)),
                       abs(sum(case when a.tax_code is not null then {cents} else 0 end))
                from entry_lines l
                join accounts a on a.number = l.account
                join tax_codes t on t.code = l.tax_code
                group by l.entry_id, l.tax_code"""
        ).fetchall()
        assert {code for code, *_ in groups} == {"S19", "S07", "SEU", "SEX", "P19", "P07", "P00", "R19"}
        for _, rate, net, tax in groups:
            assert tax == (net * round(rate * 100) + 5_000) // 10_000


def test_assignment_history_has_no_gaps_and_one_current_row(demo: sqlite3.Connection) -> None:
    history = demo.execute(
        "select person_id, valid_from, valid_to from assignments order by person_id, valid_from"
    ).fetchall()
    for (person, _, end), (following, start, _) in pairwise(history):
        assert person != following or date.fromisoformat(start) == date.fromisoformat(end) + timedelta(days=1)
    current = demo.execute(
        "select persons.left_on is null, count(assignments.id) from persons left join assignments "
        "on person_id = persons.id and valid_to is null group by persons.id"
    )
    assert set(current) == {(1, 1), (0, 0)}


def test_every_unit_hangs_on_the_root(demo: sqlite3.Connection) -> None:
    reached = demo.execute(
        "with recursive tree (id) as (select id from units where parent_id is null "
        "union all select units.id from units join tree on parent_id = tree.id) select count(*) from tree"
    )
    assert reached.fetchone() == demo.execute("select count(*) from units").fetchone()


TEXTS = {
    "begins with =": lambda text: text.startswith("="),
    "begins with -": lambda text: text.startswith("-"),
    "begins with +": lambda text: text.startswith("+"),
    "begins with @": lambda text: text.startswith("@"),
    "empty": lambda text: text == "",
    "long": lambda text: len(text) > 2_000,
    "comma": lambda text: "," in text,
    "semicolon": lambda text: ";" in text,
    "quote": lambda text: '"' in text,
    "apostrophe": lambda text: "'" in text,
    "newline": lambda text: "\n" in text,
    "Windows line end": lambda text: "\r\n" in text,
    "tab": lambda text: "\t" in text,
    "markup": lambda text: "<b>" in text,
    "accent": lambda text: re.search("[éôãüû]", text),
    "Greek": lambda text: re.search("[α-ω]", text),
    "Cyrillic": lambda text: re.search("[а-я]", text),
    "CJK": lambda text: re.search("[一-鿿]", text),
    "emoji": lambda text: "🙂" in text,
    "the word NULL": lambda text: text == "NULL",
    "digits with leading zeros": lambda text: re.fullmatch("0[0-9]+", text),
}


@pytest.mark.parametrize("table", ["persons", "students", "grades", "hotels", "customers", "suppliers", "entries"])
def test_awkward_texts_are_in_every_domain(demo: sqlite3.Connection, table: str) -> None:
    cells = [cell for row in demo.execute(f"select * from {table}") for cell in row]
    texts = [cell for cell in cells if isinstance(cell, str)]
    missing = [name for name, found in TEXTS.items() if not any(found(text) for text in texts)]
    assert missing == []
    assert None in cells


@pytest.mark.parametrize(
    ("table", "column"),
    [("persons", "phone"), ("mappings", "reviewed_by"), ("entry_lines", "cost_centre"), ("customers", "vat_id")],
)
def test_null_and_empty_text_stand_side_by_side(demo: sqlite3.Connection, table: str, column: str) -> None:
    nulls, empty = demo.execute(f"select sum({column} is null), sum({column} = '') from {table}").fetchone()
    assert nulls
    assert empty


def test_columns_hold_what_their_declarations_say(demo: sqlite3.Connection) -> None:
    shapes: dict[str, Callable[[str], object]] = {
        "DATE": date.fromisoformat,
        "TIMESTAMPTZ": lambda text: re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00", text) or pytest.fail(text),
        "TEXT": lambda text: text.encode(),
    }
    for table in TABLES:
        for _, column, kind, *_ in demo.execute(f"pragma table_info({table.name})").fetchall():
            for (cell,) in demo.execute(f"select {column} from {table.name} where {column} is not null").fetchall():
                if kind in shapes:
                    shapes[kind](cell)
                elif kind.startswith("DECIMAL"):
                    assert round(cell, int(kind[-2])) == cell
                else:
                    assert isinstance(cell, float if kind == "REAL" else int), (table.name, column, cell)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("kind", ["daily", "weekly", "monthly"])
@pytest.mark.parametrize(("table", "column"), WINDOWED)
def test_the_last_windows_have_rows(demo: sqlite3.Connection, table: str, column: str, kind: str, zone: str) -> None:
    noon = datetime.combine(TODAY, time(12), UTC)
    assert count(demo, table, column, window_of(kind, last_complete(kind, noon, zone), zone)) > 0


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("table", "column"), WINDOWED)
def test_every_hour_of_yesterday_has_rows(demo: sqlite3.Connection, table: str, column: str, zone: str) -> None:
    noon = datetime.combine(TODAY, time(12), UTC)
    start = window_of("daily", last_complete("daily", noon, zone), zone).start
    hours = [Window(start + timedelta(hours=hour), start + timedelta(hours=hour + 1)) for hour in range(24)]
    assert min(count(demo, table, column, hour) for hour in hours) > 0


def count(demo: sqlite3.Connection, table: str, column: str, window: Window) -> int:
    start, end = (instant.isoformat(" ", "seconds") for instant in window.utc())
    (rows,) = demo.execute(
        f"select count(*) from {table} where {column} >= ? and {column} < ?", [start, end]
    ).fetchone()
    return int(rows)


class TestReplacing:
    def test_a_failed_build_leaves_the_old_database(self, tmp_path: Path) -> None:
        path = tmp_path / "demo.db"
        path.write_bytes(b"the old one")
        with pytest.raises(OverflowError):
            build_demo(path, today=date(40, 1, 1))  # units fit, birth dates of persons are before year 1
        assert path.read_bytes() == b"the old one"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_path_that_cannot_be_written_is_explained(self, tmp_path: Path) -> None:
        path = tmp_path / "taken"
        path.mkdir()
        with pytest.raises(StorageError, match=r"writing the demo database .*taken.*EXPORT_DEMO_DB"):
            build_demo(path, today=TODAY)
        assert list(tmp_path.iterdir()) == [path]

    def test_a_reader_keeps_the_database_that_it_opened(self, tmp_path: Path) -> None:
        path = tmp_path / "missing" / "demo.db"
        build_demo(path, today=TODAY)
        with closing(sqlite3.connect(path)) as reader:
            cursor = reader.execute("select id from persons")
            cursor.fetchone()
            build_demo(path, scale=2, today=TODAY)
            assert len(cursor.fetchall()) == 499
        with closing(sqlite3.connect(path)) as reader:
            assert reader.execute("select count(*) from persons").fetchone() == (1000,)
        assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("cents", "text"), [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (-1250, "-12.50"), (100, "1.00")])
def test_cents_become_exact_text(cents: int, text: str) -> None:
    assert decimal(cents) == text
