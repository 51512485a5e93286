"""Tables of text: what is written without rich looks as rich would draw it."""

import io
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from export_pipelines.cli.output import show_table, table
from export_pipelines.cli.tables import Table, fitted, is_plain, plain_lines, rich_table

_words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", "日本語", "café", "a  b"]
)


@st.composite
def _tables(draw: st.DrawFn) -> Table:
    columns = draw(st.integers(1, 5))
    filled = table(*(draw(st.sampled_from(["", ">"])) + draw(_words) for _ in range(columns)))
    for _ in range(draw(st.integers(0, 6))):
        filled.add_row(*(draw(_words) for _ in range(columns)))
    return filled


def _by_rich(filled: Table, width: int = 1000) -> list[str]:
    out = Console(file=io.StringIO(), width=width, markup=False, highlight=False, emoji=False)
    with out.capture() as captured:
        out.print(rich_table(filled))
    return [line.rstrip() for line in captured.get().splitlines()]


@given(_tables())
def test_plain_lines_are_those_of_rich(filled: Table) -> None:
    if is_plain(filled):
        assert plain_lines(filled) == _by_rich(filled)


def test_lines_that_need_rich_are_not_plain() -> None:
    for text in ("two\nlines", "a\ttab", "\x1b[1mbold", "bell\x07"):
        filled = table("A")
        filled.add_row(text)
        assert not is_plain(filled)


def _shown(width: int | None, **options: object) -> str:
    filled = table("Export", ">Rows", "Why", "Owner")
    for number in range(3):
        filled.add_row(f"export_{number}", str(10**number), "nobody needs it " * 3, "team:日本")

    @click.command()
    def command() -> None:
        show_table(filled, **options)  # type: ignore[arg-type]

    env = {"COLUMNS": None if width is None else str(width), "FORCE_COLOR": None, "TTY_COMPATIBLE": None}
    return CliRunner().invoke(command, env=env, catch_exceptions=False).stdout


def test_files_get_every_column_uncut() -> None:
    assert _shown(None, dispensable=("Owner",), wide="Why") == _shown(500)
    assert "Owner" in _shown(None)


def test_narrow_terminals_lose_columns_and_then_fold_or_cut() -> None:
    assert "Owner" not in _shown(70, dispensable=("Owner",))
    folded = _shown(40, dispensable=("Owner",), wide="Why").splitlines()
    assert max(map(len, folded)) <= 40 and len(folded) > 4
    cut = _shown(40, dispensable=("Owner",), wide="Why", folded=False).splitlines()
    assert len(cut) == 4 and cut[1].endswith("…")


@pytest.mark.parametrize("room", [200, 30])
def test_terminals_get_bold_headings_however_wide_they_are(room: int) -> None:
    code = (
        "from export_pipelines.cli.output import show_table, table\n"
        "filled = table('Export', '>Rows')\nfilled.add_row('students', '1')\nfilled.add_row('grades', '1,000')\n"
        "show_table(filled)"
    )
    env = {"FORCE_COLOR": "1", "COLUMNS": str(room), "TERM": "xterm", "PATH": ""}
    shown = subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True).stdout
    heading, *rows = shown.splitlines()
    assert heading == "\x1b[1mExport  \x1b[0m\x1b[1m  \x1b[0m\x1b[1m Rows\x1b[0m"
    assert rows == ["students      1", "grades    1,000"]


def test_cells_are_cut_only_where_told() -> None:
    filled = table("Name", "Why")
    filled.add_row("a", "x" * 50)
    assert fitted(filled, 20, dispensable=(), wide="Name", folded=True).columns[1].width is None
