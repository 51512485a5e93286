"""Excel workbooks: their look, their sheets, their limits, and text."""

from __future__ import annotations

from datetime import date, datetime
from xml.etree import ElementTree

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape

from export_pipelines.errors import FormatError
from export_pipelines.formats.xlsx import XlsxWriter
from export_pipelines.formats.xlsx_cells import columns_of
from export_pipelines.formats.xlsx_package import Styles, sheet_name
from export_pipelines.spec.formats import XlsxFormat
from export_pipelines_tests.xlsx_reading import cells, part, read, write


class SmallSheets(XlsxWriter):
    """Sheets of four rows and three columns."""

    row_limit = 4
    column_limit = 3


# --- the look ---------------------------------------------------------------------------------------------------------


def test_header_is_styled_frozen_and_filtered() -> None:
    table = pa.table({"id": [1, 2], "name": ["a", "b"]})
    sheet = read(write(("rows", table), header_fill="AA0011", header_font="00ff00")).worksheets[0]
    for cell in sheet[1]:
        assert (cell.font.b, cell.font.color.rgb, cell.fill.fgColor.rgb) == (True, "FF00FF00", "FFAA0011")
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:B3"
    assert not sheet["A2"].font.b


def test_freezing_and_filtering_can_be_left_out() -> None:
    data = write(("rows", pa.table({"id": [1]})), freeze_header=False, autofilter=False)
    sheet = read(data).worksheets[0]
    assert sheet.freeze_panes is None
    assert sheet.auto_filter.ref is None
    assert "definedName" not in part(data, "xl/workbook.xml")


def test_columns_are_as_wide_as_their_content_within_bounds() -> None:
    texts = {"a": "x", "sentence": "x" * 33, "story": "x" * 500, "a_rather_long_header": "x", "kanji": "漢" * 10}
    table = pa.table({name: [text] for name, text in texts.items()} | {"day": [date(2026, 1, 1)], "r": [1 / 3]})
    widths = [column.width for column in read(write(("rows", table))).worksheets[0].column_dimensions.values()]
    assert widths == [8, 35, 60, 24, 22, 12, 14]


def test_widths_follow_the_first_thousand_rows_only() -> None:
    narrow, wide = ["x"] * 999, "x" * 40
    for texts, width in (([*narrow, wide], 42), ([*narrow, "x", wide], 8)):
        data = write(("rows", pa.table({"a": texts})), batch_rows=300)
        assert read(data).worksheets[0].column_dimensions["A"].width == width


def test_rows_are_high_enough_for_a_few_lines() -> None:
    table = pa.table({"a": ["one", "one\ntwo", "\n".join("x" * 50)], "b": ["l1\nl2\nl3", None, ""]})
    sheet = read(write(("rows", table))).worksheets[0]
    assert [sheet.row_dimensions[row].height for row in (1, 2, 3, 4)] == [None, 45, 30, 75]
    assert [sheet[name].alignment.wrap_text for name in ("A2", "A3", "B2")] == [None, True, True]


def test_numbers_stored_as_text_are_not_marked_as_mistakes() -> None:
    data = write(("rows", pa.table({"zip": ["01234"]})))
    assert '<ignoredError sqref="A1:A2" numberStoredAsText="1"/>' in part(data, "xl/worksheets/sheet1.xml")


def test_properties_tell_the_export_and_when_it_was_made() -> None:
    properties = read(write(("rows", pa.table({"id": [1]})))).properties
    assert properties.title == "students 2026-03-29"
    assert properties.description == "Students of the day"
    assert properties.created == datetime(2026, 3, 30, 0, 0, 5)  # noqa: DTZ001 - UTC; openpyxl leaves it out


# --- sheets -----------------------------------------------------------------------------------------------------------


def test_rows_beyond_the_limit_go_to_further_sheets() -> None:
    table = pa.table({"id": list(range(7))})
    for batch_rows in (1, 2, 7):
        book = read(write(("many", table), ("few", table[:1]), writer=SmallSheets, batch_rows=batch_rows))
        found = {sheet.title: [row[0] for row in sheet.iter_rows(values_only=True)] for sheet in book}
        assert found == {
            "many": ["id", 0, 1, 2],
            "many (2)": ["id", 3, 4, 5],
            "many (3)": ["id", 6],
            "few": ["id", 0],
        }
        assert [sheet.auto_filter.ref for sheet in book] == ["A1:A4", "A1:A4", "A1:A2", "A1:A2"]


def test_a_full_sheet_has_no_empty_successor() -> None:
    book = read(write(("rows", pa.table({"id": [1, 2, 3]})), writer=SmallSheets))
    assert book.sheetnames == ["rows"]


def test_a_sheet_ends_before_its_part_is_too_large_for_the_archive() -> None:
    class Tight(XlsxWriter):
        part_limit = 1_000_000

    table = pa.table({"text": ["x" * 10_000] * 1_500})
    data = write(("rows", table), writer=Tight)
    assert len(read(data).sheetnames) > 2
    assert sum(sheet.max_row - 1 for sheet in read(data)) == 1_500


