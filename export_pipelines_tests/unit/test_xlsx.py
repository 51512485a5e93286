"""Excel workbooks: sheets, limits, and values that Excel is peculiar about."""

from __future__ import annotations

import io
import uuid
import zipfile
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook
from openpyxl.utils.escape import unescape

from export_pipelines.errors import ColumnTypeError, FormatError
from export_pipelines.formats.xlsx import XlsxWriter
from export_pipelines.formats.xlsx_cells import columns_of
from export_pipelines.formats.xlsx_package import Styles, sheet_name
from export_pipelines.spec.formats import XlsxFormat
from export_pipelines_tests.contracts.format_writing import AppendOnly, document


class SmallSheets(XlsxWriter):
    """Sheets of four rows and three columns."""

    row_limit = 4
    column_limit = 3


def write(
    *tables: tuple[str, pa.Table],
    writer: type[XlsxWriter] = XlsxWriter,
    batch_rows: int = 1_000,
    safe: bool = True,
    **options: Any,
) -> bytes:
    sink = AppendOnly()
    workbook = writer(sink, XlsxFormat(**options), document(spreadsheet_safe=safe))
    for name, table in tables:
        workbook.begin(name, table.schema)
        for batch in table.to_batches(max_chunksize=batch_rows):
            workbook.write(batch)
        workbook.end()
    workbook.close()
    return sink.value()


def read(data: bytes) -> Workbook:
    return load_workbook(io.BytesIO(data))


def part(data: bytes, name: str) -> str:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(name).decode()


def cells(*values: Any, kind: pa.DataType | None = None) -> list[Any]:
    """The cells of a column holding `values`, below its header."""
    sheet = read(write(("rows", pa.table({"x": pa.array(list(values), kind)})))).worksheets[0]
    return [row[0] for row in sheet.iter_rows(min_row=2, max_row=len(values) + 1)]


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


# --- numbers and moments ----------------------------------------------------------------------------------------------


def test_whole_numbers_that_excel_would_round_are_text() -> None:
    limit = 10**15
    found = cells(limit - 1, 1 - limit, limit, -limit, 2**53 + 1, None, kind=pa.int64())
    assert [cell.value for cell in found] == [limit - 1, 1 - limit, str(limit), str(-limit), str(2**53 + 1), None]
    assert {cell.number_format for cell in found[:2]} == {"0"}


def test_decimals_show_their_scale_and_stay_exact() -> None:
    texts = ["1234567890123.45", "-0.10", "12345678901234.50", "12345678901234.56", "-12345678901234.56"]
    found = cells(*map(Decimal, texts), kind=pa.decimal128(20, 2))
    assert [cell.value for cell in found] == [1234567890123.45, -0.1, 12345678901234.5, *texts[3:]]
    assert [cell.number_format for cell in found] == ["0.00", "0.00", "0.00", "General", "General"]


@pytest.mark.parametrize("kind", [pa.decimal256(30, 3), pa.decimal64(10, 3), pa.decimal128(38, 3)])
def test_decimals_of_every_width_are_numbers(kind: pa.DataType) -> None:
    (cell,) = cells(Decimal("1.500"), kind=kind)
    assert (cell.value, cell.number_format) == (1.5, "0.000")


def test_tiny_decimals_are_plain_numbers() -> None:
    found = cells(Decimal("0.0000000001"), Decimal(0), kind=pa.decimal128(20, 10))
    assert [cell.value for cell in found] == [1e-10, 0]


def test_floats_keep_every_bit() -> None:
    values = [0.1 + 0.2, 1e300, 5e-324, -1.5, 123456789012345680.0]
    assert [cell.value for cell in cells(*values)] == values


@pytest.mark.parametrize(
    ("kind", "shown"),
    [(pa.bool_(), True), (pa.int8(), 1), (pa.uint64(), 1), (pa.float16(), 1), (pa.float32(), 1), (pa.null(), None)],
)
def test_simple_types_are_real_values(kind: pa.DataType, shown: Any) -> None:
    values = [None if pa.types.is_null(kind) else True if pa.types.is_boolean(kind) else 1]
    if pa.types.is_float16(kind):
        (cell,) = cells(1.0, kind=kind)
    else:
        (cell,) = cells(*values, kind=kind)
    assert (cell.value, type(cell.value) is bool) == (shown, pa.types.is_boolean(kind))


def test_days_that_excel_does_not_know_are_text() -> None:
    days = [date(1900, 3, 1), date(1900, 2, 28), date(1, 1, 1), date(9999, 12, 31)]
    for kind in (pa.date32(), pa.date64()):
        found = cells(*days, kind=kind)
        assert [cell.value for cell in found] == [
            datetime(1900, 3, 1),  # noqa: DTZ001 - a cell has no timezone
            "1900-02-28",
            "0001-01-01",
            datetime(9999, 12, 31),  # noqa: DTZ001
        ]
        assert found[0].number_format == "yyyy-mm-dd"


