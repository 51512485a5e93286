"""What readers of a PDF report see."""

from __future__ import annotations

import io
import random
from dataclasses import replace
from typing import Any

import pdfplumber
import pyarrow as pa
import pytest
from pypdf import PdfReader
from pypdf.generic import DictionaryObject

from export_pipelines.errors import FormatError
from export_pipelines.formats.base import Document
from export_pipelines.formats.pdf import PdfWriter
from export_pipelines.spec.formats import PdfFormat
from export_pipelines_tests.contracts import format_writing
from export_pipelines_tests.pdf_reading import Run, Section, read_runs, read_sections

DOCUMENT = format_writing.document(description="")


def report(*tables: pa.Table, document: Document = DOCUMENT, **options: Any) -> bytes:
    """A PDF of the tables, named table1, table2, …"""
    sink = io.BytesIO()
    writer = PdfWriter(sink, PdfFormat(**options), document)
    for i, table in enumerate(tables, 1):
        writer.begin(f"table{i}", table.schema)
        for batch in table.to_batches():
            writer.write(batch)
        writer.end()
    writer.close()
    return sink.getvalue()


def texts(*values: str | None) -> pa.Table:
    return pa.table({"id": list(range(len(values))), "text": pa.array(values, pa.string())})


def read_texts(data: bytes, joined: str = "") -> list[str | None]:
    return [cells["text"] for cells in read_sections(data)[0].cells(joined)]


def pages(data: bytes) -> list[str]:
    """The text of each page by another library, which also checks the file's structure."""
    return [page.extract_text() for page in PdfReader(io.BytesIO(data), strict=True).pages]


def page_runs(data: bytes) -> list[list[Run]]:
    """What stands side by side on each page."""
    with pdfplumber.open(io.BytesIO(data)) as pdf:
        return [list(read_runs(page)) for page in pdf.pages]


# --- pages ------------------------------------------------------------------------------------------------------


def test_every_page_has_the_header_and_its_number() -> None:
    data = report(texts(*(f"row {i}" for i in range(300))))
    seen = [[run.text for run in page] for page in page_runs(data)]
    assert len(seen) > 5
    for number, runs in enumerate(seen, 1):
        assert runs.count("id") == runs.count("text") == 1
        assert runs[-1] == f"page {number}"
    assert read_texts(data) == [f"row {i}" for i in range(300)]


def test_the_first_page_tells_title_description_window_and_time() -> None:
    document = replace(DOCUMENT, description="Active students (all schools)")
    first = pages(report(texts("x"), document=document, title="Students {partition}"))[0]
    lines = first.splitlines()
    assert lines[:2] == ["Students 2026-03-29", "Active students (all schools)"]
    assert lines[2] == "2026-03-29 00:00 until before 2026-03-30 00:00, Europe/Berlin · created 2026-03-30 02:00:05"


def test_a_title_is_text_not_markup() -> None:
    title = r"A&amp;B <b>(50\%)</b> {description}"
    data = report(texts("x"), document=replace(DOCUMENT, description="Ünï <i>漢字</i>"), title=title)
    shown = r"A&amp;B <b>(50\%)</b> Ünï <i>漢字</i>"
    assert pages(data)[0].splitlines()[0] == shown
    assert PdfReader(io.BytesIO(data)).metadata["/Title"] == shown


def test_a_title_longer_than_a_page_is_complete() -> None:
    title = " ".join(f"word{i}" for i in range(700))
    found = [run for page in page_runs(report(texts("x"), title=title, page_size="A5")) for run in page]
    assert "".join(run.text for run in found if run.size == 16) == title


def test_many_pages_come_in_order() -> None:
    data = report(pa.table({"n": list(range(9_000))}), page_size="A5")
    found = pages(data)
    assert len(found) > 3 * 64  # several nodes of the page tree
    assert [text.split()[-1] for text in found] == [str(i) for i in range(1, len(found) + 1)]


def test_columns_decide_the_orientation_and_a_turned_file_stays_turned() -> None:
    narrow, wide = texts("x"), pa.table({f"column number {i}": ["some longer value"] for i in range(9)})
    sizes = [page.mediabox for page in PdfReader(io.BytesIO(report(narrow, wide, narrow))).pages]
    assert [size.width > size.height for size in sizes] == [False, True]
    upright = PdfReader(io.BytesIO(report(wide, orientation="portrait", page_size="LETTER"))).pages[0].mediabox
    assert (upright.width, upright.height) == (612, 792)