def test_filters_of_every_sheet_are_registered() -> None:
    names = {"it's": pa.table({"a": [1]}), "b&c": pa.table({"a": [1, 2], "b": [1, 2]})}
    root = ElementTree.fromstring(part(write(*names.items()), "xl/workbook.xml"))
    found = [(e.get("localSheetId"), e.text) for e in root.iter() if e.tag.endswith("}definedName")]
    assert found == [("0", "'it''s'!$A$1:$A$2"), ("1", "'b&c'!$A$1:$B$3")]


@pytest.mark.parametrize(
    ("wanted", "taken", "name"),
    [
        ("students", [], "students"),
        ("students", ["Students"], "students (2)"),
        ("students", ["students", "STUDENTS (2)"], "students (3)"),
        ("a" * 40, [], "a" * 31),
        ("a" * 40, ["a" * 31], "a" * 27 + " (2)"),
        ("😀" * 20, [], "😀" * 15),
        ("a[b]c:d*e?f/g\\h", [], "a_b_c_d_e_f_g_h"),
        ("'quoted'", [], "quoted"),
        ("a" * 30 + "'b", [], "a" * 30),
        ("line\nfeed", [], "line_feed"),
        ("", [], "Sheet"),
        ("History", [], "History (2)"),
    ],
)
def test_sheet_names_follow_the_rules_of_excel(wanted: str, taken: list[str], name: str) -> None:
    assert sheet_name(wanted, taken) == name


def test_more_columns_than_a_sheet_has_are_refused() -> None:
    table = pa.table({f"c{i}": [1] for i in range(4)})
    with pytest.raises(FormatError, match=r"'wide' as xlsx: it has 4 columns, a sheet 3.*csv"):
        write(("wide", table), writer=SmallSheets)


def test_columns_beyond_z_are_where_they_belong() -> None:
    schema = pa.schema([(f"c{i}", pa.int8()) for i in range(1, 16_385)])
    letters = [column.letters for column in columns_of("wide", schema, Styles(XlsxFormat()))]
    found = [letters[i - 1] for i in (1, 26, 27, 52, 53, 702, 703, 16_384)]
    assert found == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA", "XFD"]


def test_many_columns_are_read_back() -> None:
    names = [f"c{i}" for i in range(300)]
    (sheet,) = read(write(("wide", pa.table({name: [name] for name in names})))).worksheets
    assert [list(row) for row in sheet.iter_rows(values_only=True)] == [names, names]


# --- text -------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.none(), min_size=1, max_size=30))
def test_any_text_is_read_back_unchanged(texts: list[str | None]) -> None:
    sheet = read(write(("rows", pa.table({"x": pa.array(texts, pa.string())})), safe=False)).worksheets[0]
    found = [sheet.cell(row, 1).value for row in range(2, len(texts) + 2)]
    assert [text if text is None else unescape(text) for text in found] == texts


@pytest.mark.parametrize(
    ("text", "xml"),
    [
        ("a\x00b\x1f", "a_x0000_b_x001F_"),
        ("a\r\nb", "a_x000D_\nb"),
        ("\ufffe\uffff", "_xFFFE__xFFFF_"),
        ("_x000D_", "_x005F_x000D_"),
        ("_x0041_x0042_", "_x005F_x0041_x005F_x0042_"),
        ("tax_xyz", "tax_xyz"),
        ("<&>]]>", "&lt;&amp;&gt;]]&gt;"),
    ],
)
def test_text_that_xml_cannot_hold_is_escaped_as_excel_does(text: str, xml: str) -> None:
    data = write(("rows", pa.table({"x": [text]})))
    assert f'<t xml:space="preserve">{xml}</t>' in part(data, "xl/worksheets/sheet1.xml")


def test_null_is_no_cell_and_empty_text_is_one() -> None:
    sheet = part(write(("rows", pa.table({"a": ["", None], "b": [None, 1]}))), "xl/worksheets/sheet1.xml")
    assert '<c r="A2" t="inlineStr"><is><t xml:space="preserve"></t></is></c></row><row r="3"><c r="B3"' in sheet


def test_texts_that_look_like_formulas_or_links_stay_text() -> None:
    texts = ["=1+1", "=cmd|'/c calc'!A1", "{=1}", "http://example.org", "internal:Sheet1!A1"]
    for safe in (True, False):
        data = write(("rows", pa.table({"=1+1": texts})), safe=safe)
        sheet = read(data).worksheets[0]
        assert {cell.data_type for cell in sheet["A"]} == {"s"}
        assert "<f" not in part(data, "xl/worksheets/sheet1.xml")
        assert [cell.value.startswith("'") for cell in sheet["A"]] == [safe, safe, safe, False, False, False]


@pytest.mark.parametrize(("letter", "units"), [("x", 1), ("ä", 1), ("漢", 1), ("😀", 2)])
def test_the_longest_text_that_excel_can_hold_fits(letter: str, units: int) -> None:
    text = letter * (32_767 // units)
    assert [cell.value for cell in cells("short", text)] == ["short", text]
    with pytest.raises(FormatError, match=r"sheet 'rows': column 'x', row 3 has 32,76[89] characters.*32,767.*csv"):
        cells("short", text + letter)


def test_the_row_of_a_too_long_text_counts_on_its_own_sheet() -> None:
    table = pa.table({"x": ["a", "b", "c", "d", "y" * 32_768]})
    with pytest.raises(FormatError, match=r"sheet 'rows \(2\)': column 'x', row 3 "):
        write(("rows", table), writer=SmallSheets)
