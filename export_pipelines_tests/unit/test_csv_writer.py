"""CSV against Python's csv module, and the details that the contract does not name."""

from __future__ import annotations

import csv
import io

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from export_pipelines.errors import FormatError
from export_pipelines.formats.cells import neutralise_text
from export_pipelines.spec.formats import CsvFormat
from export_pipelines_tests.contracts.format_writing import dataset, write_file

_SEPARATORS = st.sampled_from(",;|\t:'\"~^ /_&")
_TEXT = st.text(
    st.one_of(st.sampled_from("a\"',;|\t\n\r =+-@N1"), st.characters(exclude_categories=["Cs"])), max_size=8
)


@st.composite
def _specs(draw: st.DrawFn) -> CsvFormat:
    delimiter, quote = draw(_SEPARATORS), draw(_SEPARATORS)
    assume(delimiter != quote)
    null_text = draw(st.sampled_from(["", "NULL", "\\N", "-"]))
    return CsvFormat(
        delimiter=delimiter,
        quote=quote,
        quoting=draw(st.sampled_from(["necessary", "all"])),
        line_end=draw(st.sampled_from(["lf", "crlf"])),
        encoding=draw(st.sampled_from(["utf-8", "utf-16", "utf-8-sig"])),
        null_text=null_text,
    )


def _file(spec: CsvFormat, table: pa.Table, *, safe: bool = False) -> bytes:
    return write_file(spec, {"rows": dataset(table)}, spreadsheet_safe=safe)


@settings(max_examples=300, deadline=None)
@given(
    spec=_specs(),
    names=st.lists(_TEXT, min_size=2, max_size=2, unique=True),
    rows=st.lists(st.tuples(st.none() | _TEXT | st.just("NULL"), _TEXT | st.none()), max_size=6),
    safe=st.booleans(),
)
def test_python_reads_what_was_written(
    spec: CsvFormat, names: list[str], rows: list[tuple[str | None, str | None]], safe: bool
) -> None:
    columns = [pa.array([row[i] for row in rows], pa.string()) for i in range(2)]
    text = _file(spec, pa.Table.from_arrays(columns, names), safe=safe).decode(spec.encoding)
    found = list(csv.reader(io.StringIO(text, newline=""), delimiter=spec.delimiter, quotechar=spec.quote, strict=True))
    shown = neutralise_text if safe else str
    wanted = [[spec.null_text if cell is None else shown(cell) for cell in row] for row in rows]
    assert found == [[shown(name) for name in names], *wanted]


@settings(max_examples=100, deadline=None)
@given(
    spec=_specs().filter(lambda spec: spec.encoding == "utf-8"),
    cell=st.none() | _TEXT | st.sampled_from(["", "NULL"]),
)
def test_null_is_bare_and_nothing_else_looks_like_it(spec: CsvFormat, cell: str | None) -> None:
    line = _file(spec, pa.table({"a": pa.array([cell], pa.string()), "b": ["x"]})).decode()
    start = line.index("\n") + 1
    is_bare_null = line[start:].startswith(spec.null_text + spec.delimiter)
    assert is_bare_null is (cell is None)


def test_the_default_file() -> None:
    table = pa.table(
        {"id": [1, 2, 3], "name": ["a,b", "", None], "ratio": [1.0, 1e300, None], "ok": [True, False, None]}
    )
    assert _file(CsvFormat(), table) == b'id,name,ratio,ok\n1,"a,b",1.0,true\n2,"",1e+300,false\n3,,,\n'


def test_quoting_all_leaves_only_null_bare() -> None:
    table = pa.table({"id": [1, None], "name": ["", 'q"'], "ratio": [1.0, None]})
    spec = CsvFormat(quoting="all", null_text="NULL", line_end="crlf")
    assert _file(spec, table) == b'"id","name","ratio"\r\n"1","","1.0"\r\nNULL,"q""",NULL\r\n'


def test_null_text_in_a_file_without_texts() -> None:
    assert _file(CsvFormat(null_text="NULL"), pa.table({"id": [1, None]})) == b"id\n1\nNULL\n"


def test_without_header() -> None:
    assert _file(CsvFormat(header=False), pa.table({"id": [1]})) == b"1\n"


def test_one_null_column_gives_blank_lines() -> None:
    assert _file(CsvFormat(), pa.table({"id": pa.array([None, "", "x"])})) == b'id\n\n""\nx\n'


def test_byte_order_mark_comes_once() -> None:
    table = pa.table({"name": ["é"] * 5})
    assert _file(CsvFormat(bom=True), table) == b"\xef\xbb\xbfname\n" + "é\n".encode() * 5
    utf16 = write_file(CsvFormat(encoding="utf-16"), {"rows": dataset(table, batch_rows=1)})
    assert utf16.decode("utf-16") == "name\n" + "é\n" * 5


def test_stateful_encodings_are_ended() -> None:
    data = _file(CsvFormat(encoding="iso2022_jp", header=False), pa.table({"name": ["漢字"]}))
    assert data == "漢字\n".encode("iso2022_jp")


def test_formulas_behind_an_apostrophe_quote() -> None:
    data = _file(CsvFormat(quote="'"), pa.table({"=h": ["=1+1", "-5", "plain"]}), safe=True)
    assert data == b"'''=h'\n'''=1+1'\n-5\nplain\n"


def test_what_the_encoding_lacks_is_named() -> None:
    table = pa.table({"id": ["1", "2"], "name": ["fine", "Ωmega"]})
    with pytest.raises(FormatError, match=r"'Ω'.*cp1252.*column 'name', value 'Ωmega'.*utf-8"):
        _file(CsvFormat(encoding="cp1252"), table)
    with pytest.raises(FormatError, match=r"'Ω'.*column 'Ω'"):
        _file(CsvFormat(encoding="cp1252"), table.rename_columns(["Ω", "name"]).slice(0, 1))
    with pytest.raises(FormatError, match=r"'∅'.*null_text"):
        _file(CsvFormat(encoding="cp1252", null_text="∅"), pa.table({"id": pa.array([None, 1])}))
    assert _file(CsvFormat(encoding="cp1252"), pa.table({"a": ["€"]})) == b"a\n\x80\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": ";", "quote": ";"}, "must differ"),
        ({"delimiter": "5"}, "numbers"),
        ({"delimiter": "."}, "numbers"),
        ({"quote": "-"}, "numbers"),
        ({"delimiter": "\n"}, "lines"),
        ({"delimiter": "§"}, "ASCII"),
        ({"null_text": "a,b"}, "null_text"),
        ({"null_text": "a\nb"}, "null_text"),
        ({"encoding": "utf-9"}, "unknown encoding"),
        ({"encoding": "hex"}, "unknown encoding"),
        ({"encoding": "cp1252", "bom": True}, "bom"),
        ({"encoding": "utf-16", "bom": True}, "bom"),
    ],
)
def test_options_that_no_reader_could_follow_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CsvFormat(**options)