def test_sections_share_a_page_when_there_is_room() -> None:
    small, large = texts("x", "y"), texts(*["z"] * 60)
    data = report(small, large, small)
    sections = read_sections(data)
    assert [(section.caption, len(section.rows)) for section in sections] == [
        ("table1", 2),
        ("table2", 60),
        ("table3", 2),
    ]
    assert len(pages(data)) == 2


def test_a_table_without_rows_says_so() -> None:
    data = report(texts())
    assert read_sections(data) == [Section("table1", ["id", "text"], [])]
    assert "no rows" in pages(data)[0]


@pytest.mark.parametrize(("fill", "ink"), [("1F4E78", 1), ("F2E8CF", 0), ("000000", 1), ("FFFFFF", 0)])
def test_the_header_has_the_chosen_colour_and_legible_text(fill: str, ink: int) -> None:
    with pdfplumber.open(io.BytesIO(report(texts("x"), header_fill=fill))) as pdf:
        bar = pdf.pages[0].rects[0]
        header = next(run for run in read_runs(pdf.pages[0]) if run.text == "text")
    assert [round(part * 255) for part in bar["non_stroking_color"]] == list(bytes.fromhex(fill))
    assert header.grey == ink
    assert bar["top"] < header.y < bar["bottom"]


def test_a_header_taller_than_half_the_page_is_refused() -> None:
    table = pa.table({"x" * 20_000: ["1"]})
    with pytest.raises(FormatError, match="half the page"):
        report(table)


# --- cells ------------------------------------------------------------------------------------------------------


def test_wrapping_keeps_every_character() -> None:
    pick = random.Random(7)
    words = [
        "word",
        "longer-word",
        "https://example.org/path?a=1&b=2",
        "Straße",
        "Ωμέγα",
        "漢字とかな、",
        "x" * 150,
        "-12.50",
    ]
    long = [" ".join(pick.choices(words, k=pick.randint(1, 80))) for _ in range(40)]
    data = report(texts(*long), page_size="A5")
    assert read_texts(data) == long


def test_a_cell_taller_than_a_page_continues_on_the_next() -> None:
    long = " ".join(f"word{i}" for i in range(4_000))
    data = report(texts("before", long, "after"), page_size="A5")
    assert read_texts(data) == ["before", long, "after"]
    assert len(pages(data)) > 4


def test_line_ends_break_lines() -> None:
    data = report(texts("a\nb\r\nc\rd"))
    assert read_texts(data, "|") == ["a|b|c|d"]


def test_markup_is_shown_as_it_is() -> None:
    markup = [
        "<img src=x onerror=alert(1)>",
        "<b>bold</b> &amp; &lt;",
        "<para>",
        "{curly} $math$ %comment",
        "(a) \\) \\(",
    ]
    assert read_texts(report(texts(*markup))) == markup


def test_scripts_can_be_read_searched_and_copied() -> None:
    cells = ["Größe Łódź Nguyễn", "Αθήνα ἀρχή", "Жуков Ґедзь", "漢語 汉语 ひらカタ", "한국어", "𠮷野家", "₽ € ₹ ✓ →"]
    data = report(texts(*cells))
    assert read_texts(data) == cells
    assert all(cell in pages(data)[0] for cell in cells)


def test_all_fonts_are_embedded_and_only_those_in_use() -> None:
    def fonts(data: bytes) -> dict[str, bool]:
        found = PdfReader(io.BytesIO(data)).pages[0]["/Resources"]["/Font"]
        return {name: _is_embedded(font.get_object()) for name, font in found.items()}

    latin, mixed = report(texts("plain")), report(texts("漢字"))
    assert list(fonts(latin).values()) == [True, True]
    assert list(fonts(mixed).values()) == [True, True, True]
    assert max(len(latin), len(mixed)) < 60_000


def _is_embedded(font: DictionaryObject) -> bool:
    if "/DescendantFonts" in font:
        font = font["/DescendantFonts"][0].get_object()
    return bool({"/FontFile2", "/FontFile3"} & font["/FontDescriptor"].keys())


def test_what_no_font_has_is_replaced_visibly() -> None:
    cells = ["nul\x00 bell\x07 esc\x1b del\x7f", "שלום", "مرحبا", "😀", "tab\there"]
    shown = ["nul\ufffd bell\ufffd esc\ufffd del\ufffd", "\ufffd" * 4, "\ufffd" * 5, "\ufffd", "tab    here"]
    assert read_texts(report(texts(*cells))) == shown