def test_moments_before_the_calendar_of_excel_are_text_in_utc() -> None:
    local = datetime(1850, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    for zone, shown in (("+02:00", "1849-12-31T22:00:00+00:00"), ("UTC", "1849-12-31T22:00:00+00:00")):
        (cell,) = cells(local, kind=pa.timestamp("us", zone))
        assert cell.value == shown
    (cell,) = cells(datetime(1850, 1, 1, 2), kind=pa.timestamp("us"))  # noqa: DTZ001
    assert cell.value == "1850-01-01T02:00:00"


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "+02:00"])
def test_moments_with_a_timezone_are_shown_in_utc_and_say_so(zone: str) -> None:
    moment = datetime(2026, 7, 1, 10, 0, tzinfo=UTC)
    for array in (pa.array([moment], pa.timestamp("us", zone)), pa.array([moment], pa.timestamp("s", zone))):
        for column in (array, array.dictionary_encode()):
            cell = read(write(("rows", pa.table({"at": column})))).worksheets[0]["A2"]
            assert cell.value == moment.replace(tzinfo=None)
            assert cell.number_format == 'yyyy-mm-dd hh:mm:ss "UTC"'


def test_milliseconds_show_only_where_there_are_some() -> None:
    moments = [datetime(2026, 1, 1, 1, 2, 3), datetime(2026, 1, 1, 1, 2, 3, 250_999)]  # noqa: DTZ001
    found = cells(*moments, kind=pa.timestamp("us"))
    assert [cell.value for cell in found] == [moments[0], moments[1].replace(microsecond=250_000)]
    assert [cell.number_format for cell in found] == ["yyyy-mm-dd hh:mm:ss", "yyyy-mm-dd hh:mm:ss.000"]


def test_the_last_moment_of_a_day_is_not_rounded_into_the_next() -> None:
    (moment,) = cells(datetime(2026, 12, 31, 23, 59, 59, 999_999), kind=pa.timestamp("us"))  # noqa: DTZ001
    assert moment.value == datetime(2026, 12, 31, 23, 59, 59, 999_000)  # noqa: DTZ001
    (clock,) = cells(time(23, 59, 59, 999_999), kind=pa.time64("us"))
    assert clock.value == time(23, 59, 59, 999_000)


def test_lengths_of_time_are_numbers_unless_negative() -> None:
    found = cells(timedelta(hours=30, minutes=5), timedelta(seconds=-3), kind=pa.duration("us"))
    assert [cell.value for cell in found] == [timedelta(hours=30, minutes=5), "-PT3S"]
    assert found[0].number_format == "[h]:mm:ss"


def test_a_moment_that_no_calendar_holds_is_refused() -> None:
    infinity = pa.array([2**63 - 1]).view(pa.timestamp("us"))
    with pytest.raises(FormatError, match=r"column 'until' .*outside the years 1 to 9999"):
        write(("rows", pa.table({"until": infinity})))


# --- other types ------------------------------------------------------------------------------------------------------


def test_uuids_are_text() -> None:
    one = uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")
    assert [cell.value for cell in cells(one.bytes, None, kind=pa.uuid())] == [str(one), None]


def test_text_of_every_arrow_layout_is_text() -> None:
    for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        assert [cell.value for cell in cells("=1", "a & b", None, kind=kind)] == ["'=1", "a & b", None]


def test_binary_of_every_arrow_layout_is_base64() -> None:
    for kind in (pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(2)):
        assert [cell.value for cell in cells(b"\xff\xfe", None, kind=kind)] == ["//4=", None]


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), pa.map_(pa.string(), pa.string())], ids=str
)
def test_nested_columns_are_refused_with_advice(kind: pa.DataType) -> None:
    with pytest.raises(ColumnTypeError, match=r"dataset 'rows' as xlsx: column 'tags'.*to_json.*parquet"):
        write(("rows", pa.table({"tags": pa.nulls(1, kind)})))


def test_slices_of_batches_are_written_as_they_are() -> None:
    table = pa.table({"n": list(range(10)), "t": [f"t{i}" for i in range(10)], "d": [None, date(2026, 1, 1)] * 5})
    sheet = read(write(("rows", table.slice(3, 4)))).worksheets[0]
    day = datetime(2026, 1, 1)  # noqa: DTZ001
    rows = [(3, "t3", day), (4, "t4", None), (5, "t5", day), (6, "t6", None)]
    assert list(sheet.iter_rows(min_row=2, values_only=True)) == rows


def test_dictionaries_that_differ_from_batch_to_batch_are_written() -> None:
    kind = pa.dictionary(pa.int8(), pa.string())
    texts = [f"t{i}" for i in range(300)]
    sink = AppendOnly()
    workbook = XlsxWriter(sink, XlsxFormat(), document())
    workbook.begin("rows", pa.schema([("kind", kind)]))
    for start in (0, 100, 200):  # together they have more values than their indexes can count
        workbook.write(pa.record_batch({"kind": pa.array(texts[start : start + 100]).cast(kind)}))
    workbook.end()
    workbook.close()
    assert [cell.value for cell in read(sink.value()).worksheets[0]["A"]] == ["kind", *texts]