def test_more_characters_than_one_font_subset_holds() -> None:
    latin = [
        chr(code) for code in (*range(0xC0, 0x180), *range(0x386, 0x3CF), *range(0x400, 0x500)) if chr(code).isalpha()
    ]
    cells = ["".join(latin[i : i + 25]) for i in range(0, len(latin), 25)]
    assert read_texts(report(texts(*cells))) == cells


def test_null_differs_from_empty_text_and_from_a_dash() -> None:
    assert read_texts(report(texts(None, "", "–", "NULL"))) == [None, "", "–", "NULL"]


def test_numbers_are_flush_right_and_text_is_flush_left() -> None:
    data = report(pa.table({"amount": [1.5, -1234.25, None], "name": ["a", "bbb", None]}))
    runs = {run.text: run for run in page_runs(data)[0]}
    assert runs["1.5"].x1 == pytest.approx(runs["-1234.25"].x1, abs=0.02)
    assert runs["amount"].x1 == pytest.approx(runs["1.5"].x1, abs=0.02)
    assert runs["a"].x0 == runs["bbb"].x0 == runs["name"].x0


def test_numbers_longer_than_the_first_thousand_are_condensed_not_broken() -> None:
    words = {f"text {i}": ["some words here"] * 1_001 for i in range(14)}
    data = report(pa.table({"n": [*range(1_000), 123_456_789], **words}))
    with pdfplumber.open(io.BytesIO(data)) as pdf:
        runs = {run.text: run for run in read_runs(pdf.pages[-1])}
    digits = runs["123456789"]
    assert digits.x1 == pytest.approx(runs["n"].x1, abs=0.1)
    assert digits.x1 < runs["text 0"].x0


# --- wide tables ------------------------------------------------------------------------------------------------


def test_columns_that_nearly_fit_get_a_smaller_font() -> None:
    data = report(pa.table({f"column{i}": [f"value{i}"] for i in range(24)}))
    size = next(run.size for run in page_runs(data)[0] if run.text == "value0")
    assert 4.5 <= size < 8
    assert list(read_sections(data)[0].cells()[0].values()) == [f"value{i}" for i in range(24)]


def test_too_many_columns_are_dealt_to_bands_of_the_same_rows() -> None:
    names = [f"measurement number {i}" for i in range(60)]
    table = pa.table(
        {"key": [f"k{r}" for r in range(80)]} | {n: [f"v{i}.{r}" for r in range(80)] for i, n in enumerate(names)}
    )
    seen = [[run.text for run in page] for page in page_runs(report(table))]
    flat = [text for runs in seen for text in runs]
    assert all(flat.count(f"v{i}.{r}") == 1 for i in (0, 1, 30, 59) for r in range(80))
    assert all("key" in runs for runs in seen)
    for runs in seen:
        keys = [text for text in runs if text.startswith("k") and text != "key"]
        values = [text for text in runs if text.startswith("v")]
        assert {value.split(".")[1] for value in values} == {key[1:] for key in keys}
    captions = [next(text for text in runs if "columns" in text) for runs in seen]
    assert captions[0].startswith("table1 · columns 1–")
    assert captions[-1].endswith("–61 of 61")
    assert captions[-1].startswith("table1, continued")


# --- bytes ------------------------------------------------------------------------------------------------------


def test_the_same_rows_give_the_same_bytes_and_other_rows_another_identifier() -> None:
    first, again, other = report(texts("a", "漢")), report(texts("a", "漢")), report(texts("b", "漢"))
    assert first == again
    assert PdfReader(io.BytesIO(first)).trailer["/ID"] != PdfReader(io.BytesIO(other)).trailer["/ID"]


def test_the_creation_date_is_the_documents() -> None:
    metadata = PdfReader(io.BytesIO(report(texts("x")))).metadata
    assert metadata.creation_date == DOCUMENT.created_at


def test_pages_reach_the_sink_before_the_file_ends() -> None:
    sink = io.BytesIO()
    writer = PdfWriter(sink, PdfFormat(), DOCUMENT)
    table = texts(*["x"] * 2_000)
    writer.begin("rows", table.schema)
    writer.write(table.to_batches()[0])
    assert sink.getvalue().count(b"/Type /Page\n") > 20
